"""Hits for programs: what each format holds, that questions stay apart, and that no record can forge a line or a formula."""

from __future__ import annotations

import csv
import io
import json

import pytest

from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.csv_text import COLUMNS, as_csv
from bmretriever_integrations.hits.json_text import as_json, as_json_lines
from bmretriever_integrations.hits.ris import as_ris
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
PAPER = Hit(1, 0.5, "27602157", "miR-429 ≥ α", "A text.", CITATION, from_vectors=0.375, from_words=0.125)
ROW = Hit(2, -0.25, "r\x9b1", HOSTILE, "=HYPERLINK(1)", {"journal": "@x", "other": {"a": [1]}})
ONE = Answer(Question("q1", "does miR-429 help"), Hits([PAPER, ROW], retracted_left_out=3))
TWO = Answer(Question("q2", "+more"), Hits([ROW]))


def test_json_is_the_list_of_hits_or_of_questions_with_theirs() -> None:
    (paper, row) = json.loads(as_json([ONE], several=False))
    assert paper == {
        "rank": 1,
        "score": 0.5,
        "id": "27602157",
        "title": "miR-429 ≥ α",
        "text": "A text.",
        "metadata": CITATION,
        "from_vectors": 0.375,
        "from_words": 0.125,
    }
    assert (row["from_vectors"], row["from_words"]) == (None, None)
    assert row["title"] == HOSTILE  # nothing is lost
    first, second = json.loads(as_json([ONE, TWO], several=True))
    assert (first["question_id"], first["question"], first["retracted_left_out"]) == ("q1", "does miR-429 help", 3)
    assert first["hits"] == [paper, row]
    assert [hit["id"] for hit in second["hits"]] == ["r\x9b1"]
    assert json.loads(as_json([Answer(Question("1", "q"), Hits())], several=False)) == []


def test_json_lines_name_the_question_of_each_hit() -> None:
    lines = as_json_lines([ONE, TWO]).splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["question_id"], row["rank"], row["id"]) for row in rows] == [
        ("q1", 1, "27602157"),
        ("q1", 2, "r\x9b1"),
        ("q2", 2, "r\x9b1"),
    ]
    assert [(row["from_vectors"], row["from_words"]) for row in rows] == [(0.375, 0.125), (None, None), (None, None)]
    assert rows[0]["question"] == "does miR-429 help"
    assert rows[1]["title"] == HOSTILE


def test_csv_has_the_same_columns_for_every_record_and_no_formula() -> None:
    text = as_csv([ONE, TWO])
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


def test_ris_has_one_reference_a_hit() -> None:
    text = as_ris([ONE], several=False)
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
    apart = as_ris([ONE, TWO], several=True)
    assert "N1  - hit 1 for question q1: does miR-429 help\n" in apart
    assert "N1  - hit 2 for question q2: +more\n" in apart


@pytest.mark.parametrize(
    "text",
    [as_json([ONE, TWO], True), as_json_lines([ONE, TWO]), as_csv([ONE, TWO]), as_ris([ONE, TWO], True)],
    ids=["json", "jsonl", "csv", "ris"],
)
def test_nothing_that_is_written_controls_a_terminal(text: str) -> None:
    assert {"\x1b", "\x9b", "\r", "\u202e", "\u2028"}.isdisjoint(text)
    assert "ß" in text
    assert "α" in text
