"""Queries a second of three servers that take turns."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import quantiles

from benchmarks.served.plain import DTYPE, FOLDER
from benchmarks.served.processes import send, server
from benchmarks.served.questions import bodies, wrong

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.export import export_checkpoint

CLIENTS = 32
PLAIN = ("-m", "uvicorn", "benchmarks.served.plain:create_app", "--factory", "--port", "{port}", "--no-access-log")
OURS = ("-m", "bmretriever_integrations", "serve", "--model", "mini", "--port", "{port}")
REQUESTS = {"ours": 8_000, "one at a time": 2_500, "sentence-transformers": 1_000}
"""Of a round: about two seconds each."""
TOO_NOISY = 0.25
"""A ratio is refused where its quartiles lie farther apart than this share of its median, as in side_by_side/ratios.py."""


def throughput(encoder: BMRetrieverEncoder, questions: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """
    Measure, and return the lines of a table.

    :param encoder: the engine whose vectors the answers must have.
    :param questions: what is asked.
    :param arguments: of the command.
    """
    work, share = arguments.work, 20 if arguments.tiny else 1
    if not (work / "exported").exists():
        export_checkpoint("mini", work / "exported")
    dtype = str(encoder.dtype).removeprefix("torch.")
    variables = {"sentence-transformers": {FOLDER: str(work / "exported"), DTYPE: dtype}}
    rates: dict[str, list[float]] = {name: [] for name in REQUESTS}
    lines = []
    with ExitStack() as servers:
        addresses = {
            name: servers.enter_context(
                server(OURS if name == "ours" else PLAIN, work / f"{name}.log", variables.get(name))
            )
            for name in REQUESTS
        }
        for number in range(arguments.rounds + 1):
            for name, count in REQUESTS.items():
                asked = bodies(questions, count // share)
                answers = send(addresses[name], "/v1/embeddings", asked, CLIENTS, work)
                rates[name].append(answers.rate)
                if number == 0 and name != "sentence-transformers":
                    lines.append(f"{name}: {len(asked)} answers, {wrong(answers, asked, encoder)} wrong")
    for peer in ("one at a time", "sentence-transformers"):
        ratios = [ours / other for ours, other in zip(rates["ours"][1:], rates[peer][1:], strict=True)]
        low, middle, high = quantiles(ratios, n=4, method="inclusive")
        noisy = " (too noisy to be shown)" if high - low > TOO_NOISY * middle else ""
        lines.append(
            f"{CLIENTS} clients, times the queries a second of {peer}: {middle:.2f} ({low:.2f} to {high:.2f}, "
            f"{len(ratios)} rounds){noisy}"
        )
    return lines
