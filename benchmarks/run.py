"""
Measures this engine beside what a user would otherwise run, and writes one JSON.

    python benchmarks/run.py                                        # 410M and 1B in slices on a CPU, a quarter of an hour
    python benchmarks/run.py --data FOLDER --output benchmarks/results/laptop.json
    python benchmarks/run.py --device cuda --output benchmarks/results/h100.json          # all four models, whole
    benchmarks/gpu.sh                                               # a GPU, at most seven minutes: its tests, then the cases
    python benchmarks/run.py --models 410M --cases queries --layers 0 --rounds 5          # one case of the whole model

The weights are random, in the released models' true shapes; nothing is downloaded but a tokenizer, where a registry is in
reach. Contenders take turns in one process, and every contender's vectors are compared with the reference in the same run.
benchmarks/report.py makes tables and charts of the JSON; docs/benchmarks.md says how to read them.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest
from side_by_side.machine import PACKAGES, hardware, load_average, versions
from side_by_side.options import CASES, CONTENDERS, CPU_PLANS, Options
from side_by_side.texts import VARIABLE

HERE = Path(__file__).resolve().parent


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    several = {"nargs": "+", "metavar": "NAME"}
    parser.add_argument("--output", type=Path, default=Path("build/benchmark.json"), help="default: %(default)s")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1 (default: %(default)s)")
    parser.add_argument("--models", choices=CPU_PLANS, **several, help="410M 1B 2B 7B (default: by the device)")
    parser.add_argument("--cases", choices=CASES, **several, help=f"of {' '.join(CASES)} (default: all)")
    parser.add_argument("--contenders", choices=CONTENDERS, **several, help=f"of {' '.join(CONTENDERS)}")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="default: float32, on CUDA bfloat16"
    )
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        metavar="N",
        help="one number of layers, or two from which the whole is calculated; 0: all",
    )
    parser.add_argument("--passages", type=int, metavar="N", help="in bulk (default: by model and device)")
    parser.add_argument("--queries", type=int, metavar="N", help="in bulk")
    parser.add_argument("--latency", type=int, metavar="N", help="queries a round in the case one-query")
    parser.add_argument(
        "--memory", type=int, nargs=2, metavar="N", help="passages of the two corpora in the case memory"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="exactly so many, after a warm-up (default: 3 at least, on CUDA 5, until ratios spread little)",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="of one case's rounds, beyond the least number of them (default: 120, on CUDA 20)",
    )
    parser.add_argument("--batch-sizes", type=int, nargs="+", metavar="N", help="that sentence-transformers may try")
    parser.add_argument("--threads", type=int, metavar="N", help="of PyTorch on the CPU (default: its own choice)")
    parser.add_argument("--data", default=os.environ.get(VARIABLE), help=f"BEIR tasks; or set {VARIABLE}")
    parser.add_argument(
        "--work",
        help="folder for the tokenizers, and for the weights in the case memory (default: the system's for temporary files)",
    )
    parser.add_argument("--seed", type=int, help="of weights and order (default: 0)")
    parser.add_argument(
        "--budget",
        type=float,
        metavar="SECONDS",
        help="leave out what does not fit: the last cases of the last models",
    )
    parser.add_argument("--commit", metavar="ID", help="of the code, where it lies in no git checkout")
    parser.add_argument("--goals", action="store_true", help="print the goals for the device beside what was measured")
    parser.add_argument("--describe", action="store_true", help="print machine and versions, and measure nothing")
    parser.add_argument("--tiny", action="store_true", help="tiny networks and a few texts: does everything run?")
    return parser


def main() -> int:
    parser = make_parser()
    given = vars(parser.parse_args())
    output, wants_goals = given.pop("output").resolve(), given.pop("goals")
    if given.pop("describe"):
        print_machine(given["device"])
        return 0
    asked = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items() if value is not None
    }
    try:
        options = Options(**asked)
        options.check()
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    output.parent.mkdir(parents=True, exist_ok=True)
    before = _last_written(output)
    code = pytest.main(
        [
            str(HERE / "test_side_by_side.py"),
            "--benchmark-only",
            "--benchmark-quiet",
            f"--side-by-side-json={output}",
            f"--side-by-side={options.to_json()}",
            "--capture=no",
            "--quiet",
            "-rs",
            "-W",
            "ignore",  # of the packages that are measured, and of options of pyproject.toml that are another plugin's
            "--no-header",
            f"--rootdir={HERE.parent}",
        ]
    )
    if _last_written(output) != before:  # it is written after each case: else nothing was measured
        from report import print_goals, print_tables

        print_tables(output)
        if wants_goals:
            print_goals(output)
    return int(code)


def _last_written(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.is_file() else None


def print_machine(device: str) -> None:
    """
    Print what decides speed.

    :param device: that the benchmark would run on.
    """
    from cpuinfo import get_cpu_info  # comes with pytest-benchmark

    for name, value in {**hardware(device, get_cpu_info(), load_average()), **versions()}.items():
        print(f"{name:35} {'not installed' if value is None and name in PACKAGES else value}")


if __name__ == "__main__":
    sys.exit(main())
