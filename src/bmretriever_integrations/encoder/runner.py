"""Run the network on its device, one batch at a time, in the order in which the batches arrive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from bmretriever_integrations import device
from bmretriever_integrations.encoder import forked
from bmretriever_integrations.encoder.cancelling import check_cancelled
from bmretriever_integrations.encoder.fair_lock import FairLock

if TYPE_CHECKING:
    from torch import Tensor

    from bmretriever_integrations.encoder.batches import Batches
    from bmretriever_integrations.forward.choose import Forward


class Runner:
    """Runs the network on one batch at a time. Batches of several threads run in the order in which they arrive."""

    def __init__(self, forward: Forward, device: torch.device) -> None:
        """
        :param forward: the way to run the network.
        :param device: the network's device.
        """
        self.forward: Forward | None = forward
        self.pads, self.reuses_prefix = forward.pads, forward.reuses_prefix
        self._device = device
        self._turn = FairLock()
        self._process = os.getpid()
        forked.renew_after_fork(self)

    @property
    def name(self) -> str:
        """The way in which the network runs, or "closed"."""
        return self.forward.name if self.forward else "closed"

    @property
    def is_recordable(self) -> bool:
        """Whether single rows can run as one recorded graph."""
        return self._open().is_recordable

    def renew(self) -> None:
        """Replace the lock, in a process that was forked from the one where the network was loaded."""
        self._turn = FairLock()

    def check_open(self) -> None:
        """
        Check that the network was not freed and can be used in this process.

        :raises RuntimeError: if it was freed, or if it is on a device that a forked process cannot use.
        """
        self._open()
        if os.getpid() != self._process:
            forked.prepare(self._device)

    def _open(self) -> Forward:
        if self.forward is None:
            raise RuntimeError("this encoder is closed; make a new one")
        return self.forward

    def run(self, batches: Batches, done: Callable[[int], object]) -> list[Tensor]:
        """
        Run the network on batches, one after another. On CUDA, the results may not be complete when this returns.

        :param batches: the batches; they are made smaller if the device has too little memory.
        :param done: a function that is called after each batch with its number of rows.
        :returns: final hidden state of each row's last token, on the device, one tensor for each batch. *Shape:* (rows, width)
        :raises RuntimeError: if the encoder is closed, or if the coroutine that waits for the call was cancelled.
        """
        states: list[Tensor] = []
        while batches.left:
            check_cancelled()
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
        """Run one batch; return None if it is too large for the device's memory and has more than one row."""
        try:
            return self._turn.run(lambda: self._compute(rows, shared))
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

    def _compute(self, rows: list[Sequence[int]], shared: int) -> Tensor:
        with torch.autocast(self._device.type, enabled=False):  # a caller's autocast would change the number type
            return self._open()(rows, shared)

    def compile(self) -> bool:
        """Let PyTorch compile the network at its next use; return whether there is anything to compile."""
        return self._turn.run(lambda: self._open().compile())

    def record(self, common: Sequence[int], span: int) -> None:
        """
        Record a CUDA graph for single rows.

        :param common: ids of the prefix that the rows have in common.
        :param span: tokens of the longest row, without the prefix.
        """
        self._turn.run(lambda: self._open().record(common, span))

    def close(self) -> None:
        """Free the network. Closing twice does nothing."""
        self._turn.run(self._free)
        device.release_cached(self._device)

    def _free(self) -> None:
        self.forward = None
