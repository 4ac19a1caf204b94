"""A model's ranking is that of the reference vectors' dot products, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.evaluation.systems import dense
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.tasks.retrieval import load_task
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.testing import reference_encode

DOCUMENTS = {
    "d1": ("Aspirin", "lowers fever in adults"),
    "d2": "insulin lowers glucose",
    "d3": ("Statins", "lower cholesterol and the risk of stroke"),
    "d4": "",
    "d5": "BRCA1 mutations raise the risk of breast cancer",
    "q2": "sickle cell anaemia",
}
QUERIES = {"q1": "what lowers fever?", "q2": "sickle cell anaemia"}


@pytest.fixture
def encoder(tiny):
    with BMRetrieverEncoder(tiny("gpt_neox"), dtype="float32", device="cpu") as engine:
        yield engine


@pytest.fixture
def task(write_task):
    folder = write_task("scifact", DOCUMENTS, QUERIES, [("q1", "d1", 1), ("q2", "d2", 1)])
    return load_task(folder, queries_are_documents=True)


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_ranking_is_the_references(monkeypatch, tiny, encoder, task, chunk):
    monkeypatch.setattr(dense, "PASSAGES_AT_ONCE", chunk)
    found = DenseRetriever("tiny", encoder).rank(task, 100)
    instruction = TASK_INSTRUCTIONS["scifact"]
    queries = reference_encode(tiny("gpt_neox"), [query_prompt(instruction, text) for text in QUERIES.values()])
    passages = [passage_prompt(record.text, record.title) for record in task.passages()]
    scores = queries @ reference_encode(tiny("gpt_neox"), passages).T
    assert found.ranking[0].tolist() == np.argsort(-scores[0]).tolist()
    assert found.ranking[1].tolist() == [p for p in np.argsort(-scores[1]).tolist() if p != 5]  # 5 is q2's own document
    assert found.passage_seconds > 0


def test_whose_instruction(write_task, encoder, task):
    stranger = load_task(write_task("my-task", DOCUMENTS, QUERIES, [("q1", "d1", 1)]))
    assert DenseRetriever("tiny", encoder).instruction(task) == TASK_INSTRUCTIONS["scifact"]
    assert DenseRetriever("tiny", encoder).instruction(stranger) == DEFAULT_INSTRUCTION
    assert DenseRetriever("tiny", encoder, "mesh").instruction(task) == TASK_INSTRUCTIONS["mesh"]
    assert DenseRetriever("tiny", encoder, "Find what cures").settings(task)["instruction"] == "Find what cures"
    with pytest.raises(ValueError, match="neither a task key nor a sentence"):
        DenseRetriever("tiny", encoder, "scifakt")
