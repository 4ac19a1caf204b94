"""The table of the page."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.stores.turns import Measured

from bmretriever_integrations.markdown import markdown_table

OURS = "ours"
"""The contender to whose times the others' are compared."""
HEADS = ["", "build", "disk", "memory", "p50 of a question", "recall@10", "what it cannot do"]


def table(found: Mapping[str, Measured]) -> str:
    """
    Make a Markdown table. Times are multiples of our exact search's, since those of a shared machine say little by themselves.

    :param found: what was measured, by contender.
    """
    return markdown_table(HEADS, [_row(one, found[OURS]) for one in found.values()])


def _row(one: Measured, ours: Measured) -> list[str]:
    assert ours.build_seconds is not None
    build = "-" if one.build_seconds is None else _times(one.build_seconds, ours.build_seconds)
    recall = "-" if one.recall is None else f"{one.recall:.3f}"
    sizes = [f"{count / 1e6:,.0f} MB" for count in (one.disk_bytes, one.memory_bytes)]
    return [one.label, build, *sizes, _times(one.p50, ours.p50), recall, one.lacks]


def _times(seconds: float, ours: float) -> str:
    return "1" if seconds is ours else f"{seconds / ours:.2g}"
