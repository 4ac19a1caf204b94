"""The network and its device: one batch at a time, in order of arrival."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bmretriever_integrations import memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bmretriever_integrations.forward.choose import Forward


class Runner:
    """Whoever calls from another thread waits for a turn; a query need not wait for the end of somebody's corpus."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        """
        :param forward: the way to run the network.
        :param device: where the network is.
        """
        self.forward: Forward | None = forward
        self._device = device
        self._next_turn, self._turn = threading.Lock(), threading.Lock()

    @property
    def name(self) -> str:
        """How the network is run."""
        return self.forward.name if self.forward else "closed"

    def open_forward(self) -> Forward:
        """
        Give the way to run the network.

        :raises RuntimeError: if it was closed.
        """
        if self.forward is None:
            raise RuntimeError("this encoder is closed; make a new one")
        return self.forward

    def run(self, rows: Sequence[Sequence[int]], shared: int) -> Tensor:
        """
        Start one batch; on CUDA its result may still be on its way.

        :param rows: token ids of each row.
        :param shared: leading ids that all rows have in common.
        :returns: final hidden state of each row's last token, on the device. *Shape:* (rows, width)
        :raises RuntimeError: if the encoder is closed.
        """
        with self._my_turn():
            try:
                return self.open_forward()(rows, shared)
            except Exception as error:
                if memory.is_out_of_memory(error) and len(rows) == 1:
                    error.add_note(
                        f"One text of {len(rows[0])} tokens does not fit into the memory of {self._device} beside the model. "
                        "Use a smaller checkpoint, dtype='bfloat16', a smaller max_length, or free memory."
                    )
                raise

    def compile(self) -> None:
        """Have PyTorch compile the network at its next use."""
        with self._my_turn():
            self.open_forward().compile()

    def record(self, common: Sequence[int], span: int) -> None:
        """
        Record a graph for single rows (CUDA).

        :param common: ids of the prefix that they have in common.
        :param span: tokens of the longest of them, without the prefix.
        """
        with self._my_turn():
            self.open_forward().record(common, span)

    def close(self) -> None:
        """Free the network. Closing twice does nothing."""
        with self._my_turn():
            self.forward = None
        memory.release_cached(self._device)

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        with self._next_turn:  # who waits here goes before the thread that has just had its turn
            self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()
