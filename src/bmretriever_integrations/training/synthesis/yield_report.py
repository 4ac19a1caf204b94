"""How many questions became pairs, and where the others were lost: as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.training.synthesis.asking import EXAMPLES, Asked
from bmretriever_integrations.training.synthesis.filtering import Kept
from bmretriever_integrations.training.synthesis.spending import Spending


def report(kept: Kept, asked: Asked, spending: Spending, seconds: float, settings: dict[str, object]) -> dict[str, Any]:
    """
    Make the report of a run.

    :param kept: what the filters kept and dropped.
    :param asked: counts of questions, requests and answers.
    :param spending: tokens and cost.
    :param seconds: duration of this run.
    :param settings: generator, prompts, seed and limits.
    :returns: the report, as plain values for JSON.
    """
    fresh = kept.valid - sum(kept.repeats.values())
    return {
        "settings": settings,
        "asked": asked.questions,
        "requests": asked.requests,
        "remembered": asked.remembered,
        "usable_at_attempt": {str(attempt): count for attempt, count in sorted(asked.usable_at.items())},
        "unusable": dict(asked.unusable.most_common()),
        "valid": kept.valid,
        "repeats": dict(kept.repeats),
        "different": fresh,
        "round_trip": None
        if kept.retriever is None
        else {"retriever": kept.retriever, "top_k": kept.top_k, "passages": kept.passages, "lost": kept.inconsistent},
        "kept": len(kept.pairs),
        "by_type": kept.by_type,
        "prompt_tokens": spending.prompt_tokens,
        "completion_tokens": spending.completion_tokens,
        "estimated_tokens": spending.estimated,
        "cost": spending.cost,
        "stopped_by_limit": spending.stopped,
        "seconds": round(seconds, 1),
        "examples": {
            "kept": [{"query": pair.query, "passage": pair.positive} for pair in kept.pairs[:EXAMPLES]],
            "lost": kept.lost,
            "unusable": asked.examples,
        },
    }


def write_report(content: dict[str, Any], path: Path) -> None:
    """
    Write the report, completely or not at all.

    :param content: the report from :func:`report`.
    :param path: a .json file.
    """
    write_whole(path, json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8", "replace"))


def report_table(content: dict[str, Any]) -> Table:
    """
    Make a table of the report, each count with its share of the questions asked.

    :param content: the report from :func:`report`.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("Number", justify="right")
    table.add_column("Of asked", justify="right")
    for name, number, is_share in _lines(content):
        share = f"{100 * number / content['asked']:.1f} %" if is_share and content["asked"] else ""
        table.add_row(escape(name), f"{number:,}" if isinstance(number, int) else f"{number:,.4f}", share)
    return table


def _lines(content: dict[str, Any]) -> Iterator[tuple[str, float, bool]]:
    yield "questions asked", content["asked"], True
    for reason, number in content["unusable"].items():
        yield f"  unusable: {reason}", number, True
    yield "valid", content["valid"], True
    for kind, number in sorted(content["repeats"].items()):
        yield f"  repeats: {kind}", number, True
    yield "different", content["different"], True
    trip = content["round_trip"]
    if trip is not None:
        yield f"  not in {trip['retriever']}'s top {trip['top_k']} of {trip['passages']:,}", trip["lost"], True
    yield "kept", content["kept"], True
    yield "requests sent in this run", content["requests"], False
    yield "answers from the ledger", content["remembered"], False
    yield "prompt tokens", content["prompt_tokens"], False
    yield "completion tokens", content["completion_tokens"], False
    if content["estimated_tokens"]:
        yield "  of both: estimated, not reported", content["estimated_tokens"], False
    if content["cost"]:
        yield "cost", content["cost"], False
    yield "seconds", round(content["seconds"]), False
