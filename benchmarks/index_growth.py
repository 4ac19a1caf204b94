"""How an index grows with its records: bytes, CPU time and memory of each step, alone in a process; for docs/pubmed-size.md."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from bmretriever_integrations.files import write_whole

MEASURED = Path(__file__).with_name("index_growth.json")
WIDTH = 256
"""Of made-up vectors; their bytes are known, and are subtracted."""
AT_ONCE = 4096
STEPS = ("write", "compact", "words", "lists", "others", "ask", "sizes", "update")
QUESTIONS = (
    "does metformin lower the risk of cancer", "covid-19 vaccination in pregnancy", "aspirin and stroke prevention",
    "effects of insulin on glucose metabolism in rats", "randomized trial of statins", "gene expression in mice",
    "breast cancer survival after chemotherapy", "treatment of hypertension in the elderly",
    "machine learning for radiology", "escherichia coli enzyme kinetics",
)  # fmt: skip


def write(folder: Path, rows: int, files: Sequence[Path]) -> None:
    """Fill a table with the records of PubMed files, which are taken again with other ids until there are enough."""
    import numpy as np

    from bmretriever_integrations.corpus import read_corpus
    from bmretriever_integrations.index.places.database import connect
    from bmretriever_integrations.index.places.where import place_of
    from bmretriever_integrations.index.schema import schema, table_of
    from bmretriever_integrations.index.table import TABLE

    records = list({record.id: record for record in read_corpus(list(files))}.values())
    folder.mkdir(parents=True)
    table = connect(place_of(folder)).create_table(TABLE, schema=schema(WIDTH, "float16"))
    rng, left = np.random.default_rng(0), rows
    for again in count():
        for start in range(0, len(records), AT_ONCE):
            part = [replace(one, id=f"{again}{one.id}") for one in records[start : start + AT_ONCE][:left]]
            if not part:
                return
            vectors = rng.standard_normal((len(part), WIDTH), np.float32)
            table.add(table_of(part, vectors, ["s"] * len(part), "float16"))
            left -= len(part)


def run_step(step: str, folder: Path) -> dict[str, Any]:
    """Do a step on the table of a folder and say what it took."""
    import pyarrow as pa
    from lancedb.index import Bitmap, BTree, LabelList

    from bmretriever_integrations.index.search.full_text import full_text_index, full_text_query
    from bmretriever_integrations.index.table import INDEXED_LISTS, open_table, optimize

    table = open_table(folder)

    def make(config: Any, *columns: str) -> None:
        for column in columns:
            table.create_index(column, config=config)

    def ask() -> None:
        for question in QUESTIONS:
            table.search(full_text_query(question)).select(["id", "_score"]).limit(100).to_arrow()

    if step == "sizes":
        indices = {name: 0 for name in ("words", "filters")}
        for index in table.list_indices():
            indices["words" if index.columns == ["words"] else "filters"] += index.size_bytes
        return {**indices, "data": table.stats()["total_bytes"] - sum(indices.values())}
    if step == "ask":
        ask()  # what is read once and kept
    if step == "update":
        rows = table.search().limit(AT_ONCE).to_arrow()
        ids = pa.array([f"u{number}" for number in range(rows.num_rows)])
        table.add(rows.set_column(0, "id", ids))
    acts: dict[str, Callable[[], None]] = {
        "compact": lambda: optimize(table),
        "words": lambda: make(full_text_index(), "words"),
        "lists": lambda: make(LabelList(), *INDEXED_LISTS, "labels"),
        "others": lambda: (
            make(BTree(), "id", "first_day", "last_day", "year"),
            make(Bitmap(), "retracted", "journal"),
        )[0],
        "ask": ask,
        "update": lambda: optimize(table),
    }
    before, memory = _cpu(), _peak()
    acts[step]()
    return {"cpu": round(_cpu() - before, 3), "peak_mb": round(_peak()), "before_mb": round(memory)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: Sequence[str] | None = None) -> None:
    """
    Run the command.

    :param argv: its words; None takes the process's own.
    """
    parser = argparse.ArgumentParser(description=f"{__doc__} Example: python benchmarks/index_growth.py pubmed*.xml.gz")
    parser.add_argument("files", nargs="+", type=Path, help="files of PubMed")
    parser.add_argument("--rows", nargs="+", type=int, default=[50_000, 100_000, 200_000], metavar="N")
    parser.add_argument("--to", type=Path, default=MEASURED, metavar="FILE")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "DIR"), help=argparse.SUPPRESS)
    words = parser.parse_args(argv)
    if words.step:
        step, folder = words.step[0], Path(words.step[1])
        print(json.dumps(run_step(step, folder) if step != "write" else write(folder, words.rows[0], words.files)))
        return
    found: dict[str, Any] = {
        "files": [file.name for file in words.files],
        "width": WIDTH,
        "questions": len(QUESTIONS),
        "rows": {},
    }
    for rows in words.rows:
        with tempfile.TemporaryDirectory() as folder:
            found["rows"][str(rows)] = {
                step: _in_a_process(step, rows, Path(folder) / "index", words.files) for step in STEPS
            }
    write_whole(words.to, (json.dumps(found, indent=1) + "\n").encode())


def _in_a_process(step: str, rows: int, folder: Path, files: Sequence[Path]) -> Any:
    command = [sys.executable, __file__, *map(str, files), "--rows", str(rows), "--step", step, str(folder)]
    quiet = {**os.environ, "LANCEDB_LOG": "error"}
    print(f"{rows:,} rows: {step}", file=sys.stderr)
    return json.loads(subprocess.run(command, env=quiet, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
