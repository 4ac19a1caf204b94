"""Define BMRetrieverEncoder, which turns texts into vectors by calling the steps in their order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.checkpoints import DEFAULT_MODEL, loading
from bmretriever_integrations.checkpoints.unchanged import load_unchanged
from bmretriever_integrations.device import choose_batch_tokens, resolve_device
from bmretriever_integrations.encoder.batches import Batches
from bmretriever_integrations.encoder.cut_texts import CutTexts
from bmretriever_integrations.encoder.identity import described, identity_of
from bmretriever_integrations.encoder.progress import text_bar
from bmretriever_integrations.encoder.runner import Runner
from bmretriever_integrations.encoder.texts import check_passages, check_texts
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.encoder.transfer import Arriving
from bmretriever_integrations.encoder.vectors import Output, Vectors
from bmretriever_integrations.encoder.warm_up import WarmUp, run_steps
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.forward.quantization import resolve_quantized
from bmretriever_integrations.prompts import PASSAGE_PREFIX, passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings


class BMRetrieverEncoder:
    """
    Turns texts into BMRetriever's vectors.

    Many threads may call one engine at the same time. The device computes one batch at a time.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        device: str | None = None,
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
        Load a checkpoint.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "small", "mini"), or a folder: a plain checkpoint, one
            that sentence-transformers saved, or a LoRA adapter.
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param device: e.g. "cuda:1"; None takes CUDA, then MPS, then the CPU.
        :param dtype: "auto" (bfloat16 where the device computes with it, else float32), "float32", "bfloat16", "float16".
        :param quantization: the number type of the linear layers: None for ``dtype``, "int8" (CPU and CUDA) or "fp8" (CUDA of
            compute capability 8.9 or more, with torchao). docs/precision.md says what 8 bits save and what they cost.
        :param max_length: tokens of a sequence, BOS and EOS included; longer texts are cut (paper and eval.py: 512).
        :param instruction: the task of the queries: a task key (:data:`TASK_INSTRUCTIONS`) or a sentence; None takes the
            authors' instruction for biomedical questions. :meth:`encode_queries` may override it.
        :param normalize: scale vectors to length 1. The authors do not normalise; they score by dot product.
        :param truncate_dim: keep this many leading dimensions.
        :param max_batch_tokens: tokens of a batch, for experts; None chooses by the device's free memory.
        :param forward: the way to run the network, for experts: "packed", "padded", "plain", or "auto" for the fastest exact way.
        :param local_files_only: do not connect to the hub.
        :param token: access token for the hub.
        :param progress: show a progress bar while encoding.
        :raises FileNotFoundError: if the model is not found.
        :raises ValueError: if a setting is out of range, if the folder is not a suitable checkpoint, or if the device does not
            support the quantisation.
        :raises ImportError: if the quantisation needs torchao and it is not installed.
        """
        self.settings = EncoderSettings(
            model=str(model) if isinstance(model, Path) else model,
            revision=revision,
            device=device,
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
        self.instruction = resolve_instruction(instruction)
        self.progress = progress
        self.device = resolve_device(device)
        self.dtype = resolve_quantized(quantization, self.settings.dtype, self.device)
        load = partial(loading.load, self.settings.model, self.dtype, revision=revision, token=token)
        loaded, self.fingerprint = load_unchanged(
            partial(load, local_files_only=local_files_only, progress=progress, mapped=self.device.type != "cpu"),
            self.settings.model,
            revision,
        )
        self.settings = self.settings.fitted(loaded)
        self.revision, max_length = loaded.revision, self.settings.max_length
        self.normalize = normalize or loaded.normalizes
        self.width: int = truncate_dim or loaded.network.config.hidden_size
        self.tokenizer = PromptTokenizer(loaded.tokenizer, max_length)
        self._cut = CutTexts((self.fingerprint, max_length), max_length)
        network = loaded.network.to(self.device)
        way = choose_forward(network, self.tokenizer.eos_id, self.settings.forward, quantization)
        self.runner = Runner(way, self.device)
        self.max_batch_tokens = max_batch_tokens or choose_batch_tokens(network, self.device)

    @classmethod
    def from_settings(cls, settings: EncoderSettings, progress: bool = False) -> BMRetrieverEncoder:
        """
        Load an engine with the given settings.

        :param settings: the arguments of the constructor.
        :param progress: show a progress bar while encoding.
        """
        return cls(**asdict(settings), progress=progress)

    def encode_queries(
        self, texts: Sequence[str], instruction: str | None = None, *, out: Vectors | None = None
    ) -> Vectors:
        """
        Embed queries.

        :param texts: the queries.
        :param instruction: a task key or a sentence; None takes the engine's own instruction.
        :param out: the array for the vectors, e.g. a ``numpy.memmap``; None creates an array. *Shape:* (n, width) float32
        :returns: the vectors, one row for each query, in the same order. *Shape:* (n, width) float32
        :raises TypeError: if ``texts`` is not a list of strings, or ``out`` is not an array of float32.
        :raises ValueError: if the instruction is empty, a text contains a lone surrogate, or ``out`` has another shape.
        """
        task = self.instruction if instruction is None else resolve_instruction(instruction)
        prompts = [query_prompt(task, text) for text in check_texts(texts, "texts")]
        return self._encode(prompts, query_prompt(task, ""), "queries", out)

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
        """
        prompts = list(map(passage_prompt, *check_passages(texts, titles)))
        return self._encode(prompts, PASSAGE_PREFIX, "passages", out)

    def _encode(self, prompts: list[str], template: str, noun: str, out: Vectors | None) -> Vectors:
        """While the device computes a window, the next one is tokenized and the previous one's vectors are fetched."""
        self.runner.check_open()
        output = Output(prompts, self.width, self.normalize, out)
        before: tuple[NDArray[np.int64], Arriving] | None = None
        cut = 0
        with text_bar(self.progress and len(prompts) > 1, len(output.prompts), f"embedding {noun}") as embedded:
            for window in self.tokenizer.windows(output.prompts, template):
                shared = window.shared if self.runner.reuses_prefix else 0
                batches = Batches(window.ids, shared, self.max_batch_tokens, self.runner.pads)
                states = self.runner.run(batches, embedded)
                self.max_batch_tokens = min(self.max_batch_tokens, batches.max_tokens)  # less if memory was too small
                cut += window.cut
                started = np.array(batches.order) + window.first, Arriving(states, self.width)
                if before is not None:  # its vectors are copied while the device computes the batches just started
                    output.write(before[0], before[1].array())
                before = started
            if before is not None:
                output.write(before[0], before[1].array())
        self._cut.add(cut, len(output.prompts))
        return output.vectors

    @property
    def cut_texts(self) -> int:
        """Number of texts, queries included, that were longer than ``max_length`` since the model was loaded."""
        return self._cut.total

    @property
    def passage_tokens(self) -> int:
        """The most tokens that a passage may have, its title included, to be embedded whole; see :meth:`text_tokens`."""
        return self.tokenizer.room_after(PASSAGE_PREFIX)

    def text_tokens(self, text: str) -> list[int]:
        """
        Tokenize a text alone, without template, BOS and EOS, e.g. to split a corpus into passages of :attr:`passage_tokens`.

        :param text: any text; it is not cut.
        :returns: the ids of its tokens.
        """
        return self.tokenizer.text_tokens(text)

    def warm_up(
        self, instruction: str | None = None, *, compile_layers: bool = False, spans: Sequence[int] | None = None
    ) -> WarmUp:
        """
        Do the work now that the first query would otherwise wait for: compute the instruction's keys and values.

        On CUDA, graphs for single queries are recorded, except with "mini" or ``forward="plain"``. Vectors stay the same within
        the tolerance of their number type.

        :param instruction: the instruction of later queries, as in :meth:`encode_queries`; call once for each instruction.
        :param compile_layers: let PyTorch compile the layers: needs a C++ compiler, or Triton on CUDA, and half a minute or more.
            Layers with prepacked weights, as ``repr`` shows, are left as they are.
        :param spans: tokens of queries, without the instruction, for which graphs are recorded, at least 2; None: ``SPANS``.
        :returns: the steps and their seconds; ``print`` shows them.
        :raises ValueError: if a span is less than 2 or more than ``max_length`` allows.
        """
        task = self.instruction if instruction is None else resolve_instruction(instruction)
        return run_steps(self, task, compile_layers, spans)

    def view(self, *, progress: bool, max_batch_tokens: int, normalize: bool | None = None) -> BMRetrieverEncoder:
        """
        Return an engine with other settings of a call. It shares the weights and the queue for the device.

        :param progress: show a progress bar while encoding.
        :param max_batch_tokens: tokens of a batch; a number above the engine's own budget is reduced to it.
        :param normalize: scale vectors to length 1; None keeps the engine's setting.
        """
        same = copy.copy(self)
        same.progress, same.max_batch_tokens = progress, min(max_batch_tokens, self.max_batch_tokens)
        same.normalize = same.normalize if normalize is None else normalize
        return same

    def identity(self) -> dict[str, Any]:
        """Return everything that decides this engine's passage vectors, as plain values for a manifest."""
        return identity_of(self)

    def close(self) -> None:
        """Free the model; later calls to encode raise RuntimeError. Closing twice does nothing."""
        self.runner.close()

    def __enter__(self) -> BMRetrieverEncoder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return described(self)
