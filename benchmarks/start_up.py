"""Measure the time from the start of a process to its first query vector, beside sentence-transformers, on the CPU.

    python benchmarks/start_up.py --model mini --model 410M --rounds 5

Every measurement is a process of its own. The two take turns, after one process each that is not counted, so that all files are
in the system's cache. Both read the same weights from a folder, in the same number type, and use PyTorch's attention. 410M has
random weights in its true shape and mini's tokenizer; it takes 1.4 GB in the folder for temporary files. "process" is the
process as a whole, with the start and the end of Python. Every number is a median, in seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from side_by_side.shapes import SHAPES, config_of
from side_by_side.weights import write_checkpoint, write_for_peers

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder
from bmretriever_integrations.export import export_checkpoint

QUESTION = "does metformin lower cancer risk"
OURS = """
from bmretriever_integrations import BMRetrieverEncoder
mark()
model = BMRetrieverEncoder(folder, device="cpu", dtype=dtype)
mark()
vectors = model.encode_queries([question], "nfcorpus")
"""
THEIRS = """
from sentence_transformers import SentenceTransformer
mark()
options = {"dtype": dtype, "attn_implementation": "sdpa"}
model = SentenceTransformer(folder, device="cpu", local_files_only=True, model_kwargs=options)
mark()
vectors = model.encode([question], prompt_name="nfcorpus")
"""
BEFORE = """
import json, sys, time
times = [time.perf_counter()]
mark = lambda: times.append(time.perf_counter())
folder, dtype, question = sys.argv[1:]
"""
AFTER = """
mark()
print(json.dumps([*(after - before for before, after in zip(times, times[1:])), times[-1] - times[0]]))
"""
STEPS = ("import", "load", "first vector", "total", "process")


def measure(script: str, folder: str, dtype: str) -> list[float]:
    """Run one process, and return the seconds of each of the steps."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", BEFORE + script + AFTER, folder, dtype, QUESTION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the process that loads {folder} failed: {done.stderr[-500:]}")
    return [*json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - begun]


def folders(model: str, tiny: bool, room: Path) -> tuple[str, str]:
    """Make what each of the two loads: the name or folder of our model, and a folder of sentence-transformers."""
    if model == "mini":
        export_checkpoint("mini", room / "mini-peers")
        return "mini", str(room / "mini-peers")
    config = config_of(model, 0, tiny)
    ours = write_checkpoint(room / model, config, embedded_folder("mini"), 0, "cpu")
    return str(ours), str(write_for_peers(ours, room / f"{model}-peers"))


def table(model: str, dtype: str, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> list[str]:
    """Lay out the medians of the processes of one model."""
    lines = [f"{model}, {dtype}, processes of each: {len(ours)}", f"{'':14}{'ours':>8}{'s-t':>8}{'ratio':>8}"]
    for step, own, other in zip(STEPS, zip(*ours, strict=True), zip(*theirs, strict=True), strict=True):
        mine, peer = statistics.median(own), statistics.median(other)
        lines.append(f"{step:14}{mine:8.2f}{peer:8.2f}{peer / mine:8.1f}")
    best = [min(run[-2] for run in runs) for runs in (ours, theirs)]
    return [*lines, f"{'best total':14}{best[0]:8.2f}{best[1]:8.2f}{best[1] / best[0]:8.1f}"]


def main() -> None:
    """Read the arguments, and measure one model after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=("mini", *SHAPES), help="default: mini and 410M")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each (default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="default: the one that the engine chooses")
    parser.add_argument("--tiny", action="store_true", help="four narrow layers in place of the true shape")
    arguments = parser.parse_args()
    with BMRetrieverEncoder("mini", device="cpu", dtype=arguments.dtype) as encoder:
        dtype = str(encoder.identity()["dtype"])
    for model in arguments.model or ["mini", "410M"]:
        with tempfile.TemporaryDirectory() as room:
            ours, theirs = folders(model, arguments.tiny, Path(room))
            runs = [(measure(OURS, ours, dtype), measure(THEIRS, theirs, dtype)) for _ in range(arguments.rounds + 1)]
            print("\n".join(table(model, dtype, *zip(*runs[1:], strict=True))), flush=True)


if __name__ == "__main__":
    main()
