"""
Measures our index beside Chroma, FAISS, Haystack's store in memory and LlamaIndex's simple store, on the same vectors.

    python -m benchmarks.stores                                   # 50,000 citations of PubMed, 200 questions; about ten minutes
    python -m benchmarks.stores --contenders ours faiss-flat --passages 5000
    python -m benchmarks.stores --docs docs/benchmarks.md         # and puts the table into the page

Each contender is built in one process, opened in a fresh one, and asked in turns with the others. docs/benchmarks.md says how to
read the table.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.pages import fill
from benchmarks.stores.contenders import CONTENDERS
from benchmarks.stores.data import prepare
from benchmarks.stores.table import OURS, table
from benchmarks.stores.turns import measure

from bmretriever_integrations.files import write_whole
from bmretriever_integrations.versions import versions_of

PACKAGES = ("lancedb", "chromadb", "faiss-cpu", "haystack-ai", "llama-index-core", "numpy")
MARK = "stores table"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=50_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--questions", type=int, default=200, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--contenders", nargs="+", choices=CONTENDERS, metavar="NAME", help=f"of {' '.join(CONTENDERS)}"
    )
    parser.add_argument("--work", type=Path, default=Path("build/stores"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="JSON of all that was measured (default: stores.json in --work)")
    parser.add_argument(
        "--docs", type=Path, metavar="PAGE", help=f"page with the lines <!-- {MARK} --> and <!-- /{MARK} -->"
    )
    return parser


def main() -> int:
    arguments = make_parser().parse_args()
    names = arguments.contenders or list(CONTENDERS)
    if OURS not in names:
        names = [OURS, *names]  # the others' times are compared with its
    data = prepare(arguments.work / "data", arguments.passages, arguments.questions)
    found = measure(data, arguments.work, names)
    said = {
        "passages": len(data.records),
        "width": data.vectors.shape[1],
        "questions": len(data.questions),
        "versions": versions_of(PACKAGES),
        "contenders": {name: asdict(one) for name, one in found.items()},
    }
    output = arguments.output or arguments.work / "stores.json"
    output.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    print(table(found))
    if arguments.docs is not None:
        page = fill(arguments.docs.read_text(encoding="utf-8"), {MARK: table(found)})
        write_whole(arguments.docs, page.encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
