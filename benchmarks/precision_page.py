"""
Write the tables of benchmarks/precision.py into a page, between its marks.

    python benchmarks/precision_page.py benchmarks/precision.json docs/precision.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pages import fill

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.markdown import markdown_table

MIB = 2**20


def scores(report: dict[str, Any]) -> str:
    """Bytes and mean nDCG@10 of every plan."""
    first = report["scores"][0]
    rows = [
        (
            row["weights"],
            row["vectors"],
            str(row["width"]),
            str(row["rescored"] or ""),
            f"{row['bytes']:,}",
            f"{first['bytes'] / row['bytes']:.0f}",
            f"{row['mean']:.3f}",
            _signed(row["mean"] - first["mean"]) if row is not first else "",
        )
        for row in report["scores"]
    ]
    heading = (
        "weights",
        "vectors",
        "dimensions",
        "rescored",
        "bytes a vector",
        "times smaller",
        "nDCG@10",
        "difference",
    )
    return markdown_table(heading, rows)


def tasks(report: dict[str, Any]) -> str:
    """nDCG@10 of every plan on every task."""
    names = list(report["scores"][0]["ndcg@10"])
    rows = [(_label(row), *(f"{row['ndcg@10'][name]:.3f}" for name in names)) for row in report["scores"]]
    return markdown_table(("", *names), rows)


def weights(report: dict[str, Any]) -> str:
    """Cosines and memory of int8 weights."""
    rows = [
        (
            row["network"],
            f"{row['lowest cosine']:.4f}",
            f"{row['median cosine']:.4f}",
            f"{row['bytes float32'] / MIB:,.0f}",
            f"{row['bytes int8'] / MIB:,.0f}",
        )
        for row in report["weights"]
    ]
    return markdown_table(("network", "lowest cosine", "median", "MiB, float32", "MiB, int8"), rows)


def compared(report: dict[str, Any]) -> str:
    """Cosines of other ways to quantise the same network."""
    network = next(row for row in report["weights"] if "compared" in row)
    chosen = {**network, "way": "the same, rotated: what is built"}
    rows = [
        (row["way"], f"{row['lowest cosine']:.4f}", f"{row['median cosine']:.4f}")
        for row in (*network["compared"][:2], chosen, *network["compared"][2:])
    ]
    return markdown_table((network["network"], "lowest cosine", "median"), rows)


def speed(report: dict[str, Any]) -> str:
    """How many times faster than float32 one text is."""
    rows = [
        (
            str(row["tokens"]),
            *(f"{row[name][1]:.1f} ({row[name][0]:.1f} to {row[name][2]:.1f})" for name in ("bfloat16", "int8")),
        )
        for row in report["speed"]
    ]
    return markdown_table(("tokens", "bfloat16: median (quartiles)", "int8"), rows)


def where(report: dict[str, Any]) -> str:
    """Machine, versions and commit of each part."""
    lines = []
    for name, found in report["where"].items():
        versions = ", ".join(f"{package} {number}" for package, number in found["versions"].items())
        lines.append(f"- {name}: {found['cpu']}; {versions}; commit {found['commit'][:12]}")
    return "\n".join(lines)


PARTS = {"scores": scores, "tasks": tasks, "weights": weights, "compared": compared, "speed": speed, "where": where}


def filled(page: str, report: dict[str, Any]) -> str:
    """The page with every part between its marks made anew."""
    return fill(page, {name: part(report) for name, part in PARTS.items()})


def _signed(difference: float) -> str:
    return f"{difference:+.3f}" if abs(difference) >= 0.0005 else "0.000"


def _label(row: dict[str, Any]) -> str:
    parts = [f"weights {row['weights']}" if row["weights"] != "float32" else "", row["vectors"]]
    parts += [f"{row['width']} dimensions" if row["width"] != 576 else ""]
    parts += [f"{row['rescored']} rescored" if row["rescored"] else ""]
    return ", ".join(filter(None, parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path, help="what benchmarks/precision.py wrote")
    parser.add_argument("page", type=Path, help="the Markdown page")
    arguments = parser.parse_args()
    page = filled(arguments.page.read_text(encoding="utf-8"), json.loads(arguments.report.read_bytes()))
    write_whole(arguments.page, page.encode())


if __name__ == "__main__":
    main()
