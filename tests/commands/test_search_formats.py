"""Hits on standard output in UTF-8, in the format that is asked for."""

from __future__ import annotations

import io

import pytest

from bmretriever_integrations.commands.hits.formats import write
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.csv_text import as_csv
from bmretriever_integrations.hits.json_text import as_json, as_json_lines
from bmretriever_integrations.hits.ris import as_ris
from bmretriever_integrations.index import Hit, Hits

ONE = Answer(Question("q1", "does miR-429 help"), Hits([Hit(1, 0.5, "27602157", "miR-429 ≥ α", "A text.")]))
TEXTS = {
    "json": as_json([ONE, ONE], several=True),
    "jsonl": as_json_lines([ONE, ONE]),
    "csv": as_csv([ONE, ONE]),
    "ris": as_ris([ONE, ONE], several=True),
}


@pytest.mark.parametrize("form", TEXTS)
def test_what_is_written_is_the_format_that_was_asked_for(capsysbinary, form: str) -> None:
    write([ONE, ONE], form, several=True)
    assert capsysbinary.readouterr().out.decode("utf-8") == TEXTS[form]


def test_a_console_of_another_encoding_gets_utf_8(monkeypatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="strict")
    monkeypatch.setattr("sys.stdout", console)
    for form in TEXTS:
        write([ONE], form, False)
    assert console.buffer.getvalue().decode("utf-8").count("miR-429 ≥ α") == 4
