"""How long one client waits for a search, beside how long the engine alone needs for the question."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.served.processes import send, server

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.index import build_index, tune_index

ASKED = 200
RECALL = 0.95


def latency(encoder: BMRetrieverEncoder, questions: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """
    Measure, and return the lines of a table.

    :param encoder: the engine of the index.
    :param questions: what is asked.
    :param arguments: of the command.
    """
    lines = []
    for tuned in (False, True):
        if tuned and arguments.tiny:
            break
        folder = arguments.work / ("tuned" if tuned else "exact")
        _make(encoder, folder, 500 if arguments.tiny else None, tuned)
        command = ("-m", "bmretriever_integrations", "serve", str(folder), "--port", "{port}")
        asked = questions[-ASKED:]
        with server(command, arguments.work / "search.log") as address:
            for mode in ("hybrid", "vector", "text"):
                bodies = [{"question": question, "top_k": 10, "mode": mode} for question in asked]
                send(address, "/search", bodies[:20], 1, arguments.work)
                answers = send(address, "/search", bodies, 1, arguments.work)
                assert answers.statuses == {"200": len(bodies)}, answers.statuses
                alone = _alone(encoder, asked)
                waited = median(answers.milliseconds)
                lines.append(
                    f"{folder.name}, {mode}: p50 {waited:.1f} ms, p95 {_p95(answers.milliseconds):.1f} ms; the engine alone "
                    f"{alone:.1f} ms; above it {waited - alone:.1f} ms"
                )
    return lines


def _make(encoder: BMRetrieverEncoder, folder: Path, limit: int | None, tuned: bool) -> None:
    if folder.exists():
        return
    build_index(encoder, [installed_file(PUBMED_SAMPLE)], folder, limit=limit)
    if tuned:
        tune_index(folder, RECALL)


def _alone(encoder: BMRetrieverEncoder, questions: Sequence[str]) -> float:
    times = []
    for question in questions:
        begun = time.perf_counter()
        encoder.encode_queries([question])
        times.append(1000 * (time.perf_counter() - begun))
    return median(times)


def _p95(numbers: Sequence[float]) -> float:
    return sorted(numbers)[len(numbers) * 95 // 100]
