"""Cells -> a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """
    Lay cells out.

    :param header: of the columns.
    :param body: lines of cells; a ``|`` in one is shown as it is.
    :returns: lines, without one at the end that is empty.
    """
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
