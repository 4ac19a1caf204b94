"""What an index of many records takes, calculated from what `index_growth.py` measured of smaller ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bmretriever_integrations.checkpoints import RELEASED
from bmretriever_integrations.markdown import markdown_table

CODE_BYTES = 15
"""Bytes of a record in the approximate index beside one bit for each dimension: of a million records 87 bytes at width 576."""
STEPS = {
    "compact": "joining files",
    "words": "full-text index",
    "lists": "filters on lists",
    "others": "other filters",
    "update": "an update of 4,096 records",
}


def record_bytes(grown: Mapping[str, Any], width: int) -> dict[str, float]:
    """
    Add up the bytes of a record in an index, as they are in the smallest table, which holds no text twice.

    :param grown: what ``index_growth.py`` measured.
    :param width: the length of a vector.
    :returns: maps each part to its bytes.
    """
    rows, smallest = next(iter(grown["rows"].items()))
    sizes = {part: smallest["sizes"][part] / int(rows) for part in ("data", "words", "filters")}
    return {
        "texts and metadata": sizes["data"] - 2 * grown["width"],
        "vector, float16": 2.0 * width,
        "full-text index": sizes["words"],
        "indices of filters": sizes["filters"],
        "approximate index": width / 8 + CODE_BYTES,
    }


def index_tables(grown: Mapping[str, Any], records: float) -> dict[str, str]:
    """
    Write the tables of an index.

    :param grown: what ``index_growth.py`` measured.
    :param records: how many records the index has.
    :returns: name -> Markdown.
    """
    parts = {one.name: record_bytes(grown, one.width) for one in RELEASED}
    body = [[name, *(f"{parts[one.name][name]:,.0f}" for one in RELEASED)] for name in next(iter(parts.values()))]
    sums = {name: sum(of.values()) for name, of in parts.items()}
    body.append(["bytes of a record", *(f"{sums[one.name]:,.0f}" for one in RELEASED)])
    body.append(["all records", *(f"{records * sums[one.name] / 1e9:,.0f} GB" for one in RELEASED)])
    disk = markdown_table(["", *(f"`{one.name}`" for one in RELEASED)], body)
    sizes = list(grown["rows"])
    rows = []
    for step, name in STEPS.items():
        for key, unit, shown in (("cpu", "CPU-s", ",.1f"), ("peak_mb", "peak MB", ",.0f")):
            seen = [format(grown["rows"][size][step][key], shown) for size in sizes]
            rows.append([f"{name}, {unit}", *seen, _growth(1e6 * _slope(grown, step, key))])
    questions = grown["questions"]
    asked = [f"{1e3 * grown['rows'][size]['ask']['cpu'] / questions:,.1f}" for size in sizes]
    rows.append(["a question by words, CPU-ms", *asked, _growth(1e9 * _slope(grown, "ask", "cpu") / questions)])
    growth = markdown_table(["", *(f"{int(size):,} records" for size in sizes), "each million more"], rows)
    return {"index": disk, "growth": growth}


def _growth(slope: float) -> str:
    return f"{slope:,.0f}" if slope > 0 else "none seen"


def _slope(grown: Mapping[str, Any], step: str, key: str) -> float:
    """Return what each further record takes, by the two largest sizes."""
    fewer, more = list(grown["rows"])[-2:]
    took = (grown["rows"][size][step][key] for size in (more, fewer))
    return (next(took) - next(took)) / (int(more) - int(fewer))
