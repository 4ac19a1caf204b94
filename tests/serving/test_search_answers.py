"""Answers to searches as files are those of the command line, and no record can break the JSON or control a terminal."""

from __future__ import annotations

import csv
import io
import re

import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.index.hits import Hits
from bmretriever_integrations.serving.search import Found
from bmretriever_integrations.serving.search_answers import response_of

METFORMIN = "Does metformin lower the risk of cancer?"
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


@pytest.fixture
def printed(index_folder, capsysbinary):
    """A function: the arguments of ``bmretriever search`` -> what it prints."""

    def run(*arguments):
        assert main(["search", str(index_folder), *arguments, "--device", "cpu"]) == 0
        return capsysbinary.readouterr().out

    return run


@pytest.mark.parametrize(("form", "kind"), [("ris", "application/x-research-info-systems"), ("csv", "text/csv")])
def test_files_are_those_of_the_command_line(server, printed, form, kind):
    answer = server.client.post("/search", json={"question": METFORMIN, "top_k": 7, "format": form})
    assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="hits.{form}"'
    assert answer.headers["x-retracted-left-out"] == "1"
    assert answer.content == printed(METFORMIN, "--top-k", "7", "--format", form)
    answer = server.client.post("/search", json={"like": "33419956", "top_k": 7, "format": form})
    assert answer.content == printed("--like", "33419956", "--top-k", "7", "--format", form)


@pytest.mark.parametrize("form", ["ris", "csv"])
def test_a_file_has_the_notes_of_the_answer_in_a_header(server, form):
    asked = {"question": METFORMIN, "mode": "text", "instruction": "scifact"}
    notes = server.client.post("/search", json=asked).json()["notes"]
    assert len(notes) == 2
    answer = server.client.post("/search", json={**asked, "format": form})
    assert answer.headers["x-notes"] == "; ".join(notes)
    answer = server.client.post("/search", json={"question": METFORMIN, "include_retracted": True, "format": form})
    assert "x-notes" not in answer.headers
    questions = {"questions": ["qqqq", "insulin", "zzzz"], "mode": "text", "format": form}
    (note,) = server.client.post("/search", json={"question": "qqqq", "mode": "text"}).json()["notes"]
    assert server.client.post("/search/batch", json=questions).headers["x-notes"] == f"questions 1, 3: {note}"


def _found(records, left_out):
    hits = Hits([], retracted_left_out=left_out)
    return Found("a", hits, "text", records, filtered=False, embedding_seconds=None, search_seconds=0.1)


def test_the_header_of_notes_stays_short_and_says_what_it_leaves_out():
    found = [_found(number + 1, left_out=1000 + number) for number in range(100)]
    notes = response_of(found, "ris", several=True).headers["x-notes"]
    assert notes.startswith("questions 1, 2, 3, ")
    assert notes.endswith(" more, which format json has")
    assert len(notes) < 2100


@pytest.mark.parametrize("form", ["ris", "csv"])
def test_the_file_of_a_batch_is_that_of_the_command_line(server, printed, form, tmp_path):
    questions = [METFORMIN, "Bees and poison"]
    (tmp_path / "questions.txt").write_text("\n".join(questions))
    answer = server.client.post("/search/batch", json={"questions": questions, "top_k": 3, "format": form})
    asked = ("--questions", str(tmp_path / "questions.txt"))
    assert answer.content == printed(*asked, "--top-k", "3", "--format", form)
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert [row["question_id"] for row in rows] == ["1"] * 3 + ["2"] * 3


def test_a_record_breaks_no_json_and_controls_no_terminal(server, index):
    (record,) = index.get(["hostile"])
    assert CONTROLS.search(record.title)
    assert CONTROLS.search(record.text)
    for answer in (
        server.client.post("/search", json={"question": "poison of bees\x9b2J\u2028"}),
        server.client.post("/search/batch", json={"questions": ["poison of bees"]}),
        server.client.get("/records/hostile"),
    ):
        assert answer.status_code == 200
        assert not CONTROLS.search(answer.text)
        plain = answer.json()
        plain = plain.get("answers", [plain])[0]
        plain = plain.get("hits", [plain])[0]
        assert (plain["id"], plain["title"], plain["text"]) == ("hostile", record.title, record.text)
        assert plain["metadata"] == {"note": "\x00\x1b]0;title\x07"}


def test_a_long_record_has_a_short_passage_that_fits(server):
    (hit,) = server.client.post("/search", json={"question": "statin muscles", "top_k": 1}).json()["hits"]
    assert hit["passage"] == hit["text"] == "One in ten adults who took a statin had pain of the muscles."
