"""Copy vectors from the device to the computer's memory while the device computes the next batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Arriving:
    """One copy for a whole window of texts, queued on the device after the window's batches. Only :meth:`array` waits for it."""

    def __init__(self, states: Sequence[Tensor], width: int) -> None:
        """
        :param states: one tensor for each batch, on the device. *Shape:* (rows, width of the network)
        :param width: the number of leading dimensions to keep.
        """
        whole = torch.cat([batch[:, :width] for batch in states]).float()
        self._copy = whole.to("cpu", non_blocking=True)  # PyTorch copies from CUDA into pinned memory
        self._copied = None
        if whole.is_cuda:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record(torch.cuda.current_stream(whole.device))

    def array(self) -> NDArray[np.float32]:
        """Wait for the copy and return it. *Shape:* (n, width) float32"""
        if self._copied is not None:
            self._copied.synchronize()
        array: NDArray[np.float32] = self._copy.numpy()
        return array
