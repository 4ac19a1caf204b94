"""
Run one row on CUDA as a recorded graph, which the CPU starts by one call instead of hundreds.

A graph has fixed shapes and addresses, so it is recorded for one length. Shorter rows are padded on the right, where the padding
changes no real token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bmretriever_integrations.forward.layout import Layout, Prefix, move

WARM_UPS = 2
"""The number of runs before recording, in which libraries choose their kernels and allocate memory. PyTorch's examples have three
runs, but they are for training, where the second run is the first with gradients."""

_recording = threading.Lock()  # PyTorch: "only one capture may be underway at a time in the process"


class Replay:
    """The network for one row of up to ``span`` tokens. It is recorded on CUDA; on other devices it runs without a recording."""

    def __init__(
        self,
        run: Callable[[Tensor, Layout], Tensor],
        span: int,
        device: torch.device,
        prefix: Prefix | None,
        stream: torch.cuda.Stream | None,
    ) -> None:
        """
        :param run: a function of ids and layout that runs the network. *Shape:* (1, width)
        :param span: the most tokens of a row without the prefix; at least 2.
        :param device: the network's device.
        :param prefix: the prefix of the row, or None.
        :param stream: the stream of the device on which the graph is recorded; None on other devices than CUDA. A deleted graph
            frees the workspace of its stream's matrix products, so graphs of one stream must be deleted together. By default,
            PyTorch uses one stream for the whole process.
        """
        # A length of 1, below the span, makes the layout read the row's end from ``last``, which is set before each run.
        self._layout = Layout((1,), (span,), device, prefix, is_resizable=True)
        self._ids = torch.zeros(span, dtype=torch.int64, device=device)
        self._run = run
        self._graph: torch.cuda.CUDAGraph | None = None
        if stream is not None:
            with _recording, torch.cuda.device(device):  # a graph is recorded on the current device
                self._record(stream)

    def _record(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._run(self._ids, self._layout)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # "thread_local" lets other threads use other engines meanwhile
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._output = self._run(self._ids, self._layout)
        self._graph = graph

    def __call__(self, row: Sequence[int]) -> Tensor:
        """
        Run one row.

        :param row: its token ids without the prefix; at most ``span`` of them.
        :returns: *Shape:* (1, width)
        """
        self._ids[: len(row)].copy_(move(torch.tensor(row), self._ids.device), non_blocking=True)
        self._layout.resize(len(row))
        if self._graph is None:
            return self._run(self._ids, self._layout)
        self._graph.replay()
        return self._output.clone()  # because the next replay overwrites it
