"""What README and documentation say is what the committed results give."""

from __future__ import annotations

import re
import shlex

import pytest
import report
import run
from pages import fill, put_between
from side_by_side.results import read_results

RESULTS = report.committed()


@pytest.mark.skipif(not RESULTS, reason="no result is committed yet")
@pytest.mark.parametrize(("page", "place"), [("README.md", 0), ("docs/benchmarks.md", 1)])
def test_tables_are_those_of_the_results(page, place):
    text = (report.ROOT / page).read_text(encoding="utf-8")
    assert put_between(text, report.TABLE, report.parts(RESULTS)[place]) == text


@pytest.mark.skipif(not RESULTS, reason="no result is committed yet")
def test_no_page_says_what_cannot_be():
    shares = [int(share) for part in report.parts(RESULTS) for share in re.findall(r"(\d+) %", part)]
    assert len(shares) > 20
    assert max(shares) <= 100


@pytest.mark.skipif(not RESULTS, reason="no result is committed yet")
def test_every_machine_has_its_chart_and_right_vectors():
    charts = {path.name for path in (report.ROOT / "docs").glob("benchmarks-*.svg")}
    assert charts == set(report.charts(RESULTS))
    for path in RESULTS:
        _, outcomes = read_results(path)
        for outcome in outcomes:
            if outcome.case != "memory":
                assert outcome.right("ours"), (path.name, outcome.model, outcome.case)


@pytest.mark.parametrize("text", ["", "<!-- benchmark table -->", "<!-- /benchmark table --><!-- benchmark table -->"])
def test_pages_without_markers_are_left_alone(text):
    with pytest.raises(ValueError, match="must be there once each"):
        put_between(text, "benchmark table", "table")


def test_every_part_is_filled_and_what_stands_around_stays():
    page = "a\n<!-- one -->old<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->\nc\n"
    made = "a\n<!-- one -->\n\n| 1 |\n\n<!-- /one -->\nb\n<!-- two -->\n\n| \\1 |\n\n<!-- /two -->\nc\n"
    parts = {"one": "| 1 |", "two": r"| \1 |"}
    assert fill(page, parts) == fill(made, parts) == made
    with pytest.raises(ValueError, match="one <!-- three --> and one <!-- /three -->"):
        fill(page, {**parts, "three": ""})


def test_every_command_of_the_page_is_one():
    pages = (report.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") + run.__doc__
    commands = re.findall(r"^ *python benchmarks/run\.py(.*)$", pages, flags=re.MULTILINE)
    assert len(commands) >= 9
    for command in commands:
        if "--help" not in command:
            run.make_parser().parse_args(shlex.split(command, comments=True))
