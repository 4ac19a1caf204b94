"""The engine computes with one thread where more bring nothing, and the process has its threads again afterwards."""

from __future__ import annotations

import pytest
import torch

from bmretriever_integrations.serving import threads
from bmretriever_integrations.serving.threads import chosen_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("long", "quick", "as_fast", "chosen"),
    [(100.0, 100.0, 1000.0, 1), (100.0, 100.0, 0.0, 2), (100.0, 0.0, 1000.0, 2), (0.0, 100.0, 1000.0, 2)],
)
def test_threads_are_chosen_by_what_a_batch_takes(mini, two_threads, monkeypatch, long, quick, as_fast, chosen):
    monkeypatch.setattr(threads, "QUICK_SECONDS", quick)
    monkeypatch.setattr(threads, "LONG_SECONDS", long)
    monkeypatch.setattr(threads, "AS_FAST", as_fast)
    with chosen_threads(mini) as number:
        assert number == torch.get_num_threads() == chosen
    assert torch.get_num_threads() == 2


class Recorder:
    """An engine that notes what it is given."""

    device = torch.device("cpu")

    def __init__(self):
        self.batches = []

    def encode_queries(self, texts):
        self.batches.append(texts)


def test_no_text_of_a_measured_batch_is_there_twice(two_threads):
    recorder = Recorder()
    with chosen_threads(recorder):
        pass
    assert recorder.batches
    for texts in recorder.batches:  # the engine embeds equal texts once
        assert len(set(texts)) == threads.BATCH_QUERIES
        assert len({len(text.split()) for text in texts}) == threads.BATCH_QUERIES
