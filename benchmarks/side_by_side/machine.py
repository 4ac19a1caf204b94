"""The machine: what it is, what it can do at most, what a run takes of its memory."""

from __future__ import annotations

import os
import platform
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import torch

from bmretriever_integrations.forward.prepacked import Prepacked, can_prepack

PACKAGES = (
    "bmretriever-integrations",
    "torch",
    "transformers",
    "tokenizers",
    "sentence-transformers",
    "haystack-ai",
    "sentence-transformers-haystack",
    "llama-index-core",
    "llama-index-embeddings-huggingface",
    "flash-attn",
    "pytest-benchmark",
    "numpy",
)
SPECIAL = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "bf16", "asimd")
"""Flags of a CPU that decide how fast it multiplies."""


def hardware(device: str, cpu: dict[str, Any], load: float | None) -> dict[str, Any]:
    """
    Describe the machine without its name.

    :param device: that the benchmark ran on.
    :param cpu: what ``cpuinfo`` found.
    :param load: the load average of the last minute before the benchmark began.
    """
    found = {
        "cpu": cpu.get("brand_raw", platform.processor()),
        "cpu_flags": [flag for flag in SPECIAL if flag in cpu.get("flags", ())],
        "cores": psutil.cpu_count(logical=False),
        "hardware_threads": psutil.cpu_count(),
        "threads_used": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": load,
    }
    if device.startswith("cuda"):
        gpu = torch.cuda.get_device_properties(device)
        found |= {"gpu": gpu.name, "gpu_memory_gib": round(gpu.total_memory / 2**30, 1)}
        found |= {"cuda": torch.version.cuda, "driver": driver()}
    return found


def driver() -> str | None:
    """Version of NVIDIA's driver; None where it cannot be asked."""
    try:
        asked = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0")
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def load_average() -> float | None:
    """Processes that waited for a core in the last minute, on average; None where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def versions() -> dict[str, str | None]:
    """Versions of the packages that matter; None for what is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def synchronize(device: str) -> None:
    """
    Wait until the device has done all that it was given.

    :param device: "cpu" does at once what it is told.
    """
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def matmul_peak(device: str, dtype: str, size: int | None = None) -> float:
    """
    Measure the most floating-point operations a second that this device does in one large product of matrices.

    On a CPU, oneDNN's product with a prepacked weight is tried as well: PyTorch's own takes another library in float32, which is
    slow on some processors.

    :param device: where.
    :param dtype: name of the number type.
    :param size: rows and columns; None takes 2,048 on a CPU (0.3 s on two cores) and 8,192 on a GPU.
    :returns: operations a second, the best of several products.
    """
    on_cuda = device.startswith("cuda")
    side = size or (8192 if on_cuda else 2048)
    left, right = (torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in range(2))
    products = [lambda: torch.mm(left, right)]
    if device == "cpu" and can_prepack(left.dtype):
        layer = Prepacked(right, None)
        products.append(lambda: layer(left))
    best = float("inf")
    for repetition in range(50 if on_cuda else 6):
        for multiply in products:
            synchronize(device)
            start = time.perf_counter()
            multiply()
            synchronize(device)
            if repetition:  # the first one warms up
                best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def read_bandwidth(size: int | None = None) -> float:
    """
    Measure the most bytes a second that the CPU reads from memory with all threads that PyTorch uses.

    :param size: bytes that are read; None takes 1 GiB, which fits into no cache.
    :returns: bytes a second, the best of several runs of two reductions that PyTorch vectorises.
    """
    numbers = torch.ones((size or 2**30) // 4)
    whole = numbers.view(torch.int32)
    best = float("inf")
    for _ in range(5):
        for read in (numbers.sum, whole.amax):
            start = time.perf_counter()
            read()
            best = min(best, time.perf_counter() - start)
    return numbers.nbytes / best


@contextmanager
def peak_of_device(device: str) -> Iterator[dict[str, int | None]]:
    """
    Watch the most memory that a block takes on the device beyond what was taken before.

    :param device: a CUDA device; on others nothing is measured here (see :func:`peak_of_process`).
    :returns: a dict whose "bytes" is filled in at the end.
    """
    found: dict[str, int | None] = {"bytes": None}
    if not device.startswith("cuda"):
        yield found
        return
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    yield found
    found["bytes"] = torch.cuda.max_memory_allocated(device) - before


@contextmanager
def peak_of_process(every: float = 0.005) -> Iterator[dict[str, int]]:
    """
    Watch the most memory that this process takes beyond what it has now. Meaningful in a fresh process only.

    :param every: seconds between looks.
    :returns: a dict whose "bytes" is filled in at the end.
    """
    process, done, found = psutil.Process(), threading.Event(), {"bytes": 0}
    before = process.memory_info().rss

    def watch() -> None:
        while not done.wait(every):
            found["bytes"] = max(found["bytes"], process.memory_info().rss - before)

    watcher = threading.Thread(target=watch, name="peak-memory")
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()
    found["bytes"] = max(found["bytes"], process.memory_info().rss - before)
