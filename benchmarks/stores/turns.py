"""Every contender in processes of its own, asked in turns, so that a machine that slows down slows all of them."""

from __future__ import annotations

import importlib
import multiprocessing
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from benchmarks.stores.contenders import CONTENDERS, Store
from benchmarks.stores.data import Data
from tqdm import tqdm

SLOW = 0.3
"""Seconds of a question; a slower contender gets every :data:`SHARE` th question."""
SHARE = 20


@dataclass
class Measured:
    """What was found about one contender."""

    label: str
    lacks: str
    build_seconds: float | None = None
    """None if it searches another one's folder."""
    disk_bytes: int = 0
    memory_bytes: int = 0
    """Resident memory of a fresh process after its searches, the modules that it imports included."""
    seconds: list[float] = field(default_factory=list)
    """Of each question."""
    recall: float | None = None
    """Share of the ten passages with the largest inner products that were found."""

    @property
    def p50(self) -> float:
        """Median of the seconds of a question."""
        return median(self.seconds)


def measure(data: Data, work: Path, names: list[str]) -> dict[str, Measured]:
    """
    Build all contenders one after another, then ask them in turns.

    :param data: passages and questions.
    :param work: a folder for what the contenders write; theirs is made anew.
    :param names: keys of :data:`CONTENDERS`.
    """
    found = {name: Measured(CONTENDERS[name].label, CONTENDERS[name].lacks) for name in names}
    for name in tqdm(names, desc="building", disable=None):
        if CONTENDERS[name].like is None:
            found[name].build_seconds = _in_fresh_process(build, name, data, work / name)
    with ExitStack() as stack:
        processes = {name: stack.enter_context(fresh_process()) for name in names}
        for name in names:
            folder = work / (CONTENDERS[name].like or name)
            processes[name].submit(open_store, name, data, folder).result()
            found[name].disk_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        answers = _ask_in_turns(found, processes, len(data.questions))
        for name, process in processes.items():
            found[name].memory_bytes = process.submit(resident).result()
    right = data.right()
    for name in names:
        if CONTENDERS[name].same_question:
            shares = [len(set(ids) & set(right[row])) / len(right[row]) for row, ids in answers[name].items()]
            found[name].recall = sum(shares) / len(shares)
    return found


def _ask_in_turns(
    found: dict[str, Measured], processes: dict[str, ProcessPoolExecutor], questions: int
) -> dict[str, dict[int, list[str]]]:
    answers: dict[str, dict[int, list[str]]] = {name: {} for name in found}
    for process in processes.values():
        process.submit(ask, 0).result()  # the first question loads what is loaded late
    slow = {name for name, process in processes.items() if process.submit(ask, 0).result()[0] > SLOW}
    for row in tqdm(range(questions), desc="asking", disable=None):
        names = list(found)[row % len(found) :] + list(found)[: row % len(found)]
        for name in names:
            if name not in slow or row % SHARE == 0:
                seconds, answers[name][row] = processes[name].submit(ask, row).result()
                found[name].seconds.append(seconds)
    return answers


def fresh_process() -> ProcessPoolExecutor:
    """Return one process, which starts with nothing imported."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def _in_fresh_process(work: Any, *arguments: Any) -> Any:
    with fresh_process() as process:
        return process.submit(work, *arguments).result()


def build(name: str, data: Data, folder: Path) -> float:
    """
    Build one contender, in this process.

    :param name: a key of :data:`CONTENDERS`.
    :param data: what it holds then.
    :param folder: made anew.
    :returns: seconds, without reading the vectors and importing modules.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for module in CONTENDERS[name].needs:
        importlib.import_module(module)
    assert len(data.vectors) == len(data.records)  # both are read now, not while the clock runs
    start = time.perf_counter()
    CONTENDERS[name].store.build(data, folder)
    return time.perf_counter() - start


_open: dict[str, Any] = {}


def open_store(name: str, data: Data, folder: Path) -> None:
    """
    Open one contender in this process, for :func:`ask`.

    :param name: a key of :data:`CONTENDERS`.
    :param data: its questions are asked later.
    :param folder: where it was built.
    """
    store: Store = CONTENDERS[name].store
    store.open(folder)
    _open.update(store=store, data=data)


def ask(row: int) -> tuple[float, list[str]]:
    """
    Ask the contender of this process one question.

    :param row: number of the question.
    :returns: seconds, and the ids of the hits.
    """
    question = _open["data"].questions[row]
    start = time.perf_counter()
    ids = _open["store"].search(question)
    return time.perf_counter() - start, ids


def resident() -> int:
    """Return the bytes of this process that lie in memory."""
    return int(psutil.Process().memory_info().rss)
