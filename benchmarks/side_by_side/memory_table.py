"""The case memory -> Markdown."""

from __future__ import annotations

from bmretriever_integrations.markdown import markdown_table
from side_by_side.results import Outcome

MILLION = 1_000_000


def memory_lines(outcome: Outcome) -> list[str]:
    """
    Say what ours took, in one sentence.

    :param outcome: of the case memory.
    :returns: none where ours was not measured.
    """
    found = outcome.raw["contenders"].get("ours")
    if not found:
        return []
    small, large = found
    kinds = [("process", "process_bytes"), ("GPU", "device_bytes")]
    parts = [
        f"{small[key] / 1e6:,.0f} MB and {large[key] / 1e6:,.0f} MB of the {kind}"
        for kind, key in kinds
        if small[key] is not None
    ]
    sizes = f"{small['passages']:,} and {large['passages']:,} passages"
    network = f"{outcome.raw['layers']} layers of width {outcome.raw['width']}, titles"
    return [f"Memory beyond the weights ({network}) while {sizes} are indexed: {'; '.join(parts)}."]


def memory_table(outcome: Outcome) -> str:
    """
    Show what every contender took.

    :param outcome: of the case memory.
    :returns: Markdown.
    """
    raw = outcome.raw
    head = (
        f"**Memory beyond the weights while a corpus is indexed**: {raw['layers']} layers of width {raw['width']}, "
        f"{raw['tokens_a_passage']} tokens a passage; the most that the process and the GPU held beyond what they held before."
    )
    body = []
    for name, (small, large) in raw["contenders"].items():
        for kind, key in (("process", "process_bytes"), ("GPU", "device_bytes")):
            if small[key] is None:
                continue
            each = (large[key] - small[key]) / (large["passages"] - small["passages"])
            cells = [f"{run['passages']:,} passages: {run[key] / 1e6:,.1f} MB" for run in (small, large)]
            grown = f"{each * MILLION / 1e6:,.0f} MB" if each > 0 else "none: flat"
            body.append([name, kind, *cells, grown])
    return f"{head}\n\n{markdown_table(['', 'memory', 'small corpus', 'large corpus', 'growth by a million passages'], body)}"
