"""R2MED and mteb's medical tasks: from their forms on the hub to task folders, and what is listed of them."""

from __future__ import annotations

import argparse
import json
from statistics import fmean

import pytest

from bmretriever_integrations.commands import build, evaluate
from bmretriever_integrations.evaluation.tasks import catalogue
from bmretriever_integrations.evaluation.tasks.cache import build_task, find_task
from bmretriever_integrations.evaluation.tasks.listing import describe_tasks
from bmretriever_integrations.evaluation.tasks.opening import open_tasks
from bmretriever_integrations.evaluation.tasks.retrieval import load_task
from bmretriever_integrations.prompts import BENCHMARK_INSTRUCTIONS

R2MED = {
    "corpus": [
        {"id": "light/Phototaxis_0.txt", "text": "insects fly to light"},
        {"id": "1", "text": "noses alternate"},
    ],
    "query": [
        {
            "id": "0",
            "text": "Why do moths fly to lamps?",
            "doc_id": ["light/Phototaxis_0.txt"],
            "answer": "a",
            "body_system": "",
        },
        {"id": "1", "text": "Why one nostril?", "doc_id": [], "answer": "b", "body_system": ""},
    ],
    "qrels": [
        {"q_id": "0", "p_id": "light/Phototaxis_0.txt", "score": 1},
        {"q_id": "1", "p_id": "1", "score": 1},
        {"q_id": "1", "p_id": "light/Phototaxis_0.txt", "score": 0},
    ],
}
JUDGED = {"0": {"light/Phototaxis_0.txt": 1}, "1": {"1": 1, "light/Phototaxis_0.txt": 0}}


def run(command, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.mark.parametrize("form", ["jsonl", "parquet", "plain"])
def test_r2med_s_configurations_become_a_task(clone, tmp_path, form):
    if form == "plain":  # the archive of its repository has the files and no card
        folder = tmp_path / "Biology"
        folder.mkdir()
        for name, rows in R2MED.items():
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        folder = clone("Biology", {(name, name): rows for name, rows in R2MED.items()}, parquet=form == "parquet")
    assert run(build, "r2med-biology", folder) == 0
    task = load_task(find_task("r2med-biology", "test"))
    assert task.queries == {"0": "Why do moths fly to lamps?", "1": "Why one nostril?"}
    assert task.judgements == JUDGED
    assert [(document.id, document.text) for document in task.passages()] == [
        tuple(r.values()) for r in R2MED["corpus"]
    ]
    assert (task.left_out, task.same_ids) == (0, 0)  # query 1 and document 1 are judged, and not the same


def test_mteb_s_medical_tasks_are_read_in_their_own_forms(clone, tmp_path):
    documents = [{"_id": "d1", "title": "Caries", "text": "is a hole"}, {"_id": "d2", "title": None, "text": "rash"}]
    judged = [{"query-id": "q1", "corpus-id": "d1", "score": 2}]
    parts = {  # a document may belong to two disciplines
        ("corpus", "dentistry"): documents[:1],
        ("corpus", "dermatology"): documents,
        ("queries-en", "dentistry"): [{"_id": "q1", "text": "what is caries"}],
        ("queries-en", "dermatology"): [{"_id": "q2", "text": "what is a rash"}],
        ("queries-fr", "dentistry"): [{"_id": "q1", "text": "une carie"}],
        ("qrels", "dentistry"): judged,
        ("qrels", "dermatology"): [{"query-id": "q2", "corpus-id": "d2", "score": 1}],
    }
    build_task(catalogue.TASKS["cure-v1"], [clone("CUREv1", parts)], tmp_path / "cure-v1")
    task = load_task(tmp_path / "cure-v1")
    assert [(document.id, document.title) for document in task.passages()] == [("d1", "Caries"), ("d2", "")]
    assert (task.queries, task.judgements) == (
        {"q1": "what is caries", "q2": "what is a rash"},
        {"q1": {"d1": 2}, "q2": {"d2": 1}},
    )

    rows = [("Masks?", "Wear one."), ("Gloves?", "Wear one."), ("Masks?", "At home, no."), (None, "Stay home.")]
    asked = [{"question": question, "answer": answer} for question, answer in rows]
    folder = clone("publichealth-qa", {("english", "test"): asked, ("french", "test"): asked[:1]})
    build_task(catalogue.TASKS["public-health-qa"], [folder], tmp_path / "public-health-qa")
    task = load_task(tmp_path / "public-health-qa")
    assert task.queries == {"Q0": "Masks?", "Q1": "Gloves?"}
    assert task.judgements == {"Q0": {"D0": 1, "D1": 1}, "Q1": {"D0": 1}}
    assert json.loads((tmp_path / "public-health-qa" / "origin.json").read_text())["left_out"] == {
        "no question or no answer": 1
    }

    parts = {("corpus", "dev"): documents, ("queries", "dev"): [{"_id": "q1", "text": "x"}], ("default", "dev"): judged}
    parts |= {("default", "train"): [{"query-id": "q1", "corpus-id": "d2", "score": 1}]}
    build_task(catalogue.TASKS["cmedqa"], [clone("CmedqaRetrieval", parts)], tmp_path / "cmedqa")
    assert load_task(tmp_path / "cmedqa").judgements == {"q1": {"d1": 2}}


def test_a_benchmark_s_name_stands_for_its_tasks(clone, capsys, monkeypatch):
    folder = clone("Biology", {(name, name): rows for name, rows in R2MED.items()})
    names = [record.name for record in catalogue.TASKS.values() if record.name.startswith("r2med-")]
    assert len(names) == 8
    for name in names:
        run(build, name, folder)
    assert [task.name for task in open_tasks(["r2med"], "test")] == names
    capsys.readouterr()
    run(evaluate, "r2med", "--model", "mini")
    printed = capsys.readouterr().out
    assert "8 tasks" in printed
    for name in names:
        assert f"{name}: queries start with “{BENCHMARK_INSTRUCTIONS[name]}”" in printed


def test_published_means_are_those_of_the_sets():
    records = [record for name, record in catalogue.TASKS.items() if name.startswith("r2med-")]
    means = {
        system: fmean(record.published[system]["nDCG@10"] for record in records)
        for system in ("410M", "2B", "7B", "BM25")
    }
    assert means == pytest.approx({"410M": 0.181, "2B": 0.247, "7B": 0.302, "BM25": 0.151}, abs=6e-4)
    assert sum(record.queries for record in records) == 876
    assert {record.instruction_by for record in records} == {"R2MED"}


@pytest.mark.parametrize("columns", [60, 80, None])
def test_the_list_breaks_lines_between_words_only(columns):
    whole, lines = list(describe_tasks()), list(describe_tasks(columns))
    assert " ".join(lines).split() == " ".join(whole).split()
    assert all(len(line) <= columns or len(line.split()) == 1 for line in lines if columns)
    assert (
        any(line.startswith("Published mean nDCG@10 of the eight sets: BMRetriever 7B 0.302") for line in lines)
        or columns == 60
    )
