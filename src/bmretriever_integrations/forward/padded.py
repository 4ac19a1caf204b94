"""The padded way: right padding and no attention mask.

Padding on the right comes after every real token, and a causal kernel never looks ahead, so no real token sees it. Leaving the
mask out lets PyTorch's attention take its fast causal kernels, which a mask forbids. Where a window narrower than the batch
needs a mask (Mistral beyond its sliding window), transformers makes it itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bmretriever_integrations.forward.last_token import LastTokenLlama, shorten
from bmretriever_integrations.pooling import last_token


class PaddedForward:
    """Runs a decoder of transformers on right-padded batches."""

    def __init__(self, network: Any, pad_id: int, width: int) -> None:
        """
        :param network: a decoder without head, e.g. ``GPTNeoXModel``, in eval mode on its device.
        :param pad_id: any id of the vocabulary; what stands in the padding changes nothing.
        :param width: leading dimensions of the vector to keep.
        """
        self._network = shorten(network)
        self.name = "padded, last token only" if isinstance(network, LastTokenLlama) else "padded"
        self._device: torch.device = next(network.parameters()).device
        self._pad_id = pad_id
        self._width = width

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """
        Embed one batch.

        :param rows: token ids of each row.
        :returns: *Shape:* (rows, width) float32
        """
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.full((len(rows), int(lengths.max())), self._pad_id, np.int64)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = tokens
        vectors = self._last_states(self._to_device(ids), self._to_device(lengths))[:, : self._width]
        array: NDArray[np.float32] = vectors.float().cpu().numpy()
        return array

    def _last_states(self, ids: Tensor, lengths: Tensor) -> Tensor:
        if isinstance(self._network, LastTokenLlama):
            return self._network.last_states(ids, lengths - 1)
        return last_token(self._network(input_ids=ids, use_cache=False).last_hidden_state, lengths)

    def _to_device(self, array: NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(array)
        if self._device.type == "cuda":
            return tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._device)
