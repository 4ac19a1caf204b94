"""Many requests of many clients: whether each is answered, and with the right vector."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.served.processes import send, server
from benchmarks.served.questions import bodies, wrong
from benchmarks.served.throughput import OURS

from bmretriever_integrations import BMRetrieverEncoder

CLIENTS = 64
REQUESTS = 10_000


def soak(encoder: BMRetrieverEncoder, questions: Sequence[str], arguments: argparse.Namespace) -> list[str]:
    """
    Send the requests, and return what came back.

    :param encoder: the engine whose vectors the answers must have.
    :param questions: what is asked.
    :param arguments: of the command.
    """
    asked = bodies(questions, REQUESTS // (50 if arguments.tiny else 1))
    with server(OURS, arguments.work / "soak.log") as address:
        answers = send(address, "/v1/embeddings", asked, CLIENTS, arguments.work)
    return [
        f"{len(asked)} requests, {CLIENTS} clients: {dict(answers.statuses)}, {wrong(answers, asked, encoder)} wrong"
    ]
