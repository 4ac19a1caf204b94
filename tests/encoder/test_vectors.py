"""One array, filled window by window; equal texts are embedded once."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.tokens import WINDOWS
from bmretriever_integrations.encoder.transfer import Arriving

TEXTS = ["fever", "stroke", "fever", "", "stroke", "fever"]


def test_equal_texts_are_run_once(tiny, watch):
    encoder = BMRetrieverEncoder(tiny("llama"), dtype="float32")
    rows = []
    watch(lambda run, lengths: rows.append(len(lengths)) or run())
    vectors = encoder.encode_passages(TEXTS)
    assert sum(rows) == 3
    for row, text in enumerate(TEXTS):
        assert np.array_equal(vectors[row], vectors[TEXTS.index(text)])
    np.testing.assert_allclose(vectors[3], encoder.encode_passages([""])[0], rtol=1e-4, atol=1e-5)


def test_equal_texts_with_different_titles_are_different(tiny, watch):
    encoder = BMRetrieverEncoder(tiny("llama"))
    rows = []
    watch(lambda run, lengths: rows.append(len(lengths)) or run())
    encoder.encode_passages(["fever", "fever", "fever"], ["one", "two", "one"])
    assert sum(rows) == 2


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:2]])
def test_vectors_go_straight_into_the_callers_memory_map(tiny, tmp_path, texts):
    encoder = BMRetrieverEncoder(tiny("llama"), normalize=True)
    file = np.lib.format.open_memmap(tmp_path / "v.npy", mode="w+", dtype=np.float32, shape=(len(texts), 64))
    assert encoder.encode_passages(texts, out=file) is file
    file.flush()
    assert np.load(tmp_path / "v.npy").tobytes() == encoder.encode_passages(texts).tobytes()
    into = np.zeros((len(texts), 64), np.float32)
    assert encoder.encode_queries(texts, "scifact", out=into) is into
    assert into.tobytes() == encoder.encode_queries(texts, "scifact").tobytes()


def test_an_array_that_does_not_fit_is_refused_and_left_as_it_was(tiny):
    encoder = BMRetrieverEncoder(tiny("llama"))
    for out, error, message in (
        (np.zeros((2, 64)), TypeError, "out must be a float32 ndarray or memmap, got float64"),
        ([[0.0] * 64] * 2, TypeError, "got list"),
        (np.zeros((3, 64), np.float32), ValueError, r"shape \(2, 64\), texts by width, got \(3, 64\)"),
        (np.broadcast_to(np.zeros(64, np.float32), (2, 64)), ValueError, "may not be written"),
    ):
        with pytest.raises(error, match=message):
            encoder.encode_passages(["a", "b"], out=out)
        assert not np.any(out)


def test_nobody_waits_for_a_window_before_the_next_one_was_started(tiny, monkeypatch):
    events = []

    class Watched(Arriving):
        def __init__(self, states, width):
            super().__init__(states, width)
            self.number = len([event for event in events if event[0] == "start"])
            events.append(("start", self.number))

        def array(self):
            events.append(("wait", self.number))
            return super().array()

    monkeypatch.setattr("bmretriever_integrations.encoder.encoder.Arriving", Watched)
    encoder = BMRetrieverEncoder(tiny("llama"))
    encoder.encode_passages([str(number) for number in range(sum(WINDOWS[:2]) + 1)])  # three windows
    assert events == [("start", 0), ("start", 1), ("wait", 0), ("start", 2), ("wait", 1), ("wait", 2)]
    events.clear()
    assert encoder.encode_passages([]).shape == (0, 64)
    assert events == []
