"""Small vectors with rescoring: bytes back to floats, the library's search, and the evaluator's ranking, which must agree."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder, cli, rescoring
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.systems.ranking import rank_by_dot_product
from bmretriever_integrations.evaluation.systems.stored_vectors import STORED, VectorChoice, rank_stored
from bmretriever_integrations.evaluation.tasks.retrieval import load_task
from bmretriever_integrations.evaluation.tasks.similarity import load_any
from bmretriever_integrations.precision import PRECISIONS, quantize, ranges_of, restore
from bmretriever_integrations.rescoring import SmallVectors

RANDOM = np.random.default_rng(0)
WIDTH = 44  # no multiple of eight
LENGTHS = RANDOM.uniform(0.5, 2, (600, 1))  # not normalised: an angle does not tell the inner product
DOCUMENTS = (RANDOM.standard_normal((600, WIDTH)) * LENGTHS + 0.3).astype(np.float32)
QUERIES = (DOCUMENTS[:12] + RANDOM.standard_normal((12, WIDTH)) * 0.5).astype(np.float32)
EXACT = np.argsort(-(QUERIES @ DOCUMENTS.T), axis=1, kind="stable")
NOBODY = np.full(len(QUERIES), -1, np.int64)


def recall(rows, exact=EXACT, depth=10):
    return np.mean([len(set(a[:depth]) & set(b[:depth])) / depth for a, b in zip(rows, exact, strict=True)])


def ranked(choice, depth=10, blocks=(DOCUMENTS,), left_out=NOBODY, candidates=None):
    return rank_stored(QUERIES, blocks, depth, left_out, candidates, choice=choice)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_left_of_the_vectors(precision):
    ranges = ranges_of(DOCUMENTS) if "int8" in precision else None
    restored = restore(quantize(DOCUMENTS, precision, ranges), precision, WIDTH, ranges)
    if precision == "float32":
        np.testing.assert_array_equal(restored, DOCUMENTS)
    elif "int8" in precision:
        step = np.ptp(DOCUMENTS, axis=0) / 255
        assert (np.abs(restored - DOCUMENTS) <= 0.501 * step).all()
    else:
        np.testing.assert_array_equal(restored, np.where(DOCUMENTS > 0, 1, -1))


@pytest.mark.parametrize("precision", ["float16", "int8", "binary"])
def test_rescoring_everything_is_the_exact_search(precision):
    scores, rows = SmallVectors(DOCUMENTS, precision, kept="float32").search(QUERIES, 10, rescore_multiplier=60)
    np.testing.assert_array_equal(rows, EXACT[:, :10])
    np.testing.assert_allclose(scores, np.take_along_axis(QUERIES @ DOCUMENTS.T, rows, 1), rtol=1e-5)
    assert np.array_equal(ranked(VectorChoice(precision=precision, rescore=600)), EXACT[:, :10])


@pytest.mark.parametrize(("precision", "kept"), [("float16", "float16"), ("int8", "float32"), ("binary", "float32")])
@pytest.mark.parametrize("multiplier", [1, 4])
def test_library_and_evaluator_rank_alike(precision, kept, multiplier):
    _, rows = SmallVectors(DOCUMENTS, precision, kept=kept).search(QUERIES, 10, multiplier)
    found = ranked(VectorChoice(precision=precision, rescore=10 * multiplier))
    # signs alone tie often, and who is the last candidate is then FAISS's choice
    assert recall(rows, found) > (0.9 if precision == "binary" else 0.999)


def test_rescoring_mends_binary_most():
    plain, rescored = (recall(ranked(VectorChoice(precision="binary", rescore=n))) for n in (0, 100))
    assert plain < 0.4 < 0.6 < rescored
    assert recall(ranked(VectorChoice(precision="int8"))) > 0.95


def test_signs_against_the_full_query_beat_signs_against_signs():
    bits = SmallVectors(DOCUMENTS, "binary", kept=None)
    assert recall(bits.search(QUERIES, 10, 10)[1]) > recall(ranked(VectorChoice(precision="binary"))) + 0.05


def test_bytes_and_copies(tmp_path):
    assert [SmallVectors(DOCUMENTS, p).bytes_per_vector for p in ("float16", "int8", "binary")] == [88, 44, 6]
    small = SmallVectors(DOCUMENTS, "binary")
    before = small.search(QUERIES)[1]
    np.save(tmp_path / "copies.npy", small.copies)
    small.copies = np.load(tmp_path / "copies.npy", mmap_mode="r")
    np.testing.assert_array_equal(small.search(QUERIES)[1], before)


def test_ranges_of_a_sample_cut_what_lies_beyond():
    sample = ranges_of(DOCUMENTS[:100])
    own, foreign = SmallVectors(DOCUMENTS, ranges=None, kept=None), SmallVectors(DOCUMENTS, ranges=sample, kept=None)
    axes = np.eye(DOCUMENTS.shape[1], dtype=np.float32)  # a document's score along one is its number there
    largest, step = foreign.search(axes, 1)[0][:, 0], np.ptp(sample, axis=0) / 255
    assert (largest <= np.asarray(sample[1]) + step).all()
    assert (own.search(axes, 1)[0][:, 0] > np.asarray(sample[1]) + step).any()


def test_fewer_documents_than_asked_for():
    assert SmallVectors(DOCUMENTS[:3]).search(QUERIES, 10)[1].shape == (12, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmallVectors(DOCUMENTS.astype(np.float64)), r"float32, n at least 1, got \(600, 44\) float64"),
        (lambda: SmallVectors(DOCUMENTS, "int4"), "precision must be one of 'float16', 'int8', 'binary', got 'int4'"),
        (lambda: SmallVectors(DOCUMENTS, kept="int8"), "kept must be one of 'float32', 'float16', None, got 'int8'"),
        (lambda: SmallVectors(DOCUMENTS).search(QUERIES[:, :8]), r"must be \(n, 44\).*got \(12, 8\)"),
        (lambda: SmallVectors(DOCUMENTS).search(QUERIES, 10, 0), "must be at least 1, got 10 and 0"),
        (lambda: VectorChoice(precision="int4"), "must be one of float32, float16, int8, binary"),
        (lambda: VectorChoice(precision="int8", rescore=-1), "0 for none, got -1"),
        (lambda: VectorChoice(rescore=10), "are the full ones already"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_without_faiss_the_command_is_named(monkeypatch):
    monkeypatch.setattr(rescoring, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'bmretriever-integrations\[faiss\]'"):
        SmallVectors(DOCUMENTS)


@pytest.mark.parametrize("precision", STORED)
@pytest.mark.parametrize("rescore", [0, 30])
def test_blocks_change_nothing_and_left_out_stay_out(precision, rescore):
    if precision == "float32" and rescore:
        pytest.skip("refused")
    choice = VectorChoice(precision=precision, rescore=rescore)
    if precision != "int8":  # whose ranges are the first block's
        cut = ranked(choice, blocks=(DOCUMENTS[:7], DOCUMENTS[7:8], DOCUMENTS[8:]))
        assert np.array_equal(cut, ranked(choice))
    left_out = EXACT[:, 0].copy()
    assert all(row not in found for row, found in zip(left_out, ranked(choice, left_out=left_out), strict=True))
    pairs = np.array([[0, 0, 1], [5, 9, 9]])
    assert sorted(ranked(choice, candidates=pairs)[0]) == [5, 9]
    assert [len(found) for found in ranked(choice, candidates=pairs)][:3] == [2, 1, 0]


def test_plain_choice_is_the_plain_ranking():
    expected = rank_by_dot_product(QUERIES, [DOCUMENTS], 10, NOBODY)
    assert np.array_equal(ranked(VectorChoice()), expected)


def test_those_not_rescored_stay_behind():
    plain, some = (ranked(VectorChoice(precision="binary", rescore=n), depth=50) for n in (0, 20))
    for before, after in zip(plain, some, strict=True):
        assert set(before[:20]) == set(after[:20])
        assert before[20:].tolist() == after[20:].tolist()


@pytest.fixture
def tasks(write_task, tmp_path):
    documents = {f"d{n}": f"text {n} " * (n % 7 + 1) for n in range(40)}
    retrieval = write_task("my-task", documents, {"q": "text 3"}, [("q", "d3", 1)])
    pairs = tmp_path / "my-pairs"
    pairs.mkdir()
    rows = [{"sentence1": f"text {n}", "sentence2": f"word {n * n}", "score": n} for n in range(6)]
    (pairs / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return retrieval, pairs


def test_retriever_says_and_does_what_is_chosen(tiny, tasks):
    retrieval, pairs = load_task(tasks[0]), load_any(tasks[1])
    with BMRetrieverEncoder(tiny("llama"), device="cpu", dtype="float32") as encoder:
        plain = DenseRetriever("tiny", encoder)
        assert "vectors" not in plain.settings(retrieval)  # numbers of earlier reports stay good
        small = DenseRetriever("tiny", encoder, choice=VectorChoice(precision="binary", rescore=40))
        assert {"vectors": "binary", "rescored": 40}.items() <= small.settings(retrieval).items()
        assert np.array_equal(small.rank(retrieval, 10).ranking, plain.rank(retrieval, 10).ranking)
        bits = DenseRetriever("tiny", encoder, choice=VectorChoice(precision="binary"))
        assert not np.array_equal(bits.rank(retrieval, 40).ranking, plain.rank(retrieval, 40).ranking)
        found = bits.similarities(pairs)
        assert np.allclose(found * encoder.width, np.round(found * encoder.width), atol=1e-3)  # signs that agree
        int8 = DenseRetriever("tiny", encoder, choice=VectorChoice(precision="int8")).similarities(pairs)
        assert np.abs(int8 - plain.similarities(pairs)).max() < 0.05


def test_command(tiny, tasks, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bmretriever"])
    report = tmp_path / "report.json"
    options = ["--precision", "int8", "--rescore", "20", "--truncate-dim", "16", "--quantization", "int8"]
    where = ["--device", "cpu", "--json", str(report)]
    assert cli.main(["evaluate", str(tasks[0]), "--model", str(tiny("llama")), *options, *where]) == 0
    result = next(r for r in json.loads(report.read_text())["results"] if r["system"] != "BM25")
    expected = {"vectors": "int8", "rescored": 20, "width": 16, "quantization": "int8"}
    assert expected.items() <= result["settings"].items()
    assert cli.main(["evaluate", str(tasks[0]), "--model", str(tiny("llama")), "--rescore", "5"]) != 0
    assert "are the full ones already" in capsys.readouterr().err
