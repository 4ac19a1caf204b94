"""
Makes the tables and charts of the benchmark's JSON files.

    python benchmarks/report.py                                 # of all in benchmarks/results, into README and docs
    python benchmarks/report.py build/benchmark.json --print    # of one, to look at

The tables go between the lines <!-- benchmark table --> and <!-- /benchmark table -->: one small table over all machines in
README.md; in docs/benchmarks.md each machine's short one, then each one's full ones. Each machine's chart is
docs/benchmarks-NAME.svg, by the name of its first result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pages import put_between
from side_by_side.goals import goals_table
from side_by_side.overview import overview
from side_by_side.results import read_results
from side_by_side.table import Result, full_tables, machine, short_table, short_tables

from bmretriever_integrations.files import write_whole

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TABLE = "benchmark table"
"""Name of the part of a page."""


def committed() -> list[Path]:
    """The committed results: those of GPUs first, then the oldest first."""

    def place(path: Path) -> tuple[bool, str]:
        content = read_results(path)[0]
        return "gpu" not in content["machine_info"], content["datetime"]

    return sorted(RESULTS.glob("*.json"), key=place)


def charts(paths: Sequence[Path]) -> dict[str, list[Result]]:
    """
    Tell which charts there are.

    :param paths: JSON files.
    :returns: name of a file -> the runs of its machine.
    """
    found: dict[str, tuple[str, list[Result]]] = {}
    for path in paths:
        result = read_results(path)
        _, runs = found.setdefault(machine(result[0]), (f"benchmarks-{path.stem}.svg", []))
        runs.append(result)
    return dict(found.values())


def parts(paths: Sequence[Path]) -> tuple[str, str]:
    """
    Make what stands between the marks.

    :param paths: JSON files.
    :returns: the README's part and the documentation's.
    """
    results, short = [read_results(path) for path in paths], []
    for name, runs in charts(paths).items():
        short += [short_table(runs), f"![How many times faster than each peer, on {machine(runs[0][0])}]({name})"]
    return overview(results), "\n\n".join([*short, full_tables(results)])


def print_tables(path: Path) -> None:
    """
    Print the short tables of one result, then the full ones.

    :param path: a JSON file.
    """
    results = [read_results(path)]
    print(f"\n{short_tables(results)}\n\n{full_tables(results)}\n\n{path}")


def print_goals(path: Path) -> None:
    """
    Print the goals for a device of this kind beside what was measured.

    :param path: a JSON file.
    """
    content, outcomes = read_results(path)
    print(f"\n{goals_table(outcomes, on_gpu='gpu' in content['machine_info'])}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="*", type=Path, help="JSON files (default: all in benchmarks/results)")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print the tables and write nothing")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs" / "benchmarks.md")
    arguments = parser.parse_args()
    paths = arguments.results or committed()
    if not paths:
        parser.error(f"{RESULTS} holds no results yet; python benchmarks/run.py --output {RESULTS}/NAME.json")
    if arguments.only_print:
        for path in paths:
            print_tables(path)
        return 0
    from side_by_side.chart import draw_chart

    for page, part in zip((arguments.readme, arguments.docs), parts(paths), strict=True):
        write_whole(page, put_between(page.read_text(encoding="utf-8"), TABLE, part).encode())
    for name, runs in charts(paths).items():
        draw_chart(arguments.docs.parent / name, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
