"""Measure searches of an index: exact, hybrid, filtered, many at once, and after `tune`.

    python benchmarks/search_speed.py --rows 50000 --folder speed-50k
    python benchmarks/search_speed.py --rows 1000000 --folder speed-1m --vectors passages.npy --recall 0.95

The first call makes the index in the folder, later ones measure it as it is. Without --vectors the vectors are made up, around
2,000 centres. With it they are the rows of these files, and further ones are copies with noise of 30 % of each column's spread.
Questions are middles between two rows, with 8 words for the hybrid search; no model is needed. Every line is the median over 60
questions, of wall time and of CPU time over all threads. Delete the folder at the end; it takes 2.5 kB a row.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import SearchIndex, tune_index
from bmretriever_integrations.index.checksums import update_checksums
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.recall import exactly_answered, sampled_rows
from bmretriever_integrations.index.schema import table_of
from bmretriever_integrations.index.search.answers import Question, answer
from bmretriever_integrations.index.search.ranking import Wanted
from bmretriever_integrations.index.search.snapshot import Snapshots
from bmretriever_integrations.index.table import create_table, open_table, optimize

WIDTH = 576
PORTION = 20_000
QUESTIONS = 60
SLOTS = 10_000
"""Values of the key `slot`, so that a filter on one keeps 1 row in 10,000."""


def make(folder: Path, rows: int, files: Sequence[Path]) -> None:
    """Write an index of so many rows."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    if files:
        real = np.concatenate([np.load(file).astype(np.float32) for file in files])
    else:
        real = draw.standard_normal((2_000, WIDTH), np.float32) / 24
    real, spread = real[draw.permutation(len(real))], real.std(axis=0)
    table = create_table(folder, real.shape[1], "float16")
    for start in range(0, rows, PORTION):
        numbers = np.arange(start, min(start + PORTION, rows))
        vectors = real[numbers % len(real)]
        if not files or start >= len(real):
            vectors = vectors + draw.standard_normal(vectors.shape, np.float32) * spread * np.float32(0.3)
        words = draw.zipf(1.3, (len(numbers), 150)) % 50_000
        records = [
            Record(
                str(number),
                f"Study {number}",
                " ".join(f"w{word}" for word in line),
                Metadata(date=str(1980 + number % 45), journal=f"J{number % SLOTS}", retracted=number % 500 == 0),
            )
            for number, line in zip(numbers.tolist(), words.tolist(), strict=True)
        ]
        table.add(table_of(records, vectors, ["made"] * len(records), "float16"))
    optimize(table)
    engine = {"model": "none", "revision": None, "files_sha256": "0", "width": real.shape[1]}
    manifest = Manifest(encoder=engine, batch_tokens=1, complete=True)
    update_checksums(folder, manifest)
    manifest.write(folder)


def show(name: str, ask: Callable[[int], object]) -> None:
    """Time a call for each question, after three that are not counted."""
    walls, cpus = [], []
    for number in (0, 1, 2, *range(QUESTIONS)):
        wall, cpu = time.perf_counter(), time.process_time()
        ask(number)
        walls.append(1000 * (time.perf_counter() - wall))
        cpus.append(1000 * (time.process_time() - cpu))
    walls, cpus = sorted(walls[3:]), sorted(cpus[3:])
    line = f"{name:34} p50 {statistics.median(walls):8.1f} ms  p95 {walls[len(walls) * 95 // 100]:8.1f} ms"
    print(f"{line}  cpu {statistics.median(cpus):8.1f} ms", flush=True)


def measure(folder: Path) -> None:
    """Print the times of every kind of search."""
    index = SearchIndex.open(folder)
    table, width = open_table(folder), index.manifest.width
    rows, _ = sampled_rows(table, width, QUESTIONS)
    vectors = (rows + np.roll(rows, 1, axis=0)) / np.float32(2)
    draw = np.random.default_rng(1)
    words = [" ".join(f"w{word}" for word in draw.zipf(1.3, 8) % 50_000) for _ in vectors]
    snapshots = Snapshots(folder)

    def hybrid(number: int) -> object:
        question = Question(words[number], vectors[number])
        return list(answer(snapshots.now(), [question], "hybrid", Wanted(10)))

    way = "tuned" if index.tuned else "exact"
    show(f"vector, {way}", lambda number: index.search(vectors[number], 10))
    show(f"hybrid, {way}", hybrid)
    show("text", lambda number: index.search(words[number], 10, mode="text"))
    show(
        "filter that keeps 1 in 10,000",
        lambda number: index.search(vectors[number], 5, filters=f"journal = 'J{number}'"),
    )
    begun = time.perf_counter()
    many = index.search_many(vectors, 10, include_retracted=True)
    print(f"{len(vectors)} questions by search_many: {time.perf_counter() - begun:.2f} s")
    exact = exactly_answered(table, vectors, [None] * len(vectors))
    found = sum(len(right & {hit.id for hit in hits}) for right, hits in zip(exact.answers, many, strict=True))
    print(f"recall@10 of search_many: {found / sum(map(len, exact.answers)):.4f}")
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")


def main() -> None:
    """Read the arguments, make the index if it is not there, tune it if that is asked, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--vectors", type=Path, nargs="*", default=[], metavar="FILE.npy")
    parser.add_argument("--recall", type=float, help="tune the index first")
    arguments = parser.parse_args()
    if not arguments.folder.exists():
        make(arguments.folder, arguments.rows, arguments.vectors)
    if arguments.recall is not None:
        begun, cpu = time.perf_counter(), time.process_time()
        print(tune_index(arguments.folder, arguments.recall, say=print).chosen)
        print(f"tune: {time.perf_counter() - begun:.0f} s, {time.process_time() - cpu:.0f} CPU-s")
    measure(arguments.folder)


if __name__ == "__main__":
    main()
