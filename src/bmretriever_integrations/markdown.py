"""Write a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """
    Write a table.

    :param header: the headings of the columns.
    :param body: the rows, each a sequence of cells; a ``|`` in a cell is escaped.
    :returns: the table, without a line break at its end.
    """
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
