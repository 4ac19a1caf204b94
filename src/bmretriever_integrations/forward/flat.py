"""The flat way: rows laid out in one line, the shared instruction run once, the last layer for last tokens only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.layout import Prefix
from bmretriever_integrations.forward.prefix import PrefixCache


class FlatForward:
    """Runs a decoder whose layers are known."""

    reuses_prefix = True

    def __init__(self, network: Any, pad_id: int, *, way: str, pads: bool) -> None:
        """
        :param network: one of :data:`~bmretriever_integrations.forward.decoder.FAMILIES`, in eval mode on its device.
        :param pad_id: any id of the vocabulary; what stands in the padding changes nothing.
        :param way: how to compute attention: "grouped" or "varlen".
        :param pads: make all rows of a batch as long as the longest; "grouped" then needs one call a layer.
        """
        self.name = ("padded" if pads else "packed") + f", {way} attention"
        self.pads = pads
        self._lay_out = layout.padded if pads else layout.packed
        self.network = network
        self._decoder = FlatDecoder(network, way)
        self._device: torch.device = next(network.parameters()).device
        self._pad_id = pad_id
        self.prefixes = PrefixCache()

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Sequence[int]], shared: int = 0) -> Tensor:
        """
        Run one batch.

        :param rows: token ids of each row.
        :param shared: leading ids that all rows have in common and whose keys and values are to be reused.
        :returns: final hidden state of each row's last token, on the device. *Shape:* (rows, width)
        """
        prefix = self.prefixes.get(tuple(rows[0][:shared]), self._run_prefix) if shared else None
        own = [row[shared:] for row in rows]
        batch = self._lay_out(own, self._device, prefix)
        return self._decoder(layout.flat_ids(own, batch, self._pad_id), batch)

    def _run_prefix(self, ids: tuple[int, ...]) -> Prefix:
        batch = replace(layout.packed([ids], self._device), kept=[])
        return Prefix(ids, self._decoder.keys_and_values(layout.flat_ids([ids], batch, self._pad_id), batch))
