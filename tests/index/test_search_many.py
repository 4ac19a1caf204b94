"""Many questions at once are answered as one by one."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations.index import SearchIndex


def same(many, single) -> None:
    assert len(many) == len(single)
    for one, other in zip(many, single, strict=True):
        assert [hit.id for hit in one] == [hit.id for hit in other]
        np.testing.assert_allclose([hit.score for hit in one], [hit.score for hit in other], rtol=1e-5)
        assert [hit.metadata for hit in one] == [hit.metadata for hit in other]
        assert one.retracted_left_out == other.retracted_left_out


@pytest.mark.parametrize("top_k", [1, 10, 700])
@pytest.mark.parametrize("options", [{}, {"filters": "year < 2000"}, {"include_retracted": True}, {"filters": "false"}])
def test_vectors(index, encoder, top_k, options) -> None:
    questions = np.random.default_rng(0).standard_normal((23, encoder.width), np.float32)
    questions[7] = questions[3]
    many = index.search_many(questions, top_k, **options)
    same(many, [index.search(question, top_k, **options) for question in questions])
    same([many[3]], [many[7]])


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_questions(index, mode) -> None:
    questions = ["aspirin and stroke", "insulin", "aspirin and stroke", "xylophone", "biopsy of a tumour"]
    many = index.search_many(questions, 7, mode=mode, filters="year > 1995")
    same(many, [index.search(question, 7, mode=mode, filters="year > 1995") for question in questions])


@pytest.mark.parametrize("mode", ["hybrid", "vector"])
def test_questions_with_vectors_of_their_own(index, stored, encoder, mode) -> None:
    questions = ["aspirin and stroke", "insulin"]
    same(
        index.search_many(questions, 7, mode=mode, vectors=encoder.encode_queries(questions)),
        index.search_many(questions, 7, mode=mode),
    )
    swapped = index.search_many(questions[:1], 100, mode=mode, vectors=stored.vectors[:1], include_retracted=True)[0]
    assert max(swapped, key=lambda hit: stored.scores(stored.vectors[0])[hit.id]).id == "r0"
    with pytest.raises(ValueError, match="the queries themselves are vectors"):
        index.search_many(stored.vectors[:1], vectors=stored.vectors[:1])
    with pytest.raises(ValueError, match="shape"):
        index.search_many(questions, vectors=stored.vectors[:2, 1:])


def test_near_ties_across_the_whole_table(write_index, some_records, tmp_path) -> None:
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.standard_normal((40, 16), np.float32), 15, axis=0)
    vectors[::2] += np.float32(1e-3)
    stored = write_index(tmp_path / "i", some_records, vectors)
    questions = rng.standard_normal((9, 16), np.float32)
    with SearchIndex.open(stored.folder) as opened:
        for top_k in (3, 50):
            many = opened.search_many(questions, top_k)
            same(many, [opened.search(question, top_k) for question in questions])
            right = stored.scores(questions[4])
            shown = [one.id for one in stored.records if not one.metadata.retracted]
            assert [hit.id for hit in many[4]] == sorted(shown, key=lambda one: (-right[one], one))[:top_k]


def test_more_questions_than_one_pass_takes(index, stored, encoder) -> None:
    questions = np.random.default_rng(4).standard_normal((700, encoder.width), np.float32)
    found = index.search_many(questions, 2, include_retracted=True)
    assert len(found) == 700
    for question, hits in zip(questions, found, strict=True):
        right = stored.scores(question)
        assert [hit.id for hit in hits] == sorted(right, key=lambda one: (-right[one], one))[:2]


def test_no_questions_and_mixed_ones(index, encoder) -> None:
    assert index.search_many([]) == []
    with pytest.raises(ValueError, match="all must be vectors; got both"):
        index.search_many(["aspirin", np.zeros(encoder.width, np.float32)])
    with pytest.raises(ValueError, match="question 1 is empty"):
        index.search_many(["aspirin", " "])
