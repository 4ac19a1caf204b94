"""The network and its device: one batch at a time, in order of arrival."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bmretriever_integrations import device

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from bmretriever_integrations.encoder.batches import Batches
    from bmretriever_integrations.forward.choose import Forward


class Runner:
    """Runs the network on one batch at a time; the batches of several threads are run in the order in which they come."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        """
        :param forward: the way to run the network.
        :param device: where the network is.
        """
        self.forward: Forward | None = forward
        self.pads, self.reuses_prefix = forward.pads, forward.reuses_prefix
        self._device = device
        self._queue, self._busy = threading.Lock(), threading.Lock()

    @property
    def name(self) -> str:
        """How the network is run."""
        return self.forward.name if self.forward else "closed"

    @property
    def is_recordable(self) -> bool:
        """Whether single rows can run as one recorded graph."""
        return self._open().is_recordable

    def check_open(self) -> None:
        """
        Refuse to work on without a network.

        :raises RuntimeError: if it was freed.
        """
        self._open()

    def _open(self) -> Forward:
        if self.forward is None:
            raise RuntimeError("this encoder is closed; make a new one")
        return self.forward

    def run(self, batches: Batches, done: Callable[[int], object]) -> list[Tensor]:
        """
        Start the network on batches, one after the other; on CUDA the results may still be on their way.

        :param batches: are made smaller where the device has too little memory.
        :param done: told after each batch how many rows it had.
        :returns: final hidden state of each row's last token, on the device, batch by batch. *Shape:* (rows, width) each
        :raises RuntimeError: if the encoder is closed.
        """
        states: list[Tensor] = []
        while batches.left:
            rows = batches.next()
            state = self._run_batch(rows, batches.shared)
            if state is None:
                device.release_cached(self._device)
                batches.halve()
            else:
                states.append(state)
                done(len(rows))
        return states

    def _run_batch(self, rows: list[Sequence[int]], shared: int) -> Tensor | None:
        """Start one batch; None if it is too large for the device's memory and could be smaller."""
        with self._queue:  # who waits here goes before the thread that has just run a batch
            self._busy.acquire()
        try:
            return self._open()(rows, shared)
        except Exception as error:
            if not device.is_out_of_memory(error):
                raise
            if len(rows) > 1:
                return None
            error.add_note(
                f"One text of {len(rows[0])} tokens does not fit into the memory of {self._device} beside the model. "
                "Use a smaller checkpoint, dtype='bfloat16', a smaller max_length, or free memory."
            )
            raise
        finally:
            self._busy.release()

    def compile(self) -> None:
        """Have PyTorch compile the network at its next use."""
        with self._busy:
            self._open().compile()

    def record(self, common: Sequence[int], span: int) -> None:
        """
        Record a graph for single rows (CUDA).

        :param common: ids of the prefix that they have in common.
        :param span: tokens of the longest of them, without the prefix.
        """
        with self._busy:
            self._open().record(common, span)

    def close(self) -> None:
        """Free the network. Closing twice does nothing."""
        with self._busy:
            self.forward = None
        device.release_cached(self._device)
