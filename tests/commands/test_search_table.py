"""The table of hits: headings, marks, links and long ids, at the widths that people have."""

from __future__ import annotations

import io
import re

import pytest

from bmretriever_integrations.commands.hits.table import print_table
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.index import Hit, Hits
from bmretriever_integrations.terminal.console import DataConsole

QUESTION = Question("1", "does miR-429 promote proliferation")
TEXT = "Nothing here. " * 40 + "MiR-429 promotes the proliferation of cells. " + "Nothing there. " * 40
PAPER = {"date": "2015-03-14", "journal": "Made-up Journal", "version": 1, "publication_types": ["Letter"]}
RETRACTED = {**PAPER, "retracted": True, "retraction_notice": "77", "expression_of_concern": ""}


def shown(*hits: Hit, width: int = 80, terminal: bool = False) -> str:
    stream = io.StringIO()
    colours = "standard" if terminal else None
    console = DataConsole(file=stream, width=width, force_terminal=terminal, highlight=False, color_system=colours)
    print_table(console, Answer(QUESTION, Hits(hits)))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_a_paper_is_readable(width: int) -> None:
    lines = shown(Hit(1, 0.987, "27602157", "A title", TEXT, PAPER), width=width).splitlines()
    assert lines[0].split() == ["rank", "score", "year", "PMID", "title,", "journal,", "text"]
    assert lines[1].split() == ["1", "0.99", "2015", "27602157", "A", "title"]
    assert lines[2].split() == ["Made-up", "Journal"]
    assert lines[3].split()[:4] == ["...", "MiR-429", "promotes", "the"]
    assert max(map(len, lines)) <= width
    assert len(lines) <= 9


def test_a_passage_of_a_full_text_names_its_section() -> None:
    facts = {"journal": "Made-up Journal", "section": "Results > Growth", "pmid": "5"}
    printed = shown(Hit(1, 0.9, "PMC1#results.1/1", "A title", "Growth: it grew.", facts))
    lines = [line.split() for line in printed.splitlines()]
    assert lines[2:] == [["Made-up", "Journal"], ["Results", ">", "Growth"], ["Growth:", "it", "grew."]]


def test_a_retracted_paper_is_marked_above_its_title() -> None:
    lines = [line.strip() for line in shown(Hit(1, 0.9, "5", "A title", "", RETRACTED)).splitlines()]
    assert lines[1].endswith("RETRACTED (notice: 77)")
    assert lines[2:4] == ["EXPRESSION OF CONCERN", "A title"]
    assert "RETRACTED" not in shown(Hit(1, 0.9, "5", "A title", "", PAPER))
    notice = {**PAPER, "publication_types": ["Letter", "Retraction of Publication"]}
    assert shown(Hit(1, 0.9, "6", "A title", "", notice)).splitlines()[1].strip().endswith("RETRACTION NOTICE")


def test_a_pmid_is_a_link_where_the_terminal_has_links() -> None:
    paper, row = Hit(1, 0.9, "5", "A title", "", PAPER), Hit(2, 0.8, "6", "Another", "")
    assert "\x1b" not in shown(paper)
    links = re.findall(r"\x1b\]8;[^;]*;(https://[^\x1b]*)\x1b", shown(paper, row, terminal=True))
    assert links == ["https://pubmed.ncbi.nlm.nih.gov/5/"]
    assert shown(paper, row).splitlines()[0].split()[3] == "id"


def test_the_words_of_the_question_stand_out() -> None:
    printed = shown(Hit(1, 0.9, "5", "", "Proliferating cells do promote it.", PAPER), terminal=True)
    styled = re.sub(r"\x1b\]8;[^\x1b]*\x1b\\", "", printed)
    assert re.search(r"\x1b\[[\d;]*1m\s*promote\x1b\[0m", styled)
    assert not re.search(r"\x1b\[[\d;]*1m\s*cells", styled)


def test_a_long_id_and_codes_of_terminals_leave_the_table_readable() -> None:
    long = "https://example.org/" + "x" * 100
    printed = shown(Hit(1, 0.9, long, "Red \x1b[31mtitle\n 9  forged", "body \x1b[2J\x9b2J", {"journal": "a\x07b"}))
    lines = printed.splitlines()
    assert {"\x1b", "\x9b", "\x07"}.isdisjoint(printed)
    assert "Red" in lines[1]
    assert not any(line.startswith("   9") for line in lines)
    column = lines[0].index("id")
    assert "".join(line[column : column + 20].strip() for line in lines[1:]) == long


@pytest.mark.parametrize("width", [20, 40])
def test_a_narrow_console_has_no_columns(width: int) -> None:
    lines = shown(Hit(1, 0.987, "27602157", "A title", TEXT, PAPER), width=width).splitlines()
    assert " ".join(lines).split()[:6] == ["1", "0.99", "2015", "27602157", "A", "title"]
    assert max(len(line.rstrip()) for line in lines) <= width
    assert "promotes" in " ".join(lines)


def test_an_id_that_would_fill_the_screen_is_cut() -> None:
    printed = shown(Hit(1, 0.9, "q" * 5000, "A title", ""))
    assert printed.count("q") == 200
    assert "..." in printed


def test_a_record_without_anything_else_has_a_line() -> None:
    assert shown(Hit(1, -3.0, "a", "", "")).splitlines()[1].split() == ["1", "-3.00", "a", "(no", "title)"]
    assert shown(Hit(1, 0.5, "a", "t", "", {"year": 2001})).splitlines()[1].split()[2] == "2001"
    assert shown(Hit(1, 0.5, "a", "t", "", {"date": "soon"})).splitlines()[1].split() == ["1", "0.50", "a", "t"]
