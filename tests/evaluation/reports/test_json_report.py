"""The report on disk: whole at every moment, and never in place of something else."""

from __future__ import annotations

import json

import pytest

from bmretriever_integrations.evaluation.reports.json_report import means_over_tasks, read_results, write_report
from bmretriever_integrations.evaluation.reports.table import notes
from bmretriever_integrations.evaluation.systems.comparison import Result
from bmretriever_integrations.evaluation.tasks.retrieval import DEFAULT_MEASURES as MEASURES
from bmretriever_integrations.evaluation.tasks.retrieval import load_task


@pytest.fixture
def tasks(write_task):
    return [load_task(write_task(name, {"d": "text"}, {"q": "text"}, [("q", "d", 1)])) for name in ("one", "two")]


def result(task, system, value):
    return Result(
        task=task,
        system=system,
        means=dict.fromkeys(MEASURES, value),
        seconds=1.5,
        passages_per_second=10.0,
        settings={"k1": 0.9},
        per_query={"q": value},
        cut_texts=0,
        date="2026-01-31T12:00:00+00:00",
        key=f"{task} {system}",
    )


def test_what_is_written_is_read_back(tmp_path, tasks):
    path = tmp_path / "report.json"
    results = [result("one", "BM25", 0.25), result("two", "BM25", 0.75)]
    pending = [result("one", "mini", 0.5)]
    write_report(path, tasks, results, pending)
    assert read_results(path) == [*results, *pending]
    report = json.loads(path.read_text())
    assert report["means"] == {"BM25": dict.fromkeys(MEASURES, 0.5)}
    assert report["tasks"][0] | {"sha256": ""} == {
        "name": "one",
        "split": "test",
        "measures": list(MEASURES),
        "judged_documents_only": False,
        "documents": 1,
        "queries": 1,
        "relevant": 1,
        "own_documents_left_out": 0,
        "queries_with_a_document_id": 0,
        "unknown_queries": 0,
        "unknown_documents": 0,
        "sha256": "",
    }
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["report.json"]


def test_a_query_with_no_relevant_document_is_told(write_task):
    queries = {"q": "text", "r": "text", "s": "text"}
    task = load_task(write_task("three", {"d": "text"}, queries, [("q", "d", 0), ("r", "d", -1), ("s", "d", 1)]))
    assert notes([task], [])[1:] == ["three: 2 of 3 queries have no relevant document; they count as 0"]


def test_a_system_that_lacks_a_task_has_no_mean(tasks):
    assert means_over_tasks([result("one", "mini", 1.0)], tasks) == {}


@pytest.mark.parametrize("content", ["notes", "[]", '{"report": "something else", "schema": 1}', '{"results": []}'])
def test_a_file_that_is_no_report_is_refused(tmp_path, content):
    path = tmp_path / "precious.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="is no report of this command"):
        read_results(path)
    assert path.read_text() == content


def test_a_failed_write_leaves_what_was_there(tmp_path, tasks, monkeypatch):
    path = tmp_path / "report.json"
    write_report(path, tasks, [result("one", "BM25", 0.25)])
    before = path.read_bytes()

    def full_disk(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_report(path, tasks, [result("one", "BM25", 0.75)])
    assert path.read_bytes() == before
