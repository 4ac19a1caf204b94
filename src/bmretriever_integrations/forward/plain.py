"""Run the whole network of transformers on batches with padding on the right, for families that the other ways do not know.

The padding comes after every real token, and causal attention uses earlier tokens only, so the padding changes no real token. No
mask is passed, because PyTorch's attention uses its fast causal kernels only without a mask. Where a sliding window is narrower
than the batch (Mistral), transformers makes the mask itself. Where positions depend on the longest row of a batch, each row runs
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bmretriever_integrations.forward import layout
from bmretriever_integrations.forward.independence import rotates_by_longest_row


class PlainForward:
    """Runs any decoder of transformers."""

    reuses_prefix = False
    is_recordable = False

    def __init__(self, network: Any, pad_id: int) -> None:
        """
        :param network: a decoder without head, in eval mode on its device.
        :param pad_id: any id of the vocabulary; the ids in the padding do not change the result.
        """
        self.network = network
        self._alone = rotates_by_longest_row(network)
        self.pads = not self._alone
        self._device: torch.device = next(network.parameters()).device
        self._pad_id = pad_id
        self._is_compiled = False

    @property
    def name(self) -> str:
        """The name that ``repr`` shows."""
        return "plain, compiled" if self._is_compiled else "plain"

    def compile(self) -> bool:
        """Compile the network at its next use, for any number of rows and tokens; return True."""
        self.network.compile(dynamic=True)
        self._is_compiled = True
        return True

    def record(self, common: Sequence[int], span: int) -> None:
        """Raise an error, because no graphs are recorded here."""
        raise NotImplementedError("the plain way records nothing")

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Sequence[int]], shared: int = 0) -> Tensor:
        """
        Run one batch.

        :param rows: token ids of each row.
        :param shared: must be 0, because no keys and values are reused here.
        :returns: final hidden state of each row's last token, on the device. *Shape:* (rows, width)
        """
        if shared:
            raise ValueError("the plain way reuses no prefix: shared must be 0")
        parts = [[row] for row in rows] if self._alone else [rows]
        return torch.cat([self._run(part) for part in parts])

    def _run(self, rows: Sequence[Sequence[int]]) -> Tensor:
        batch = layout.padded(rows, self._device)
        ids = layout.flat_ids(rows, batch, self._pad_id).view(len(rows), -1)
        lengths = layout.move(torch.tensor(batch.lengths), self._device)
        return last_token(self.network(input_ids=ids, use_cache=False).last_hidden_state, lengths)


def last_token(hidden: Tensor, lengths: Tensor) -> Tensor:
    """
    Take each row's last real token, which is EOS.

    :param hidden: final hidden state, padded on the right. *Shape:* (rows, length, width)
    :param lengths: real tokens of each row. *Shape:* (rows,) int64
    :returns: *Shape:* (rows, width), the dtype of ``hidden``.
    """
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), lengths - 1]
