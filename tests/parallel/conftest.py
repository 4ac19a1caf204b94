"""One pool of two workers for all tests that leave it whole, on a checkpoint with one word that makes NaN."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.parallel import EncoderPool
from bmretriever_integrations.parallel.fair_queue import QueuedJob
from bmretriever_integrations.parallel.process import ProcessWorker

NAN = "\x07"
"""A character whose vectors are NaN in the checkpoint of these tests."""


@pytest.fixture(scope="session")
def checkpoint(tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that raises FloatingPointError for texts that hold :data:`NAN`."""
    from transformers import AutoTokenizer

    folder = shutil.copytree(tiny("llama"), tmp_path_factory.mktemp("nan") / "model")
    (token,) = AutoTokenizer.from_pretrained(folder)(NAN)["input_ids"]
    tensors = load_file(folder / "model.safetensors")
    tensors["embed_tokens.weight"][token] = torch.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def pool(checkpoint: Path) -> Iterator[EncoderPool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "OMP_NUM_THREADS", "1"
        )  # sums are added up in the same order on a machine with any number of cores
        made = EncoderPool(checkpoint, devices=["cpu", "cpu"], dtype="float32")
    with made:
        yield made


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[ProcessWorker]:
    """The workers that this test starts, in the order of their devices."""
    started: list[ProcessWorker] = []
    plain = ProcessWorker.__init__

    def init(self: ProcessWorker, *arguments: object) -> None:
        plain(self, *arguments)
        started.append(self)

    monkeypatch.setattr(ProcessWorker, "__init__", init)
    return started


@pytest.fixture
def before_each_job(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[ProcessWorker, QueuedJob], None]], None]:
    """A function: ``act`` -> ``act(worker, job)`` is called before a worker is given an job, in place of an earlier one."""
    plain = ProcessWorker.do

    def replace(act: Callable[[ProcessWorker, QueuedJob], None]) -> None:
        def do(self: ProcessWorker, queued: QueuedJob) -> Vectors:
            act(self, queued)
            return plain(self, queued)

        monkeypatch.setattr(ProcessWorker, "do", do)

    return replace


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    try:  # a zombie, which nobody waits for in a container, is gone
        return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="session")
def gone() -> Callable[[list[int]], bool]:
    """A function: process ids -> whether all of them end within ten seconds."""

    def wait(pids: list[int]) -> bool:
        end = time.monotonic() + 10
        while any(map(is_running, pids)):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    return wait


@pytest.fixture
def portion(monkeypatch: pytest.MonkeyPatch) -> None:
    """New indices read, embed and commit 25 records at a time."""
    monkeypatch.setattr("bmretriever_integrations.index.ingest.build.portion_size", lambda _width, _batch_tokens: 25)


@pytest.fixture(scope="session")
def rows_in() -> Callable[[Path], dict[str, tuple[object, ...]]]:
    """A function: folder of an index -> id -> title, text and bytes of the vector of each row."""
    from bmretriever_integrations.index.table import open_table

    def rows(folder: Path) -> dict[str, tuple[object, ...]]:
        table = open_table(folder)
        found = [] if table is None else table.to_arrow().to_pylist()
        return {row["id"]: (row["title"], row["text"], np.asarray(row["vector"]).tobytes()) for row in found}

    return rows


@pytest.fixture
def when_committed() -> Callable[[Path, int, Callable[[], None]], None]:
    """A function: folder, commits, act -> ``act()`` is called in a thread as soon as the table has so many commits of rows."""

    def watch(folder: Path, commits: int, act: Callable[[], None]) -> None:
        def wait() -> None:
            while len(list((folder / "records.lance" / "data").glob("*"))) < commits:
                time.sleep(0.001)
            act()

        threading.Thread(target=wait, daemon=True).start()

    return watch


@pytest.fixture(scope="package")
def cluster() -> Iterator[Any]:
    """Ray on two cores, with a small object store, and not a word."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'bmretriever-integrations[ray]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # what Ray will do from its next version on, without a notice
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # sums are added up in the same order on a machine with any number of cores
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=80_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield ray
    ray.shutdown()
