"""Tables in Markdown."""

from __future__ import annotations

from bmretriever_integrations.markdown import markdown_table


def test_a_table_has_a_line_a_row_and_shows_bars_as_they_are():
    body = (row for row in [["a", "1"], ("b|c", "")])
    assert markdown_table(("name", "number"), body) == ("| name | number |\n| --- | --- |\n| a | 1 |\n| b\\|c |  |")
