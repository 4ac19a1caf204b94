"""Searching: scores and order against NumPy on the stored vectors, and nothing that is asked wrongly is answered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.index import Filters, Hits, IndexMismatch, SearchIndex

QUESTION = "does aspirin prevent stroke"


def best(scores: dict[str, float], count: int) -> list[str]:
    return sorted(scores, key=lambda one: (-scores[one], one))[:count]


@pytest.fixture(scope="module")
def question(encoder) -> np.ndarray:
    return encoder.encode_queries([QUESTION])[0]


@pytest.mark.parametrize("top_k", [1, 5, 110, 590, 600, 10_000])
def test_vector_hits_are_the_largest_inner_products_with_the_stored_vectors(stored, index, question, top_k) -> None:
    scores = stored.scores(question)
    hits = index.search(question, top_k, include_retracted=True)
    assert [hit.id for hit in hits] == best(scores, top_k)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    np.testing.assert_allclose([hit.score for hit in hits], [scores[hit.id] for hit in hits], rtol=1e-6)
    assert hits.retracted_left_out == 0


def test_hits_carry_the_record_and_its_metadata(stored, index, question) -> None:
    by_id = {record.id: record for record in stored.records}
    for hit in index.search(question, 600, include_retracted=True):
        record = by_id[hit.id]
        assert (hit.title, hit.text) == (record.title, record.text)
        assert hit.metadata == record.metadata.facts()


def test_equal_scores_are_sorted_by_id_wherever_the_list_ends(write_index, some_records, tmp_path) -> None:
    vectors = np.tile(np.random.default_rng(1).standard_normal((3, 8), np.float32), (200, 1))
    same = write_index(tmp_path / "i", some_records, vectors)
    scores = same.scores(vectors[0])
    with SearchIndex.open(same.folder) as opened:
        for top_k in (1, 7, 150, 250):
            hits = opened.search(vectors[0], top_k, include_retracted=True)
            assert [hit.id for hit in hits] == best(scores, top_k)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("vector_type", ["float16", "float32"])
def test_scores_are_exact_for_questions_of_any_length(write_index, some_records, tmp_path, scale, vector_type) -> None:
    rng = np.random.default_rng(3)
    # nearly equal vectors: a question rounded to float16 would put them into another order
    vectors = rng.standard_normal(32).astype(np.float32) + rng.standard_normal((600, 32), np.float32) * 0.01
    stored = write_index(tmp_path / "i", some_records, vectors, vector_type)
    question = rng.standard_normal(32).astype(np.float32) * np.float32(scale)
    scores = stored.scores(question)
    with SearchIndex.open(stored.folder) as opened:
        hits = opened.search(question, 40, include_retracted=True)
    assert [hit.id for hit in hits] == best(scores, 40)
    np.testing.assert_allclose([hit.score for hit in hits], [scores[hit.id] for hit in hits], rtol=1e-6)


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_question_is_embedded_by_the_engine_of_the_index(index, question, mode) -> None:
    by_words = index.search(QUESTION, 10, mode=mode)
    assert len(by_words) == 10
    if mode == "vector":
        assert [hit.id for hit in by_words] == [hit.id for hit in index.search(question, 10)]


def test_the_instruction_changes_the_question(index, encoder) -> None:
    other = encoder.encode_queries([QUESTION], "Find similar papers")[0]
    hits = index.search(QUESTION, 10, mode="vector", instruction="Find similar papers")
    assert [hit.score for hit in hits] == [hit.score for hit in index.search(other, 10)]
    assert [hit.score for hit in hits] != [hit.score for hit in index.search(QUESTION, 10, mode="vector")]


def test_text_scores_are_those_of_the_full_text_index(stored, index) -> None:
    from bmretriever_integrations.index.search.full_text import full_text_query
    from bmretriever_integrations.index.table import open_table

    query = open_table(stored.folder).search(full_text_query("insulin biopsy"), query_type="fts").limit(600)
    scores = {row["id"]: row["_score"] for row in query.select(["id", "_score"]).to_list()}
    for top_k in (1, 10, 600):
        hits = index.search("insulin biopsy", top_k, mode="text", include_retracted=True)
        assert [hit.id for hit in hits] == best(scores, top_k)
        assert [hit.score for hit in hits] == [scores[hit.id] for hit in hits]


def test_text_needs_no_model(stored) -> None:
    with SearchIndex.open(stored.folder, model="/nowhere") as opened:
        assert opened.search("insulin", 3, mode="text")
        assert opened.more_like("r3", 3)
        with pytest.raises(FileNotFoundError, match=r"--model FOLDER, or model= in Python"):
            opened.search("insulin", 3, mode="vector")


def half(side: Hits) -> dict[str, float]:
    """The plain computation of what one side gives: its scores scaled to 0..0.5."""
    scores = {hit.id: hit.score for hit in side}
    low, high = min(scores.values()), max(scores.values())
    return {one: 0.5 if high == low else (score - low) / (high - low) / 2 for one, score in scores.items()}


def added(vectors: dict[str, float], words: dict[str, float]) -> dict[str, float]:
    return {one: vectors.get(one, 0.0) + words.get(one, 0.0) for one in {**vectors, **words}}


@pytest.mark.parametrize("filters", [None, "year > 2005"])
def test_hybrid_is_half_of_each_side_over_their_best_hundred(index, filters) -> None:
    vectors, words = (half(index.search(QUESTION, 100, mode=mode, filters=filters)) for mode in ("vector", "text"))
    right = added(vectors, words)
    hits = index.search(QUESTION, 20, filters=filters)
    np.testing.assert_allclose([hit.score for hit in hits], sorted(right.values(), reverse=True)[:20], rtol=1e-5)
    np.testing.assert_allclose([hit.score for hit in hits], [right[hit.id] for hit in hits], rtol=1e-5)


@pytest.mark.parametrize("filters", [None, "year > 2005"])
def test_a_hybrid_hit_says_what_its_score_has_from_each_side(index, filters) -> None:
    vectors, words = (half(index.search(QUESTION, 100, mode=mode, filters=filters)) for mode in ("vector", "text"))
    hits = index.search(QUESTION, 100, filters=filters)
    assert [hit.from_vectors + hit.from_words for hit in hits] == [hit.score for hit in hits]
    for side, parts in (
        (vectors, {hit.id: hit.from_vectors for hit in hits}),
        (words, {hit.id: hit.from_words for hit in hits}),
    ):
        np.testing.assert_allclose([*parts.values()], [side.get(one, 0.0) for one in parts], rtol=1e-5, atol=1e-9)
        assert {part for one, part in parts.items() if one not in side} == {0.0}


def test_scores_of_one_side_have_no_parts(index, question) -> None:
    hits = [*index.search(question, 5), *index.search(QUESTION, 5, mode="text"), *index.more_like("r3", 5, mode="text")]
    assert {(hit.from_vectors, hit.from_words) for hit in hits} == {(None, None)}


def test_hits_that_are_like_a_record_and_those_of_many_questions_have_parts(index) -> None:
    first, second = index.search_many([QUESTION, "insulin biopsy"], 5)
    for hit in (*first, *second, *index.more_like("r3", 5)):
        assert hit.from_vectors + hit.from_words == hit.score > 0
    assert first == index.search(QUESTION, 5)


def test_hybrid_without_a_word_that_occurs_ranks_by_vectors(index) -> None:
    hits = index.search("xylophone", 5)
    assert [hit.id for hit in hits] == [hit.id for hit in index.search("xylophone", 5, mode="vector")]


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
@pytest.mark.parametrize("top_k", [1, 7, 60])
def test_retracted_papers_are_left_out_before_ranking_and_counted(stored, index, mode, top_k) -> None:
    retracted = {record.id for record in stored.records if record.metadata.retracted}
    everything = index.search(QUESTION, 600, mode=mode, include_retracted=True)
    hits = index.search(QUESTION, top_k, mode=mode)
    assert len(hits) == top_k
    assert not retracted & {hit.id for hit in hits}
    assert all(hit.metadata["retracted"] is True for hit in everything if hit.id in retracted)
    if mode != "hybrid":  # whose scores depend on what is compared
        shown = [hit for hit in everything if hit.id not in retracted][:top_k]
        assert [hit.id for hit in hits] == [hit.id for hit in shown]
        among = [hit for hit in everything if hit.id in retracted and hit.score >= shown[-1].score]
        assert hits.retracted_left_out == len(among)


def test_hybrid_counts_the_retracted_papers_above_its_last_hit(index, stored) -> None:
    retracted = {record.id for record in stored.records if record.metadata.retracted}
    sides = []
    for mode in ("vector", "text"):  # the best hundred that are not retracted, and the retracted ones among them
        last = index.search(QUESTION, 100, mode=mode)[-1]
        ranked = [hit.id for hit in index.search(QUESTION, 600, mode=mode, include_retracted=True)]
        among = index.search(QUESTION, ranked.index(last.id) + 1, mode=mode, include_retracted=True)
        sides.append(half(among))
    together = added(*sides)
    counted = 0
    for top_k in (5, 30, 90):
        last = sorted((score for one, score in together.items() if one not in retracted), reverse=True)[top_k - 1]
        right = sum(score >= last for one, score in together.items() if one in retracted)
        assert index.search(QUESTION, top_k).retracted_left_out == right
        counted += right
    assert counted > 0


def test_an_index_of_nothing_but_retracted_papers(index, question) -> None:
    hits = index.search(question, 5, filters="retracted")
    assert (list(hits), hits.retracted_left_out) == ([], 55)
    assert len(index.search(question, 5, filters="retracted", include_retracted=True)) == 5


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_filters_come_before_ranking(stored, index, mode) -> None:
    late = {record.id for record in stored.records if int((record.metadata.date or "0")[:4]) > 2020}
    everything = index.search(QUESTION, 600, mode="vector", include_retracted=True)
    hits = index.search(QUESTION, 8, mode=mode, filters="year > 2020", include_retracted=True)
    assert len(hits) == 8
    assert {hit.id for hit in hits} <= late
    if mode == "vector":
        assert [hit.id for hit in hits] == [hit.id for hit in everything if hit.id in late][:8]


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_filter_that_nothing_fulfils(index, mode) -> None:
    hits = index.search(QUESTION, 8, mode=mode, filters="year > 3000")
    assert isinstance(hits, Hits)
    assert (list(hits), hits.retracted_left_out) == ([], 0)


def test_an_empty_table_has_no_hits(write_index, tmp_path: Path, encoder) -> None:
    write_index(tmp_path / "i", [], np.empty((0, encoder.width), np.float32))
    with SearchIndex.open(tmp_path / "i") as opened:
        assert len(opened) == 0
        for mode in ("vector", "text", "hybrid"):
            assert opened.search(QUESTION, 3, mode=mode) == []
        assert opened.search_many(np.ones((2, encoder.width), np.float32)) == [[], []]


@pytest.mark.parametrize(("query", "options", "words"), [
    (np.zeros(64), {"top_k": 0}, "top_k must be at least 1, got 0"),
    (np.zeros(64), {"top_k": 2.5}, "top_k must be a whole number, got 2.5"),
    (np.zeros(64), {"top_k": None}, "top_k must be a whole number, got None"),
    ("aspirin", {"mode": "text", "filters": "cast(id as int) = 1"}, r"LanceDB cannot filter by 'cast.*Int32 type\. docs/filters"),
    ("aspirin", {"mode": "text", "filters": Filters(where="year = 'x'")}, "LanceDB cannot filter by \"year = 'x'\": .*literal"),
    (np.zeros(63), {}, r"a vector for this index has shape \(64,\), got \(63,\)"),
    (np.zeros((1, 64)), {}, r"has shape \(64,\), got \(1, 64\)"),
    (np.full(64, np.nan), {}, "not finite"),
    (np.full(64, np.inf), {}, "not finite"),
    (" \n", {}, "the question is empty"),
    ("aspirin", {"mode": "fuzzy"}, "mode must be one of hybrid, vector, text; got 'fuzzy'"),
    (np.zeros(64), {"mode": "text"}, "a vector has no words"),
    (np.zeros(64), {"mode": "hybrid"}, "a vector has no words"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_refused(index, query, options, words) -> None:
    with pytest.raises(ValueError, match=words):
        index.search(query, **options)
    with pytest.raises(ValueError, match=words):
        index.search_many([query], **options)


@pytest.mark.parametrize("top_k", [2**31, 2**63, 2**70])
def test_more_than_any_table_has_is_all_of_it(index, question, top_k) -> None:
    assert len(index.search(question, top_k, include_retracted=True)) == len(index)


def test_one_question_or_id_is_no_list_of_them(index) -> None:
    with pytest.raises(ValueError, match="search_many takes a list of questions"):
        index.search_many("abc")
    with pytest.raises(ValueError, match=r"ids are texts, and several are a list of texts.*got 'r12'"):
        index.get("r12")
    for ask in (index.more_like, lambda one: index.get([one])):
        with pytest.raises(ValueError, match=r"ids are texts.*got \[33419956\]"):
            ask(33419956)


def test_a_narrower_model_is_refused_as_another_one(tiny, write_index, some_records, tmp_path) -> None:
    wide = write_index(tmp_path / "i", some_records[:5], np.ones((5, 128), np.float32))
    with (
        SearchIndex.open(wide.folder, model=tiny("gemma")) as opened,
        pytest.raises(IndexMismatch, match="would not fit"),
    ):
        opened.search(QUESTION)


def test_records_and_vectors_are_given_out(stored, index) -> None:
    found = {record.id: (record, vector) for record, vector in index.entries()}
    assert len(index) == len(found) == len(stored.records)
    for record, vector in zip(stored.records, stored.vectors, strict=True):
        assert found[record.id][0] == record
        assert found[record.id][1].dtype == np.float32
        np.testing.assert_array_equal(found[record.id][1], vector)


def test_records_are_read_by_id_in_the_order_asked_for(stored, index) -> None:
    wanted = [stored.records[number] for number in (7, 3, 599, 3)]
    assert index.get([record.id for record in wanted]) == wanted
    assert index.get([]) == []
    with pytest.raises(ValueError, match=r"has no record \"it's\", 'x'"):
        index.get(["r1", "x", "it's"])


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_more_like_this_leaves_the_record_itself_out(stored, index, mode) -> None:
    record, vector = stored.records[95], stored.vectors[95]
    hits = index.more_like("r95", 10, mode=mode)
    assert len(hits) == 10
    assert "r95" not in [hit.id for hit in hits]
    if mode == "vector":
        assert hits[0].id == "r105"  # which has the same vector
        assert [hit.id for hit in hits] == [hit.id for hit in index.search(vector, 11) if hit.id != "r95"]
    if mode == "text":
        found = index.search(record.title, 11, mode="text")
        assert [hit.id for hit in hits] == [hit.id for hit in found if hit.id != "r95"][:10]


def test_more_like_an_unknown_record_is_refused(index) -> None:
    with pytest.raises(ValueError, match="has no record 'nobody'"):
        index.more_like("nobody")
