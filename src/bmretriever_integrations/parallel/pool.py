"""Define EncoderPool, which has one engine for each device and the interface of one encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import replace
from pathlib import Path

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.encoder.progress import text_bar
from bmretriever_integrations.encoder.texts import check_passages, check_texts
from bmretriever_integrations.encoder.vectors import Output, Vectors
from bmretriever_integrations.parallel.chunks import cut, estimate
from bmretriever_integrations.parallel.fair_queue import QueuedJob, no_report
from bmretriever_integrations.parallel.jobs import Job
from bmretriever_integrations.parallel.process import ProcessWorker
from bmretriever_integrations.parallel.worker_group import WorkerGroup
from bmretriever_integrations.prompts import passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings


class EncoderPool(WorkerGroup):
    """
    Embeds with several devices of this machine at once. Each device has a worker process, and a free worker takes the next texts.

    The pool is used like a :class:`~bmretriever_integrations.BMRetrieverEncoder` and makes the same vectors; many threads may use
    it at once. The workers return vectors through shared memory. If a worker ends, the others do its jobs again, and a warning
    says so.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        devices: Sequence[str] | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        quantization: str | None = None,
        max_length: int = MAX_LENGTH,
        instruction: str | None = None,
        normalize: bool = False,
        truncate_dim: int | None = None,
        max_batch_tokens: int | None = None,
        forward: str = "auto",
        local_files_only: bool = False,
        token: str | None = None,
        progress: bool = False,
    ) -> None:
        """
        Start the workers and load the checkpoint in all of them at the same time.

        :class:`~bmretriever_integrations.BMRetrieverEncoder` explains all parameters but ``devices`` in full.

        :param model: a hub id, a short name or a folder.
        :param devices: the devices, e.g. ``["cuda:0", "cuda:1"]``. A device may be named twice. Workers on "cpu" share the cores.
            None takes every CUDA device, or the CPU where there is none.
        :param revision: commit, branch or tag on the hub.
        :param dtype: "auto", "float32", "bfloat16" or "float16".
        :param quantization: the number type of the linear layers: "int8", "fp8", or None for ``dtype``.
        :param max_length: tokens of a sequence.
        :param instruction: the task of the queries: a task key or a sentence.
        :param normalize: scale vectors to length 1.
        :param truncate_dim: keep this many leading dimensions.
        :param max_batch_tokens: tokens of a batch on each device; None takes the budget of the device with the least memory.
        :param forward: the way to run the network.
        :param local_files_only: do not connect to the hub.
        :param token: access token for the hub.
        :param progress: show a progress bar while encoding.
        :raises FileNotFoundError: if the model is not found.
        :raises ValueError: if a setting is out of range, a device is missing, or two devices would make different vectors.
        :raises WorkersLost: if a worker ended while it loaded the model.
        """
        self.settings = EncoderSettings(
            model=str(model),
            revision=revision,
            dtype=dtype,
            quantization=quantization,
            max_length=max_length,
            normalize=normalize,
            truncate_dim=truncate_dim,
            max_batch_tokens=max_batch_tokens,
            forward=forward,
            local_files_only=local_files_only,
            token=token,
        )
        self.devices = _check_devices(devices)
        self.instruction = resolve_instruction(instruction)
        self.progress = progress
        on_cpu = self.devices.count("cpu")
        super().__init__(
            [
                ProcessWorker(replace(self.settings, device=device), on_cpu if device == "cpu" else 0)
                for device in self.devices
            ]
        )

    def encode_queries(
        self, texts: Sequence[str], instruction: str | None = None, *, out: Vectors | None = None
    ) -> Vectors:
        """
        Embed queries.

        :param texts: the queries.
        :param instruction: a task key or a sentence; None takes the pool's own instruction.
        :param out: the array for the vectors, e.g. a ``numpy.memmap``; None creates an array. *Shape:* (n, width) float32
        :returns: the vectors, one row for each query, in the same order. *Shape:* (n, width) float32
        :raises TypeError: if ``texts`` is not a list of strings, or ``out`` is not an array of float32.
        :raises ValueError: if the instruction is empty, a text contains a lone surrogate, or ``out`` has another shape.
        :raises WorkersLost: if no worker is left.
        """
        task = self.instruction if instruction is None else resolve_instruction(instruction)
        checked = check_texts(texts, "texts")

        def job(rows: list[int]) -> Job:
            return Job("encode_queries", (([checked[row] for row in rows], task),), self.batch_tokens)

        return self._encode([query_prompt(task, text) for text in checked], job, out)

    def encode_passages(
        self, texts: Sequence[str], titles: Sequence[str | None] | None = None, *, out: Vectors | None = None
    ) -> Vectors:
        """
        Embed passages.

        :param texts: the passages.
        :param titles: a title, "", None or another missing value (NaN, ``pandas.NA``) for each passage.
        :param out: the array for the vectors, e.g. a ``numpy.memmap``; None creates an array. *Shape:* (n, width) float32
        :returns: the vectors, one row for each passage, in the same order. *Shape:* (n, width) float32
        :raises TypeError: if ``texts`` or ``titles`` is not a list of strings, or ``out`` is not an array of float32.
        :raises ValueError: if the lists differ in length, a text contains a lone surrogate, or ``out`` has another shape.
        :raises WorkersLost: if no worker is left.
        """
        checked, heads = check_passages(texts, titles)

        def job(rows: list[int]) -> Job:
            call = ([checked[row] for row in rows], [heads[row] for row in rows])
            return Job("encode_passages", (call,), self.batch_tokens)

        return self._encode([passage_prompt(text, head) for text, head in zip(checked, heads, strict=True)], job, out)

    def _encode(self, prompts: list[str], job: Callable[[list[int]], Job], out: Vectors | None) -> Vectors:
        """Cut the distinct prompts into chunks, let the workers embed them, and write the vectors into one array."""
        self.check_process()
        output = Output(prompts, self.width, False, out)  # not normalised here, because the workers normalise
        sizes = [estimate(len(prompt.encode()), self.settings.max_length) for prompt in output.prompts]
        chunks = cut(sizes, self.batch_tokens, len(self.devices))
        cut_texts: list[int] = []
        queued = [QueuedJob(job(output.rows(chunk)), no_report, cut_texts.append) for chunk in chunks]
        places = {one.result: chunk for one, chunk in zip(queued, chunks, strict=True)}
        self.dispatcher.submit(queued)
        del queued  # so that the memory of each result is freed as soon as the result is written
        shown = self.progress and len(prompts) > 1
        try:
            with text_bar(shown, len(sizes), "embedding") as embedded:
                for result in as_completed(places):
                    chunk = places.pop(result)
                    output.write(chunk, _vectors(result, output.rows(chunk)))
                    embedded(len(chunk))
        finally:
            for result in places:  # after an error or Ctrl-C, the other results are not needed
                result.cancel()
            self._warn_of_losses()
        self._cut.add(sum(cut_texts), len(sizes))
        return output.vectors

    def __repr__(self) -> str:
        made = self._facts.identity
        return (
            f"EncoderPool({self.settings.model!r}, devices={self.devices}, workers={self.at_work!r}, dtype={made['dtype']!r}, "
            f"width={self.width}, max_length={self.settings.max_length}, normalize={made['normalize']}, "
            f"batch_tokens={self.batch_tokens}, instruction={self.instruction!r})"
        )


def _vectors(result: Future[Vectors], rows: list[int]) -> Vectors:
    try:
        return result.result()
    except FloatingPointError as error:
        error.add_note(
            f"The message counts rows within this worker's {len(rows)} texts; in this call, these texts are the rows "
            f"{', '.join(map(str, rows[:100]))}{', ...' if len(rows) > 100 else ''}."
        )
        raise


def _check_devices(devices: Sequence[str] | None) -> list[str]:
    if devices is None:
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
    if isinstance(devices, str):
        raise TypeError(f"devices must be a list of str, got one str: write [{devices!r}]")
    checked = list(devices)
    if not checked or not all(isinstance(device, str) and device for device in checked):
        raise ValueError(f"devices must name at least one device, e.g. ['cuda:0', 'cuda:1'], got {checked!r}")
    return checked
