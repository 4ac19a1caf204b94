"""EncoderPool: one engine a device, and the interface of one encoder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.parallel.chunks import cut, estimate
from bmretriever_integrations.parallel.engines import Engines
from bmretriever_integrations.parallel.process import ProcessWorker
from bmretriever_integrations.parallel.shared import SharedRows
from bmretriever_integrations.parallel.turns import Waiting
from bmretriever_integrations.parallel.work import Errand, Vectors
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings
from bmretriever_integrations.tokens import check_texts


class EncoderPool(Engines):
    """
    Embeds with several devices of this machine at once: a process for each, and every free one takes the next texts.

    It is used as one :class:`~bmretriever_integrations.BMRetrieverEncoder` is, also from many threads at once, and makes the
    same vectors. The vectors come back through shared memory. A worker that dies costs nothing but its work in hand, which
    the others do; a warning says so.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        devices: Sequence[str] | None = None,
        revision: str | None = None,
        dtype: str = "auto",
        max_length: int = MAX_LENGTH,
        instruction: str | None = None,
        normalize: bool = False,
        truncate_dim: int | None = None,
        max_batch_tokens: int | None = None,
        local_files_only: bool = False,
        token: str | None = None,
        progress: bool = False,
    ) -> None:
        """
        Start the workers and load the checkpoint into all of them, at the same time.

        All but ``devices`` are as for :class:`~bmretriever_integrations.BMRetrieverEncoder`.

        :param model: a hub id, a short name or a folder.
        :param devices: e.g. ``["cuda:0", "cuda:1"]``. One may be named twice; workers on "cpu" share the cores out among them.
            None takes every CUDA device, or the CPU where there is none.
        :param revision: commit, branch or tag on the hub.
        :param dtype: "auto", "float32", "bfloat16" or "float16".
        :param max_length: tokens of a sequence.
        :param instruction: what queries are for.
        :param normalize: scale vectors to length 1.
        :param truncate_dim: keep this many leading dimensions.
        :param max_batch_tokens: padded tokens of a batch on each device; None takes what the one with the least memory holds.
        :param local_files_only: never ask the hub.
        :param token: access token for the hub.
        :param progress: show a bar while encoding.
        :raises FileNotFoundError: if the model is nowhere to be found.
        :raises ValueError: if a setting is out of range, a device is not there, or two devices would make different vectors.
        :raises WorkersLost: if a worker ended while it loaded the model.
        """
        self.settings = EncoderSettings(
            model=str(model),
            revision=revision,
            dtype=dtype,
            max_length=max_length,
            normalize=normalize,
            truncate_dim=truncate_dim,
            max_batch_tokens=max_batch_tokens,
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
            ],
            share_memory=True,
        )

    def encode_queries(self, texts: Sequence[str], instruction: str | None = None) -> Vectors:
        """
        Embed queries.

        :param texts: the queries.
        :param instruction: a task key or a sentence; None takes the pool's own.
        :returns: *Shape:* (n, width) float32, one row a query, in their order.
        :raises TypeError: if ``texts`` is no list of strings.
        :raises ValueError: if the instruction is empty or a text holds a lone surrogate.
        :raises WorkersLost: if no worker is left.
        """
        task = self.instruction if instruction is None else resolve_instruction(instruction)
        checked = check_texts(texts, "texts")
        return self._encode([(text, "") for text in checked], task)

    def encode_passages(self, texts: Sequence[str], titles: Sequence[str | None] | None = None) -> Vectors:
        """
        Embed passages.

        :param texts: the passages.
        :param titles: a title, "" or None for each passage.
        :returns: *Shape:* (n, width) float32, one row a passage, in their order.
        :raises TypeError: if ``texts`` or ``titles`` is no list of strings.
        :raises ValueError: if the lists differ in length or a text holds a lone surrogate.
        :raises WorkersLost: if no worker is left.
        """
        checked = check_texts(texts, "texts")
        heads = [""] * len(checked) if titles is None else check_texts([title or "" for title in titles], "titles")
        if len(heads) != len(checked):
            raise ValueError(f"titles must be as many as texts: got {len(heads)} titles for {len(checked)} texts")
        return self._encode(list(zip(checked, heads, strict=True)), None)

    def _encode(self, pairs: list[tuple[str, str]], task: str | None) -> Vectors:
        """Unequal texts -> chunks -> workers -> one array; ``task`` is the queries' instruction, None means passages."""
        if not pairs:
            self._crew.submit([])
            return np.empty((0, self.width), np.float32)
        first: dict[tuple[str, str], int] = {}
        same_as = [first.setdefault(pair, row) for row, pair in enumerate(pairs)]
        before = 0 if task is None else len(task.encode())
        sizes = [estimate(before + len((text + title).encode()), self.settings.max_length) for text, title in pairs]
        shared = SharedRows(len(pairs), self.width)
        chunks = [
            self._errand(pairs, chunk, task, shared)
            for chunk in cut(list(first.values()), sizes, self.batch_tokens, len(self.devices))
        ]
        copies = Counter(same_as)
        with tqdm(
            total=len(pairs),
            desc=f"embedding {'passages' if task is None else 'queries'}",
            unit="text",
            disable=not self.progress or len(pairs) < 2,
        ) as bar:
            for chunk in self._finished(chunks):
                bar.update(sum(copies[row] for row in chunk))
        repeated = [row for row, source in enumerate(same_as) if source != row]
        shared.array[repeated] = shared.array[[same_as[row] for row in repeated]]
        return shared.array

    def _errand(self, pairs: list[tuple[str, str]], chunk: list[int], task: str | None, shared: SharedRows) -> Waiting:
        texts = [pairs[row][0] for row in chunk]
        if task is None:
            errand = Errand("encode_passages", ((texts, [pairs[row][1] for row in chunk]),), self.batch_tokens)
        else:
            errand = Errand("encode_queries", ((texts, task),), self.batch_tokens)
        return Waiting(errand, lambda _texts: None, shared, np.array(chunk, np.int64))

    def _finished(self, chunks: list[Waiting]) -> Iterator[list[int]]:
        """Have chunks done; gives the rows of each when they are in the array."""
        rows = {chunk.result: cast("NDArray[np.int64]", chunk.rows).tolist() for chunk in chunks}
        self._crew.submit(chunks)
        try:
            for result in as_completed(rows):
                try:
                    result.result()
                except FloatingPointError as error:
                    error.add_note(f"Those rows are counted within one worker's part: {rows[result]} of this call.")
                    raise
                yield rows[result]
        finally:
            for result in rows:  # after an error or Ctrl-C nobody wants the rest
                result.cancel()
            self._warn_of_losses()

    def __repr__(self) -> str:
        made = self._facts.identity
        return (
            f"EncoderPool({self.settings.model!r}, devices={self.devices}, workers={self.at_work!r}, dtype={made['dtype']!r}, "
            f"width={self.width}, max_length={self.settings.max_length}, normalize={made['normalize']}, "
            f"batch_tokens={self.batch_tokens}, instruction={self.instruction!r})"
        )


def _check_devices(devices: Sequence[str] | None) -> list[str]:
    if devices is None:
        import torch

        return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
    if isinstance(devices, str):
        raise TypeError(f"devices must be a list of str, got one str: write [{devices!r}]")
    checked = list(devices)
    if not checked or not all(isinstance(device, str) for device in checked):
        raise ValueError(f"devices must name at least one device, e.g. ['cuda:0', 'cuda:1'], got {checked!r}")
    return checked
