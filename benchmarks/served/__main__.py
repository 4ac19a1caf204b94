"""
Measures `bmretriever serve` with mini, over HTTP with connections that stay open, beside plain servers of FastAPI.

    python -m benchmarks.served                     # about ten minutes; the index of 20,000 citations is kept in build/served
    python -m benchmarks.served --only throughput --rounds 7
    python -m benchmarks.served --tiny              # does everything quickly and says nothing about speed

throughput: queries a second of 32 clients, of three servers that take turns: ours, the same engine one request at a time, and
sentence-transformers one request at a time, in the same number type. latency: one client that searches an index, and the same
questions embedded without a server. soak: 10,000 requests from 64 clients. Every vector of every answer is compared with the
encoder's own. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.served.latency import latency
from benchmarks.served.questions import titles
from benchmarks.served.soak import soak
from benchmarks.served.throughput import throughput

from bmretriever_integrations import BMRetrieverEncoder

PARTS: dict[str, Callable[..., list[str]]] = {"throughput": throughput, "latency": latency, "soak": soak}


def main() -> int:
    """Read the arguments, and measure one part after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=7, help="of the throughput (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("build/served"), help="default: %(default)s")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    with BMRetrieverEncoder("mini", device="cpu") as encoder:
        encoder.warm_up()
        questions = titles(200 if arguments.tiny else 20_000)
        for part in arguments.only:
            print("\n".join(PARTS[part](encoder, questions, arguments)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
