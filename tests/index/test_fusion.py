"""The fusion of two rankings: a plain loop, LanceDB's own hybrid search and its normalised scores give the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.search.fusion import CANDIDATES, fuse, scaled

pa = pytest.importorskip("pyarrow")
pytest.importorskip("lancedb")

QUESTION = "fever of the lung"


def plain(by_vector: dict[int, float], by_words: dict[int, float], share: float) -> dict[int, tuple[float, float]]:
    """Fuse two dicts of scores, one row after the other: what each has from either side."""

    def part(scores: dict[int, float], row: int) -> float:
        if row not in scores:
            return 0.0
        low, high = min(scores.values()), max(scores.values())
        return 1.0 if high == low else (scores[row] - low) / (high - low)

    return {row: (share * part(by_vector, row), (1 - share) * part(by_words, row)) for row in {**by_vector, **by_words}}


def sides(by_vector: dict[int, float], by_words: dict[int, float]):
    def side(name, of):
        columns = {"id": [f"r{row}" for row in of], "_rowid": pa.array(of, pa.uint64())}
        return pa.table({**columns, name: pa.array(of.values(), pa.float32())})

    return side("_distance", {row: 1 - score for row, score in by_vector.items()}), side("_score", by_words)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    from bmretriever_integrations.index.schema import table_of
    from bmretriever_integrations.index.table import create_table

    draw = np.random.default_rng(3)
    words = ("fever", "lung", "heart", "cough", "statin", "cell")
    records = [Record(f"r{n}", "", " ".join(draw.choice(words, 6))) for n in range(300)]
    made = create_table(tmp_path_factory.mktemp("fusion"), 8, "float32")
    made.add(table_of(records, draw.standard_normal((300, 8)).astype(np.float32), ["made"] * 300, "float32"))
    return made


def of_both_sides(table, vector, question):
    from bmretriever_integrations.index.search.full_text import full_text_query

    by_vector = table.search(vector).distance_type("dot").select(["id", "_distance"])
    by_words = table.search(full_text_query(question), query_type="fts").select(["id", "_score"])
    return (side.with_row_id(True).limit(CANDIDATES).to_arrow() for side in (by_vector, by_words))


def test_scaled():
    assert scaled(np.array([3.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]
    assert scaled(np.array([2.0, 2.0])).tolist() == scaled(np.array([0.0, 0.0])).tolist() == [1, 1]
    assert scaled(np.array([])).tolist() == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_fuse_is_a_plain_loop(share):
    draw = np.random.default_rng(0)
    for vectors, words in ((50, 80), (1, 80), (0, 5), (5, 0), (1, 1)):
        left, right = (
            dict(zip(draw.permutation(90)[:count].tolist(), draw.standard_normal(count).tolist(), strict=True))
            for count in (vectors, words)
        )
        rows = np.array([*left, *right], np.int64)
        first, parts = fuse(rows[:vectors], [*left.values()], rows[vectors:], [*right.values()], share)
        right_parts = plain(left, right, share)
        assert rows[first].tolist() == sorted(right_parts)
        np.testing.assert_allclose(parts, [right_parts[row] for row in sorted(right_parts)], rtol=1e-12)


def test_fuse_of_nothing_is_nothing():
    nothing = np.empty(0)
    first, parts = fuse(nothing, nothing, nothing, nothing)
    assert (first.shape, parts.shape) == ((0,), (0, 2))


@pytest.mark.parametrize("share", [0.3, 0.5])
def test_the_reranker_fuses_plain_scores_best_first(share):
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    by_vector, by_words = {7: 0.9, 3: 0.5, 4: 0.1}, {3: 12.0, 9: 2.0, 7: 3.0}
    found = MinMaxReranker(share).rerank_hybrid("", *sides(by_vector, by_words))
    wanted = {row: sum(parts) for row, parts in plain(by_vector, by_words, share).items()}
    assert found["_rowid"].to_pylist() == sorted(wanted, key=lambda row: (-wanted[row], row))
    assert found["_relevance_score"].to_pylist() == pytest.approx(sorted(wanted.values(), reverse=True), abs=1e-6)
    assert found.column_names == ["id", "_rowid", "_relevance_score"]


def test_one_hit_is_a_full_score_and_a_missing_side_none():
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    alone = MinMaxReranker().rerank_hybrid("", *sides({}, {5: 3.0}))
    assert (alone["_rowid"].to_pylist(), alone["_relevance_score"].to_pylist()) == ([5], [0.5])
    both = MinMaxReranker().rerank_hybrid("", *sides({5: 0.4}, {5: 3.0}))
    assert both["_relevance_score"].to_pylist() == [1]


def test_equal_scores_by_id():
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    found = MinMaxReranker().rerank_hybrid("", *sides({9: 0.5, 3: 0.5, 20: 0.5}, {}))
    assert found["id"].to_pylist() == ["r20", "r3", "r9"]


@pytest.mark.parametrize("question", [QUESTION, "statin", "nothing that is there", "the"])
def test_lancedb_s_own_hybrid_search_gives_the_same(table, question):
    from bmretriever_integrations.index.search.full_text import full_text_query
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    vector = np.linspace(-1, 1, 8, dtype=np.float32)
    reranker = MinMaxReranker(return_score="all")
    query = table.search(query_type="hybrid").vector(vector).text(full_text_query(question))
    own = query.distance_type("dot").select(["id"]).limit(CANDIDATES).rerank(reranker=reranker).to_arrow()
    by_vector, by_words = of_both_sides(table, vector, question)
    ours = reranker.rerank_hybrid(question, by_vector, by_words).slice(0, CANDIDATES)
    assert own["id"].to_pylist() == ours["id"].to_pylist()
    assert own["_relevance_score"].to_pylist() == pytest.approx(ours["_relevance_score"].to_pylist(), abs=1e-6)
    distances = dict(zip(by_vector["id"].to_pylist(), by_vector["_distance"].to_pylist(), strict=True))
    assert own["_distance"].to_pylist() == [distances.get(key) for key in own["id"].to_pylist()]


def test_one_record_with_the_word_is_not_worth_nothing(table):
    """LanceDB's normalisation turns a single score into 0, so that its own rerankers ignore the only record with the word."""
    from bmretriever_integrations.index.search.full_text import full_text_query
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    vector = np.linspace(-1, 1, 8, dtype=np.float32)
    last = table.search(vector).distance_type("dot").select(["id", "_distance"]).limit(300).to_arrow()["id"][-1].as_py()
    table.update(where=f"id = '{last}'", values={"words": "unheard"})
    query = table.search(query_type="hybrid").vector(vector).text(full_text_query("unheard"))
    found = query.distance_type("dot").select(["id"]).limit(CANDIDATES).rerank(reranker=MinMaxReranker()).to_list()
    assert {row["id"]: row["_relevance_score"] for row in found}[last] == 0.5


def test_a_share_out_of_range_is_refused():
    from bmretriever_integrations.index.search.reranker import MinMaxReranker

    with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
        MinMaxReranker(1.5)


def test_the_index_and_its_fusion_are_imported_without_lancedb():
    code = (
        "import sys\n"
        "for name in ('lancedb', 'pyarrow'): sys.modules[name] = None\n"
        "import bmretriever_integrations.index\n"
        "from bmretriever_integrations.index.search.fusion import scaled\n"
        "from bmretriever_integrations.index.search.full_text import words_of\n"
        "print(scaled([2, 4]).tolist(), words_of('IL-6', ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.split("]")[0], done.stderr) == ("[0.0, 1.0", "")
