"""The hybrid system is the index's own search, over documents that are embedded once for it and for the dense system."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.evaluation.systems.comparison import compare
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.tasks.retrieval import load_task

pytest.importorskip("lancedb")

DOCUMENTS = {
    "d1": ("Aspirin", "lowers fever in adults"),
    "d2": "insulin lowers glucose",
    "d3": ("Statins", "lower cholesterol and the risk of stroke"),
    "d4": "IL-6 rises in sepsis",
    "d5": "BRCA1 mutations raise the risk of breast cancer",
    "q2": "sickle cell anaemia",
    "it's": "fever, fever and more fever",
}
QUERIES = {"q1": "what lowers fever?", "q2": "sickle cell anaemia", "q3": "IL6", "q4": "the of"}


@pytest.fixture
def encoder():
    with BMRetrieverEncoder("mini", dtype="float32", device="cpu") as engine:
        yield engine


@pytest.fixture
def task(write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1), ("q2", "d2", 1), ("q3", "d4", 1), ("q4", "d5", 1)])
    return load_task(folder, queries_are_documents=True)


@pytest.fixture
def systems(tmp_path, encoder):
    from bmretriever_integrations.evaluation.systems.hybrid import HybridRetriever, TaskIndices

    folder = tmp_path / "indices"
    folder.mkdir()
    indices = TaskIndices(folder, encoder)
    dense = DenseRetriever("mini", encoder, indices=indices)
    return dense, HybridRetriever("mini hybrid", dense, indices)


def names(task, ranking):
    return [[task.document_ids[place] for place in row.tolist()] for row in ranking]


def test_it_is_what_an_index_of_the_same_documents_finds(tmp_path, encoder, task, systems):
    from bmretriever_integrations.index import SearchIndex, build_index

    dense, hybrid = systems
    by_vector = names(task, dense.rank(task, 100).ranking)
    found = names(task, hybrid.rank(task, 100).ranking)
    build_index(encoder, [task.corpus], tmp_path / "index")
    with SearchIndex.open(tmp_path / "index") as index:
        hits = index.search_many(list(QUERIES.values()), len(DOCUMENTS), instruction=dense.instruction(task))
    wanted = [[hit.id for hit in row] for row in hits]
    wanted[1].remove("q2")  # its own document
    assert found == wanted
    assert found[0] != by_vector[0]
    assert found[2][0] == "d4"
    assert found[3] == by_vector[3]  # no word to look for


def test_documents_are_embedded_once(monkeypatch, encoder, task, systems):
    embedded = []
    plain = BMRetrieverEncoder.encode_passages

    def encode(self, texts, titles=None):
        embedded.extend(texts)
        return plain(self, texts, titles)

    monkeypatch.setattr(BMRetrieverEncoder, "encode_passages", encode)
    results = list(compare(systems, [task], {}))
    assert len(embedded) == len(DOCUMENTS)
    assert [result.system for result in results] == ["mini", "mini hybrid"]
    dense = results[0]
    again = list(compare(systems[1:], [task], {dense.key: dense}))
    assert again[0].means == results[1].means
    assert len(embedded) == len(DOCUMENTS)


def test_documents_are_embedded_if_the_dense_system_was_known(encoder, task, systems):
    alone = systems[1].rank(task, 100)
    assert len(alone.ranking[0]) == len(DOCUMENTS)
    assert alone.passage_seconds > 0


def test_only_candidates_are_ranked(task, systems):
    # q1 may find d2, d3 and it's; q3 may find nothing
    judged = dataclasses.replace(task, candidates=np.array([[0, 1, 1, 0, 0], [1, 1, 5, 2, 6]]))
    found = names(judged, systems[1].rank(judged, 100).ranking)
    assert sorted(found[0]) == ["d2", "d3", "it's"]
    assert found[1:] == [["d2"], [], []]


def test_settings_name_model_and_fusion(task, systems):
    dense, hybrid = (system.settings(task) for system in systems)
    own = hybrid.pop("hybrid")
    assert hybrid == dense
    assert hybrid["files_sha256"]
    assert (own["share_of_vectors"], own["candidates"]) == (0.5, 100)
    assert own["lancedb"]


def test_cut_texts_are_those_of_the_model(tmp_path, task):
    from bmretriever_integrations.evaluation.systems.hybrid import HybridRetriever, TaskIndices

    with BMRetrieverEncoder("mini", max_length=9, dtype="float32", device="cpu") as short:
        indices = TaskIndices(tmp_path, short)
        dense = DenseRetriever("mini", short, indices=indices)
        cut = dense.rank(task, 100).cut_texts
        assert cut > 0
        assert HybridRetriever("hybrid", dense, indices).rank(task, 100).cut_texts == cut
    shutil.rmtree(tmp_path / "0")
