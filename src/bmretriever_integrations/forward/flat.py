"""Run flat batches: the rows lie one after another, a shared instruction runs once, the last layer runs for last tokens only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.layout import Prefix
from bmretriever_integrations.forward.prefix import PrefixCache
from bmretriever_integrations.forward.quantization import quantize_network
from bmretriever_integrations.forward.replay import Replay


class FlatForward:
    """Runs a decoder of a known family on flat batches."""

    reuses_prefix = True

    def __init__(self, network: Any, pad_id: int, *, way: str, pads: bool, quantization: str | None = None) -> None:
        """
        :param network: one of :data:`~bmretriever_integrations.forward.decoder.FAMILIES`, in eval mode on its device.
        :param pad_id: any id of the vocabulary; the ids in the padding do not change the result.
        :param way: the way to compute attention: a key of :data:`~bmretriever_integrations.forward.ways.WAYS`.
        :param pads: pad all rows of a batch to the longest row; "grouped" then needs only one call in each layer.
        :param quantization: the quantisation of the linear layers' weights, or None.
        """
        self.pads = pads
        self._way, self._quantization = way, quantization
        self._lay_out = layout.padded if pads else layout.packed
        self.network = network
        self._decoder = FlatDecoder(network, way)
        self._device: torch.device = next(network.parameters()).device
        if self._device.type != "cpu" or not self._decoder.prepack(quantization):
            quantize_network(network, quantization)
        if self._device.type == "cuda":
            with self._current():
                self._decoder.fuse()
        self._pad_id = pad_id
        self.prefixes = PrefixCache()
        self._replays: dict[tuple[int, ...], dict[int, Replay]] = {}
        self._stream: torch.cuda.Stream | None = None  # all graphs are recorded on this one

    @property
    def name(self) -> str:
        """The name that ``repr`` shows."""
        parts = ["padded" if self.pads else "packed", f"{self._way} attention"]
        if self._decoder.is_fused:
            parts.append("fused")
        if self._decoder.is_prepacked:
            parts.append("int8 weights" if self._quantization else "prepacked weights")
        if self._decoder.is_compiled:
            parts.append("compiled")
        if self._replays:
            parts.append(f"{sum(map(len, self._replays.values()))} graphs")
        return ", ".join(parts)

    @property
    def is_recordable(self) -> bool:
        """Whether single rows can run as one CUDA graph."""
        return self._decoder.is_recordable

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Sequence[int]], shared: int = 0) -> Tensor:
        """
        Run one batch.

        :param rows: token ids of each row.
        :param shared: the number of leading ids that all rows have in common; their keys and values are reused.
        :returns: final hidden state of each row's last token, on the device. *Shape:* (rows, width)
        """
        with self._current():
            return self._run(rows, shared)

    def _current(self) -> AbstractContextManager[Any]:
        """Make the network's device current, because Triton's kernels run on the current device and not on their tensors'."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _run(self, rows: Sequence[Sequence[int]], shared: int) -> Tensor:
        common = tuple(rows[0][:shared])
        own = [row[shared:] for row in rows]
        if len(own) == 1:
            spans = [span for span in self._replays.get(common, ()) if span >= len(own[0])]
            if spans:
                return self._replays[common][min(spans)](own[0])
        batch = self._lay_out(own, self._device, self._prefix(common))
        return self._decoder(layout.flat_ids(own, batch, self._pad_id), batch)

    def _prefix(self, ids: tuple[int, ...]) -> Prefix | None:
        return self.prefixes.get(ids, self._run_prefix) if ids else None

    def _run_prefix(self, ids: tuple[int, ...]) -> Prefix:
        batch = replace(layout.packed([ids], self._device), kept=[])
        return Prefix(ids, self._decoder.keys_and_values(layout.flat_ids([ids], batch, self._pad_id), batch))

    def compile(self) -> bool:
        """
        Compile the layers at their next use: PyTorch fuses the operations between matrix products and attention.

        :returns: False where there is nothing to compile, because the layers have prepacked weights.
        """
        self._replays.clear()  # the recorded graphs contain the old layers
        return self._decoder.compile()

    @torch.inference_mode()
    def record(self, common: Sequence[int], span: int) -> None:
        """
        Prepare to run single rows as one CUDA graph. On other devices such rows are padded and run without a graph.

        :param common: ids of the prefix that the rows have in common; it may be empty.
        :param span: tokens of the longest row without the prefix; at least 2.
        """
        recorded = self._replays.setdefault(tuple(common), {})
        if span in recorded:
            return
        if self._device.type == "cuda" and self._stream is None:
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with self._current():
            recorded[span] = Replay(self._decoder, span, self._device, self._prefix(tuple(common)), self._stream)
