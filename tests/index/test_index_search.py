"""Searching: exact, the same with and without FAISS, and only what still counts is found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import IndexMismatch, SearchIndex, build_index, nearest, search, shards
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.supersession import Supersession


@pytest.fixture(scope="module")
def index(tmp_path_factory, encoder, write_jsonl) -> SearchIndex:
    folder = tmp_path_factory.mktemp("search")
    build_index(encoder, [write_jsonl(folder / "c.jsonl", 57)], folder / "i", shard_size=10)
    return SearchIndex.open(folder / "i")


@pytest.mark.parametrize("top_k", [1, 5, 23, 57, 500])
@pytest.mark.parametrize("backend", ["faiss", "numpy"])
def test_hits_are_the_largest_inner_products(index, encoder, monkeypatch, backend: str, top_k: int) -> None:
    if backend == "faiss":
        pytest.importorskip("faiss")
    else:
        monkeypatch.setattr(nearest, "find_spec", lambda _name: None)
    records, vectors = zip(*index.entries(), strict=True)
    query = encoder.encode_queries(["does aspirin prevent stroke"])[0]
    scores = np.stack(vectors) @ query
    hits = index.search(query, top_k)
    assert [hit.rank for hit in hits] == list(range(1, min(top_k, 57) + 1))
    rounding = 1e-6 * float(np.abs(scores).max())  # where a sum nearly cancels, that of its terms is left
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(scores)[::-1][:top_k], rtol=1e-5, atol=rounding)
    by_id = {record.id: (record, score) for record, score in zip(records, scores, strict=True)}
    for hit in hits:
        record, score = by_id[hit.id]
        assert (hit.title, hit.text) == (record.title, record.text)
        assert hit.score == pytest.approx(score, rel=1e-5, abs=rounding)
    assert len({hit.id for hit in hits}) == len(hits)


def test_queries_that_do_not_fit_are_refused(index) -> None:
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        index.search(np.zeros(64, np.float32), 0)
    with pytest.raises(ValueError, match=r"one vector of width 64, got shape \(1, 64\)"):
        index.search(np.zeros((1, 64), np.float32))


def test_its_engine_is_the_one_that_made_the_vectors(index, encoder) -> None:
    with index.open_encoder() as opened:
        assert opened.identity() == encoder.identity()


def test_a_changed_model_is_refused(tmp_path: Path, index) -> None:
    changed = SearchIndex(index.folder, Manifest(**{**vars(index.manifest)}))
    changed.manifest.encoder = {**index.manifest.encoder, "files_sha256": "0" * 64}
    with pytest.raises(IndexMismatch, match=r"had SHA-256 0000000000000000\.\.\. when .* and have"):
        changed.open_encoder()


def test_the_last_record_of_an_id_counts_unless_it_was_withdrawn_afterwards(tmp_path: Path, encoder) -> None:
    def article(pmid: int, title: str) -> str:
        return (
            f"<PubmedArticle><MedlineCitation><PMID>{pmid}</PMID><Article><ArticleTitle>{title}</ArticleTitle></Article>"
            "</MedlineCitation></PubmedArticle>"
        )

    gone = "<DeleteCitation><PMID>2</PMID><PMID>3</PMID><PMID>9</PMID></DeleteCitation>"
    first = "".join(article(i, f"old {i}") for i in range(1, 6)) + gone
    second = article(1, "new 1") + article(3, "new 3") + article(1, "newest 1")
    for name, content in (("1.xml", first), ("2.xml", second)):
        (tmp_path / name).write_text(f"<PubmedArticleSet>{content}</PubmedArticleSet>")
    report = build_index(encoder, [tmp_path / "1.xml", tmp_path / "2.xml"], tmp_path / "i", shard_size=3)
    assert (report.records, report.searchable, report.replaced, report.deleted) == (8, 4, 2, 2)
    opened = SearchIndex.open(tmp_path / "i")
    shown = ["newest 1", "new 3", "old 4", "old 5"]
    assert len(opened) == 4
    assert sorted(record.title for record, _ in opened.entries()) == sorted(shown)
    query = encoder.encode_queries(["old"])[0]
    assert sorted(hit.title for hit in opened.search(query, 100)) == sorted(shown)
    best = max(opened.entries(), key=lambda pair: pair[1] @ query)[0]
    assert opened.search(query, 1)[0].title == best.title  # hidden rows take no places


def test_supersession_agrees_with_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    ids = [str(i) for i in rng.integers(0, 300, 1000)]
    deleted = {str(i): int(rng.integers(0, 1001)) for i in rng.integers(0, 350, 40)}
    taken = Supersession()
    for record_id in ids:
        taken.add(record_id)
    replaced, gone = taken.hidden(deleted)
    living: dict[str, int] = {}
    lost: dict[int, str] = {}
    for row in range(len(ids) + 1):
        for record_id, place in deleted.items():
            if place == row and record_id in living:
                lost[living.pop(record_id)] = "deleted"
        if row < len(ids):
            if ids[row] in living:
                lost[living[ids[row]]] = "replaced"
            living[ids[row]] = row
    assert replaced.tolist() == sorted(row for row, why in lost.items() if why == "replaced")
    assert gone.tolist() == sorted(row for row, why in lost.items() if why == "deleted")


def test_vectors_are_read_where_they_lie(tmp_path: Path, monkeypatch) -> None:
    """Opening an index and searching in it copies no shard into memory."""
    rng = np.random.default_rng(0)
    entries = []
    for number in range(3):
        content = shards.serialize([Record(f"{number}-{i}", "Title", "text") for i in range(200)])
        entries.append(shards.write_shard(tmp_path, number, rng.standard_normal((200, 1024), np.float32), content))
    identity = {"model": "m", "revision": None, "files_sha256": "0", "dtype": "float32", "width": 1024}
    manifest = Manifest(encoder=identity, shard_size=200, batch_tokens=4096, sources=[], shards=entries)
    manifest.write(tmp_path)
    seen, plain = [], search.nearest
    monkeypatch.setattr(search, "nearest", lambda query, vectors, k: seen.append(vectors) or plain(query, vectors, k))
    hits = SearchIndex.open(tmp_path).search(np.ones(1024, np.float32), 10)
    assert len(hits) == 10
    assert len(seen) == 3
    assert all(isinstance(vectors, np.memmap) for vectors in seen)
    assert json.loads((tmp_path / "manifest.json").read_text())["complete"] is False
