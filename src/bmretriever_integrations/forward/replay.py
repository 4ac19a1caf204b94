"""
One row on CUDA as one recorded graph: the processor launches one thing instead of hundreds.

A graph has fixed shapes and addresses, so it is recorded for a length; shorter rows are padded on the right, where no real
token sees the padding.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bmretriever_integrations.forward.layout import Layout, Prefix, move

WARM_UPS = 2
"""Runs before recording, in which libraries choose their kernels and take their memory (three in PyTorch's own examples,
for training, where gradients come in the second)."""

_recording = threading.Lock()  # PyTorch: "only one capture may be underway at a time in the process"


class Replay:
    """The network for one row of up to ``span`` tokens. On other devices than CUDA nothing is recorded and it simply runs."""

    def __init__(
        self,
        run: Callable[[Tensor, Layout], Tensor],
        span: int,
        device: torch.device,
        prefix: Prefix | None,
        stream: torch.cuda.Stream | None,
    ) -> None:
        """
        :param run: (ids, layout) -> *Shape:* (1, width)
        :param span: tokens, without those of the prefix; at least 2.
        :param device: where the network is.
        :param prefix: what stands before the row.
        :param stream: the device's stream to record on; None on other devices than CUDA. A graph that goes frees the workspace
            of its stream's matrix products, so graphs of one stream must go together; PyTorch's default is one stream for the
            whole process.
        """
        # length 1 where the span is more: the layout then reads the row's end from ``last``, which is set before each run
        self._layout = Layout((1,), (span,), device, prefix, is_resizable=True)
        self._ids = torch.zeros(span, dtype=torch.int64, device=device)
        self._run = run
        self._graph: torch.cuda.CUDAGraph | None = None
        if stream is not None:
            with _recording, torch.cuda.device(device):  # a graph is recorded on the current one
                self._record(stream)

    def _record(self, stream: torch.cuda.Stream) -> None:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._run(self._ids, self._layout)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": other threads may go on with other engines
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            self._output = self._run(self._ids, self._layout)
        self._graph = graph

    def __call__(self, row: Sequence[int]) -> Tensor:
        """
        Run one row.

        :param row: its token ids, without those of the prefix; at most ``span``.
        :returns: *Shape:* (1, width)
        """
        self._ids[: len(row)].copy_(move(torch.tensor(row), self._ids.device), non_blocking=True)
        self._layout.resize(len(row))
        if self._graph is None:
            return self._run(self._ids, self._layout)
        self._graph.replay()
        return self._output.clone()  # the next replay writes over it
