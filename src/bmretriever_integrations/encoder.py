"""BMRetrieverEncoder: the order of the stations, rows back in input order."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from bmretriever_integrations import loading, memory
from bmretriever_integrations.batches import longest_first, next_batch
from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.device import resolve_device, resolve_dtype
from bmretriever_integrations.forward.padded import PaddedForward
from bmretriever_integrations.identity import files_sha256
from bmretriever_integrations.pooling import finish
from bmretriever_integrations.prompts import passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings
from bmretriever_integrations.tokens import PromptTokenizer, check_texts

Vectors = NDArray[np.float32]


class BMRetrieverEncoder:
    """
    Turns texts into BMRetriever's vectors.

    One engine may be called from many threads at once: results are right and the device holds one batch at a time.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        device: str | None = None,
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
        Load a checkpoint.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "mini"), or a folder: a plain checkpoint, one that
            sentence-transformers saved, or a LoRA adapter.
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param device: e.g. "cuda:1"; None takes CUDA, then MPS, then the CPU.
        :param dtype: "auto" (bfloat16 where the device computes with it, else float32), "float32", "bfloat16", "float16".
        :param max_length: tokens of a sequence, BOS and EOS included; longer texts are cut (paper and eval.py: 512).
        :param instruction: what queries are for: a task key (:data:`TASK_INSTRUCTIONS`) or a sentence; None takes the
            authors' instruction for biomedical questions. :meth:`encode_queries` may override it.
        :param normalize: scale vectors to length 1. The authors do not, and score by dot product.
        :param truncate_dim: keep this many leading dimensions.
        :param max_batch_tokens: padded tokens of a batch, for experts; None chooses by the device's free memory.
        :param local_files_only: never ask the hub.
        :param token: access token for the hub.
        :param progress: show a bar while encoding.
        :raises FileNotFoundError: if the model is nowhere to be found.
        :raises ValueError: if a setting is out of range or the folder is no checkpoint that fits.
        """
        self.settings = EncoderSettings(
            model=str(model),
            revision=revision,
            device=device,
            dtype=dtype,
            max_length=max_length,
            normalize=normalize,
            truncate_dim=truncate_dim,
            max_batch_tokens=max_batch_tokens,
            local_files_only=local_files_only,
            token=token,
        )
        self.instruction = resolve_instruction(instruction)
        self.progress = progress
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(self.settings.dtype, self.device)
        loaded = loading.load(self.settings, self.dtype, progress)
        config = loaded.network.config
        _check_limits(self.settings, config)
        self.revision = loaded.revision
        self.normalize = normalize or loaded.normalizes
        self.width: int = truncate_dim or config.hidden_size
        self._folders = loaded.folders
        self._tokens = PromptTokenizer(loaded.tokenizer, max_length)
        network = loaded.network.to(self.device)
        self._forward: PaddedForward | None = PaddedForward(network, self._tokens.eos_id, self.width)
        self.max_batch_tokens = max_batch_tokens or memory.choose_batch_tokens(network, self.device)
        self._next_turn, self._turn = threading.Lock(), threading.Lock()

    def encode_queries(self, texts: Sequence[str], instruction: str | None = None) -> Vectors:
        """
        Embed queries.

        :param texts: the queries.
        :param instruction: a task key or a sentence; None takes the engine's own.
        :returns: *Shape:* (n, width) float32, one row a query, in their order.
        :raises TypeError: if ``texts`` is no list of strings.
        :raises ValueError: if the instruction is empty or a text holds a lone surrogate.
        """
        task = self.instruction if instruction is None else resolve_instruction(instruction)
        return self._encode([query_prompt(task, text) for text in check_texts(texts, "texts")], "queries")

    def encode_passages(self, texts: Sequence[str], titles: Sequence[str | None] | None = None) -> Vectors:
        """
        Embed passages.

        :param texts: the passages.
        :param titles: a title, "" or None for each passage.
        :returns: *Shape:* (n, width) float32, one row a passage, in their order.
        :raises TypeError: if ``texts`` or ``titles`` is no list of strings.
        :raises ValueError: if the lists differ in length or a text holds a lone surrogate.
        """
        checked = check_texts(texts, "texts")
        heads = [""] * len(checked) if titles is None else check_texts([title or "" for title in titles], "titles")
        if len(heads) != len(checked):
            raise ValueError(f"titles must be as many as texts: got {len(heads)} titles for {len(checked)} texts")
        return self._encode([passage_prompt(t, head) for t, head in zip(checked, heads, strict=True)], "passages")

    def _encode(self, prompts: list[str], noun: str) -> Vectors:
        """Tokens -> batches -> forward -> pooling, window by window."""
        if self._forward is None:
            raise RuntimeError("this encoder is closed; make a new one")
        vectors = np.empty((len(prompts), self.width), np.float32)
        shown = self.progress and len(prompts) > 1
        with tqdm(total=len(prompts), desc=f"embedding {noun}", unit="text", disable=not shown) as bar:
            for start, ids in self._tokens.ahead(prompts):
                lengths = [len(row) for row in ids]
                order = longest_first(lengths)
                done = 0
                while done < len(order):
                    batch = order[done : next_batch(order, lengths, done, self.max_batch_tokens)]
                    result = self._run([ids[row] for row in batch])
                    if result is not None:  # else the budget was halved: form the batch anew
                        vectors[[start + row for row in batch]] = result
                        done += len(batch)
                        bar.update(len(batch))
        return finish(vectors, self.normalize)

    def _run(self, rows: list[list[int]]) -> Vectors | None:
        """Embed one batch; None if the device had too little memory and the budget was halved."""
        tokens = len(rows) * max(map(len, rows))
        with self._my_turn():
            if self._forward is None:
                raise RuntimeError("this encoder was closed while it was encoding")
            try:
                return self._forward(rows)
            except Exception as error:
                if not memory.is_out_of_memory(error):
                    raise
                if len(rows) == 1:
                    error.add_note(
                        f"One text of {tokens} tokens does not fit into the memory of {self.device} beside the model. "
                        "Use a smaller checkpoint, dtype='bfloat16', a smaller max_length, or free memory."
                    )
                    raise
        memory.release_cached(self.device)
        self.max_batch_tokens = max(1, tokens // 2)
        return None

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """One batch at a time, in order of arrival: a query need not wait for the end of somebody's corpus."""
        with self._next_turn:  # who waits here goes before the thread that has just had its turn
            self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    def view(self, *, progress: bool, max_batch_tokens: int) -> BMRetrieverEncoder:
        """
        Give the same engine, with the same weights and the same turns at the device, a bar and a budget of its own.

        :param progress: show a bar while encoding.
        :param max_batch_tokens: padded tokens of a batch; the engine's own budget is not exceeded.
        """
        same = copy.copy(self)
        same.progress, same.max_batch_tokens = progress, min(max_batch_tokens, self.max_batch_tokens)
        return same

    def identity(self) -> dict[str, Any]:
        """Everything that decides this engine's passage vectors, as plain values for a manifest."""
        return {
            "model": self.settings.model,
            "revision": self.revision,
            "files_sha256": files_sha256(self._folders),
            "max_length": self.settings.max_length,
            "dtype": str(self.dtype).removeprefix("torch."),
            "width": self.width,
            "normalize": self.normalize,
        }

    def close(self) -> None:
        """Free the model; later calls to encode raise RuntimeError. Closing twice does nothing."""
        with self._my_turn():
            self._forward = None
        memory.release_cached(self.device)

    def __enter__(self) -> BMRetrieverEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"BMRetrieverEncoder({self.settings.model!r}, device='{self.device}', dtype='{str(self.dtype)[6:]}', "
            f"width={self.width}, max_length={self.settings.max_length}, normalize={self.normalize}, "
            f"max_batch_tokens={self.max_batch_tokens}, forward={self._forward.name if self._forward else 'closed'!r}, "
            f"instruction={self.instruction!r})"
        )


def _check_limits(settings: EncoderSettings, config: Any) -> None:
    limit = getattr(config, "max_position_embeddings", None)
    if limit is not None and settings.max_length > limit:
        raise ValueError(f"max_length must be at most {limit} for {settings.model}, got {settings.max_length}")
    if settings.truncate_dim is not None and settings.truncate_dim > config.hidden_size:
        raise ValueError(f"truncate_dim must be at most {config.hidden_size}, got {settings.truncate_dim}")
