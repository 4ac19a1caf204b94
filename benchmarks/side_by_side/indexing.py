"""One corpus indexed in a process of its own, which watches its memory."""

from __future__ import annotations

import gc
import json
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone
from bmretriever_integrations.index.ingest.build import build_index
from side_by_side.contenders import Contender, Ours
from side_by_side.machine import peak_of_device, peak_of_process
from side_by_side.room import KINDS


def index_and_watch(job: dict[str, Any]) -> dict[str, Any]:
    """
    Load a contender, embed a little with it, then index the corpus and watch.

    :param job: see :mod:`side_by_side.memory`.
    :returns: bytes beyond what the process and the device held before, and seconds.
    """
    if job["threads"] is not None:
        torch.set_num_threads(job["threads"])
    checkpoint, exported = map(Path, job["where"])
    with transformers_alone(bars=False):
        contender = KINDS[job["name"]](checkpoint, exported, job["device"], job["dtype"])
    contender.passages([("Aspirin", "prevents strokes.")] * 2)
    if isinstance(contender, Ours):
        import_module("lancedb")  # a library, as PyTorch is, and no part of what grows
    gc.collect()
    start = time.perf_counter()
    with peak_of_process() as process, peak_of_device(job["device"]) as device:
        _index(contender, Path(job["corpus"]), Path(job["to"]))
    seconds = time.perf_counter() - start
    return {"process_bytes": process["bytes"], "device_bytes": device["bytes"], "seconds": seconds}


def _index(contender: Contender, corpus: Path, to: Path) -> None:
    """Ours has an index; with the others a user reads all, embeds all and saves all."""
    if isinstance(contender, Ours):
        build_index(contender.encoder, [corpus], to)
        return
    with corpus.open(encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    vectors = contender.passages([(record["title"], record["text"]) for record in records])
    np.save(to, vectors)
