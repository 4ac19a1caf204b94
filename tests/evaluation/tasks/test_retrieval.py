"""BEIR folders are read whole or refused with the place of the fault."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest

from bmretriever_integrations.corpus import Record
from bmretriever_integrations.evaluation.reports.table import notes
from bmretriever_integrations.evaluation.systems.metrics import score
from bmretriever_integrations.evaluation.systems.ranking import rank_by_dot_product
from bmretriever_integrations.evaluation.tasks.beir import read_records
from bmretriever_integrations.evaluation.tasks.retrieval import load_task

DOCUMENTS = {"d1": ("Aspirin", "lowers fever"), "d2": "insulin lowers glucose", "d3": "statins lower cholesterol"}
QUERIES = {"q1": "fever", "q2": "glucose", "q3": "nobody judged this"}


def test_only_judged_queries_are_run_and_what_is_unknown_is_counted(write_task):
    judgements = [("q1", "d1", 2), ("q1", "gone", 1), ("q2", "d2", 1), ("q2", "d3", 0), ("lost", "d1", 1)]
    task = load_task(write_task("toy", DOCUMENTS, QUERIES, judgements))
    assert task.name == "toy"
    assert list(task.queries) == ["q1", "q2"]
    assert task.document_ids == ["d1", "d2", "d3"]
    assert task.judgements == {"q1": {"d1": 2, "gone": 1}, "q2": {"d2": 1, "d3": 0}}
    assert (task.relevant, task.unknown_queries, task.unknown_documents) == (3, 1, 1)
    assert [(p.title, p.text) for p in task.passages()][:2] == [
        ("Aspirin", "lowers fever"),
        ("", "insulin lowers glucose"),
    ]


def test_gzip_holds_the_same_task(write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1)])
    plain = load_task(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        with (folder / name).open("rb") as source, gzip.open(folder / f"{name}.gz", "wb") as target:
            shutil.copyfileobj(source, target)
        (folder / name).unlink()
    packed = load_task(folder)
    assert packed.document_ids == plain.document_ids
    assert packed.queries == plain.queries
    whole = (folder / "corpus.jsonl.gz").read_bytes()
    (folder / "corpus.jsonl.gz").write_bytes(whole[:-12])
    with pytest.raises(ValueError, match=r"corpus\.jsonl\.gz is cut short or damaged"):
        load_task(folder)


def test_a_querys_own_document_is_left_out_where_queries_are_documents_unless_it_is_judged_relevant(write_task):
    documents = {"a": "one", "b": "two", "c": "three"}
    queries = {"b": "two", "c": "three", "x": "four"}
    folder = write_task("papers", documents, queries, [("b", "a", 1), ("c", "c", 1), ("x", "a", 1)])
    said = load_task(folder, queries_are_documents=True)
    assert said.own_documents.tolist() == [1, -1, -1]
    assert notes([said], [])[1:] == [
        "papers: 1 of 3 queries are documents themselves; each is left out of its own ranking"
    ]
    task = load_task(folder)
    assert task.own_documents.tolist() == [-1, -1, -1]
    (version, note) = notes([task], [])
    assert version == f"papers: version {task.sha256[:12]}, split test"
    assert note == (
        "papers: 1 of 3 queries share their id with a document, which is ranked like any other; if they are these documents, "
        "add --queries-are-documents papers"
    )


def test_queries_and_documents_that_are_both_numbered_from_0_are_not_taken_for_each_other(write_task):
    names = ("asthma", "diabetes", "malaria")
    documents = {str(n): f"treatment of {name}" for n, name in enumerate(names)}
    queries = {str(n): f"treatment of {name}" for n, name in enumerate(names)}
    task = load_task(write_task("numbers", documents, queries, [("0", "1", 1), ("1", "2", 1), ("2", "0", 1)]))
    assert (task.left_out, task.same_ids) == (0, 3)
    # the document with the query's number is the best wrong answer, and stays one
    ranking = rank_by_dot_product(np.eye(3, dtype=np.float32), [np.eye(3, dtype=np.float32)], 3, task.own_documents)
    assert [row[0] for row in ranking] == [0, 1, 2]
    assert score(task, ranking)["MRR@10"] == pytest.approx({"0": 1 / 2, "1": 1 / 3, "2": 1 / 2})


def test_negative_grades_are_not_relevant(write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", -1), ("q1", "d2", 1)])
    assert load_task(folder).judgements == {"q1": {"d1": 0, "d2": 1}}


@pytest.mark.parametrize(
    "lines",
    [
        "q1\td1\t1\nq2\td2\t0\n",  # BEIR without its heading
        "q1 0 d1 1\nq2 0 d2 0\n",  # TREC
        "q1\tQ0\td1\t1.0\r\nq2\tQ0\td2\t0.0\r\n",
        'query-id\tcorpus-id\tscore\n"q1"\t"d1"\t"1"\n"q2"\t"d2"\t"-1"\n',  # a csv writer's quotes
        '"query_id"\t"iteration"\t"doc_id"\t"Relevance"\n\nq1\t0\td1\t+1\nq2\t0\td2\t0\n',
    ],
)
def test_judgements_in_other_forms(write_task, lines):
    folder = write_task("toy", DOCUMENTS, QUERIES, [])
    (folder / "qrels" / "test.tsv").write_text(lines, newline="")
    assert load_task(folder).judgements == {"q1": {"d1": 1}, "q2": {"d2": 0}}
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / "test.txt")
    assert load_task(folder).judgements == {"q1": {"d1": 1}, "q2": {"d2": 0}}


def test_ids_are_read_under_both_names_and_as_numbers(write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "4", 1), ("7", "d5", 1)])
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"id": 4, "text": "gene"}\n{"_id": "d5", "id": 9, "text": "cell"}\n')
    with (folder / "queries.jsonl").open("a") as file:
        file.write('{"id": 7, "text": "cells"}\n')
    task = load_task(folder)
    assert task.document_ids == ["d1", "d2", "d3", "4", "d5"]
    assert (list(task.queries), task.unknown_documents) == (["q1", "7"], 0)


def test_a_missing_title_is_no_title(write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1)])
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d4", "title": NaN, "text": "gene"}\n{"_id": "d5", "title": null, "text": "cell"}\n')
    assert [document.title for document in load_task(folder).passages()] == ["Aspirin", "", "", "", ""]


def test_missing_files_are_named(write_task, tmp_path):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1)])
    with pytest.raises(FileNotFoundError, match=r"no qrels/dev\.tsv; splits there: test"):
        load_task(folder, "dev")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"no queries\.jsonl or queries\.jsonl\.gz"):
        load_task(folder)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        load_task(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("corpus.jsonl", b'{"_id": "d4", "text": "cut', r"corpus\.jsonl:4: no JSON object"),
        ("corpus.jsonl", b'{"_id": "d4", "text": "\xff"}', r"corpus\.jsonl:4: no JSON object in UTF-8"),
        ("corpus.jsonl", b'["d4", "text"]', r"corpus\.jsonl:4: expected a JSON object with _id and text, got list"),
        ("corpus.jsonl", b'{"_id": "d4"}', r"corpus\.jsonl:4: text must be a string, got nothing"),
        ("corpus.jsonl", b'{"_id": "", "text": "t"}', r"corpus\.jsonl:4: _id is empty"),
        ("corpus.jsonl", b'{"_id": true, "text": "t"}', r"corpus\.jsonl:4: _id must be a string, got True"),
        ("corpus.jsonl", b'{"_id": "d4", "text": "\\ud800"}', r"corpus\.jsonl:4: text holds a lone surrogate"),
        ("corpus.jsonl", b'{"_id": "d1", "text": "again"}', r"corpus\.jsonl: the id 'd1' comes twice"),
        ("queries.jsonl", b'{"_id": "q1", "text": "again"}', r"queries\.jsonl: the id 'q1' comes twice"),
        (
            "corpus.jsonl",
            b'{"_id": "d4", "text": ' + b"[" * 800 + b"]" * 800 + b"}",
            r":4: text must be a string, got a list$",
        ),
        ("corpus.jsonl", b'{"_id": "d4", "text": ' + b"[" * 90_000, r"corpus\.jsonl:4: no JSON object"),
        ("qrels/test.tsv", b"q1 d1", r"test\.tsv:3: expected query-id, corpus-id and a whole-number score.*2 fields"),
        ("qrels/test.tsv", b"q1 d2 d1 1", r"test\.tsv:3: .*or query, 0, document and a whole-number grade.*4 fields"),
        ("qrels/test.tsv", b"q1\td2\t0.5", r"test\.tsv:3: .*got the score '0\.5'"),
        ("qrels/test.tsv", b"q1\td2\tnan", r"test\.tsv:3: .*got the score 'nan'"),
        ("qrels/test.tsv", b"q1\td2\tyes", r"test\.tsv:3: .*got the score 'yes'"),
        ("qrels/test.tsv", b"q1\td1\t2", r"test\.tsv:3: query 'q1' judges 'd1' 2, but 1 before"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(write_task, name, line, message):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1)])
    with (folder / name).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(ValueError, match=message):
        load_task(folder)


def test_a_task_with_nothing_to_measure_is_refused(write_task):
    with pytest.raises(ValueError, match=r"no query of queries\.jsonl has a judgement"):
        load_task(write_task("strange", DOCUMENTS, QUERIES, [("someone", "d1", 1)]))
    with pytest.raises(ValueError, match="holds no document"):
        load_task(write_task("empty", {}, QUERIES, [("q1", "d1", 1)]))


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ({"id": "c_0", "title": "T", "content": "a", "contents": "T. a", "PMID": 7}, Record("c_0", "T", "a")),  # MedRAG
        ({"id": 7, "contents": "T. a"}, Record("7", "", "T. a")),  # Anserini
        ({"docid": 0, "title": None, "text": "a"}, Record("0", "", "a")),  # Tevatron
    ],
)
def test_documents_of_other_layouts_are_read_as_an_index_reads_them(tmp_path, row, record):
    (tmp_path / "corpus.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert list(read_records(tmp_path / "corpus.jsonl")) == [record]
