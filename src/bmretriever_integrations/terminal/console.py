"""Open consoles of rich that print tables of data."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from bmretriever_integrations.terminal.characters import printable, printable_lines

PIPE_COLUMNS = 120
"""Columns of a table where the output is not a terminal."""


class DataConsole(Console):
    """A console on which no text can control the terminal: a string is one line, and a ``Text`` keeps its line breaks only."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """
        Render something, as rich does for each part of what it prints.

        :param renderable: anything that rich can print.
        :param options: rich's own.
        """
        if isinstance(renderable, str):
            return super().render(printable(renderable), options)
        if isinstance(renderable, Text):
            renderable = renderable.copy()
            renderable.plain = printable_lines(
                renderable.plain
            )  # as long as before, so the styles stay at their places
        return super().render(renderable, options)


def open_console(*, stderr: bool = False, columns: int = PIPE_COLUMNS) -> DataConsole:
    """
    Open a console that prints tables and lines.

    :param stderr: print to standard error, not to standard output.
    :param columns: the width where the output is not a terminal.
    """
    console = DataConsole(highlight=False, emoji=False, stderr=stderr)
    if not console.is_terminal:
        console.width = columns
    return console
