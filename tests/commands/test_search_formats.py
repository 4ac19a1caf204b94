"""Hits for programs: what each format holds, that questions stay apart, and that no record can forge a line or a formula."""

from __future__ import annotations

import csv
import io
import json

import pytest

from bmretriever_integrations.commands.hits.answers import Answer, Question, address_of, pmid_of, remarks
from bmretriever_integrations.commands.hits.formats import COLUMNS, write
from bmretriever_integrations.commands.hits.questions import parse_questions, read_questions
from bmretriever_integrations.index import Hit, Hits

CITATION = {
    "date": "2015-03",
    "journal": "Made-up Journal",
    "authors": ["Muster, Ana", "Group α"],
    "publication_types": ["Journal Article", "Retracted Publication"],
    "mesh": ["MicroRNAs", "Humans"],
    "keywords": ["Humans", "miR-429"],
    "languages": ["eng"],
    "doi": "10.1/x",
    "pmcid": "PMC12",
    "version": 1,
    "retracted": True,
    "retraction_notice": "77",
    "expression_of_concern": "",
}
HOSTILE = "one\nER  - \nTY  - forged\r\x1b[2J\x9b2J\u2028\u202eß"
PAPER = Hit(1, 0.5, "27602157", "miR-429 ≥ α", "A text.", CITATION)
ROW = Hit(2, -0.25, "r\x9b1", HOSTILE, "=HYPERLINK(1)", {"journal": "@x", "other": {"a": [1]}})
ONE = Answer(Question("q1", "does miR-429 help"), Hits([PAPER, ROW], retracted_left_out=3))
TWO = Answer(Question("q2", "+more"), Hits([ROW]))


def written(capsys, answers: list[Answer], form: str, several: bool = False) -> str:
    write(answers, form, several)
    return capsys.readouterr().out


def test_json_is_the_list_of_hits_or_of_questions_with_theirs(capsys) -> None:
    (paper, row) = json.loads(written(capsys, [ONE], "json"))
    assert paper == {
        "rank": 1,
        "score": 0.5,
        "id": "27602157",
        "title": "miR-429 ≥ α",
        "text": "A text.",
        "metadata": CITATION,
    }
    assert row["title"] == HOSTILE  # nothing is lost
    first, second = json.loads(written(capsys, [ONE, TWO], "json", True))
    assert (first["question_id"], first["question"], first["retracted_left_out"]) == ("q1", "does miR-429 help", 3)
    assert first["hits"] == [paper, row]
    assert [hit["id"] for hit in second["hits"]] == ["r\x9b1"]
    assert json.loads(written(capsys, [Answer(Question("1", "q"), Hits())], "json")) == []


def test_json_lines_name_the_question_of_each_hit(capsys) -> None:
    lines = written(capsys, [ONE, TWO], "jsonl", True).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["question_id"], row["rank"], row["id"]) for row in rows] == [
        ("q1", 1, "27602157"),
        ("q1", 2, "r\x9b1"),
        ("q2", 2, "r\x9b1"),
    ]
    assert rows[0]["question"] == "does miR-429 help"
    assert rows[1]["title"] == HOSTILE


def test_csv_has_the_same_columns_for_every_record_and_no_formula(capsys) -> None:
    text = written(capsys, [ONE, TWO], "csv", True)
    assert len(text.splitlines()) == 4
    paper, row, again = csv.DictReader(io.StringIO(text))
    assert tuple(paper) == COLUMNS
    assert (paper["question_id"], paper["rank"], float(paper["score"]), paper["id"]) == ("q1", "1", 0.5, "27602157")
    assert (paper["authors"], paper["mesh"]) == ("Muster, Ana; Group α", "MicroRNAs; Humans")
    assert (paper["date"], paper["retracted"], paper["expression_of_concern"]) == ("2015-03", "yes", "yes")
    assert paper["url"] == "https://pubmed.ncbi.nlm.nih.gov/27602157/"
    assert (row["text"], row["journal"], row["retracted"]) == ("'=HYPERLINK(1)", "'@x", "")
    assert float(row["score"]) == -0.25
    assert again["question"] == "'+more"


def test_ris_has_one_reference_a_hit(capsys) -> None:
    text = written(capsys, [ONE], "ris")
    first, second, end = text.split("ER  - \n\n")
    assert end == ""
    lines = [line.split("  - ", 1) for line in first.splitlines()]
    assert lines[0] == ["TY", "JOUR"]
    values = dict(lines)
    assert values["TI"] == "miR-429 ≥ α"
    assert (values["PY"], values["DA"], values["JO"], values["AB"]) == (
        "2015",
        "2015/03//",
        "Made-up Journal",
        "A text.",
    )
    assert (values["DO"], values["AN"], values["C2"], values["ID"]) == ("10.1/x", "27602157", "PMC12", "27602157")
    assert values["UR"] == "https://pubmed.ncbi.nlm.nih.gov/27602157/"
    assert [value for tag, value in lines if tag == "AU"] == ["Muster, Ana", "Group α"]
    assert [value for tag, value in lines if tag == "KW"] == ["MicroRNAs", "Humans", "miR-429"]
    assert [value for tag, value in lines if tag == "N1"] == ["RETRACTED (notice: 77)", "EXPRESSION OF CONCERN"]
    tags = [line[:6] for line in second.splitlines()]
    assert tags == ["TY  - ", "ID  - ", "TI  - ", "T2  - ", "JO  - ", "AB  - ", "DB  - "]
    apart = written(capsys, [ONE, TWO], "ris", True)
    assert "N1  - hit 1 for question q1: does miR-429 help\n" in apart
    assert "N1  - hit 2 for question q2: +more\n" in apart


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "ris"])
def test_nothing_that_is_written_controls_a_terminal(capsys, form: str) -> None:
    out = written(capsys, [ONE, TWO], form, True)
    assert {"\x1b", "\x9b", "\r", "\u202e", "\u2028"}.isdisjoint(out)
    assert "ß" in out
    assert "α" in out


def test_a_console_of_another_encoding_gets_utf_8(monkeypatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr("sys.stdout", console)
    for form in ("json", "jsonl", "csv", "ris"):
        write([ONE], form, False)
    assert console.buffer.getvalue().decode("utf-8").count("miR-429 ≥ α") == 4


def test_a_number_is_a_pmid_only_if_the_record_is_pubmeds() -> None:
    def hit(name: str, **metadata: object) -> Hit:
        return Hit(1, 0.0, name, "", "", metadata)

    assert pmid_of(PAPER) == "27602157"
    assert pmid_of(hit("123", title="x")) is None
    of_pubmed = {"version": 1, "publication_types": ["Letter"]}
    assert pmid_of(hit("123", **of_pubmed)) == "123"
    assert pmid_of(hit("123", revised="2020-01-01", publication_types=["Letter"])) == "123"  # saved by PubMed as lines
    assert pmid_of(hit("123", publication_types=["Letter"])) is None
    assert pmid_of(hit("123", version=1)) is None  # as a row of other data may have
    assert pmid_of(hit("٣", **of_pubmed)) is None
    assert pmid_of(hit("0123", **of_pubmed)) is None
    assert pmid_of(hit("pubmed23n0001_0", PMID=21)) == "21"
    assert address_of(hit("pubmed23n0001_0", PMID="21/../x")) is None


def test_what_was_left_out_is_said_and_why_nothing_was_found() -> None:
    nothing = Answer(Question("1", "q"), Hits())
    assert remarks(ONE, 9, False, None) == ["3 retracted papers left out: --include-retracted"]
    assert remarks(TWO, 9, True, "text") == []
    assert remarks(nothing, 0, True, None) == ["no record found: the index is empty"]
    assert remarks(nothing, 1900, True, None) == ["no record found: none of 1,900 passes the filters"]
    assert "passes the filters and holds a word of the question" in remarks(nothing, 9, True, "text")[0]
    assert "none holds a word of the question; --mode hybrid" in remarks(nothing, 9, False, "text")[0]
    only = Answer(Question("1", "q"), Hits(retracted_left_out=1))
    assert remarks(only, 9, False, None) == [
        "no record found: those that fit were retracted",
        "1 retracted paper left out: --include-retracted",
    ]


def test_questions_are_read_from_lines_and_from_json_lines(tmp_path) -> None:
    assert parse_questions("\ufeffdoes α help\r\n\n  is it safe \n".encode(), "f") == [
        Question("1", "does α help"),
        Question("3", "is it safe"),
    ]
    rows = [{"_id": "q7", "text": "a"}, {"id": 8, "query": "b"}, {"text": "c"}]
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_questions(tmp_path / "queries.jsonl") == [Question("q7", "a"), Question("8", "b"), Question("3", "c")]


WRONG = {
    b"": "f holds no question",
    b"\n \n": "f holds no question",
    b"a\n\xff\n": "f:2 is not UTF-8",
    b'{"text": "a"}\nb\n': "f:2: not JSON",
    b'{"text": " "}\n': "f:1 is no question",
    b'{"_id": "1", "text": "a"}\n{"_id": 1, "text": "b"}\n': "two questions have the id '1'",
}


@pytest.mark.parametrize("content", WRONG)
def test_what_is_no_list_of_questions_is_named(content: bytes) -> None:
    with pytest.raises(ValueError, match=WRONG[content]):
        parse_questions(content, "f")
