"""``bmretriever demo``: real PubMed records, one index, three questions through two frameworks."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.commands.index import absolute, positive, summary

if TYPE_CHECKING:
    from bmretriever_integrations.index import Hit, SearchIndex

LIMIT = 1000
"""Two minutes on two CPU cores at the most."""
SHARD_SIZE = 250
"""A small loss for who stops the demo and runs it again."""
TOP_K = 3
QUESTIONS = (
    "How did the COVID-19 pandemic affect mental health?",
    "Does mindfulness-based therapy help adults with ADHD?",
    "Why do older adults with cancer fall, and how often?",
)
"""Each has an answer among the file's first 1,000 citations."""
NEEDED = ("haystack", "llama_index.core", "llama_index.vector_stores.faiss", "faiss")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: of this command.
    """
    parser.add_argument("--to", default="demo-index", metavar="DIR", help="the index (default: %(default)s)")
    parser.add_argument("--limit", type=positive, default=LIMIT, metavar="N", help="citations (default: %(default)s)")
    parser.add_argument(
        "--source", metavar="FILE", help=f"other records (default: {PUBMED_SAMPLE.member} of {PUBMED_SAMPLE.package})"
    )
    parser.add_argument("--model", default="mini", help="short name, hub id or folder (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """
    Index, or take the index that is there; ask through Haystack and through LlamaIndex; compare.

    :param arguments: as declared.
    """
    os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # read when haystack is imported
    _check_frameworks()
    source = arguments.source or str(installed_file(PUBMED_SAMPLE))
    from bmretriever_integrations.commands.quiet import silence_libraries
    from bmretriever_integrations.corpus import read_corpus

    read_corpus([source])  # complains of a missing or wrong file before the model is loaded
    silence_libraries()
    index = _index(source, arguments)
    from bmretriever_integrations.commands.frameworks import ask_haystack, ask_llama_index
    from bmretriever_integrations.commands.screen import open_console, print_hits

    by_haystack = ask_haystack(index, QUESTIONS, TOP_K)
    by_llama_index = ask_llama_index(index, QUESTIONS, TOP_K)
    console = open_console()
    for question, hits in zip(QUESTIONS, by_haystack, strict=True):
        sys.stdout.write(f"\n{question}\n")
        sys.stdout.flush()
        print_hits(console, hits, question)
    differing = [q for q, one, two in zip(QUESTIONS, by_haystack, by_llama_index, strict=True) if not agree(one, two)]
    if differing:
        sys.stdout.write(f"\nHaystack (shown) and LlamaIndex disagree on: {'; '.join(differing)}\n")
        return 1
    sys.stdout.write(
        f"\nHaystack and LlamaIndex agree: the same {TOP_K} records, order and scores for each question.\n"
    )
    sys.stdout.write(f'Ask your own: bmretriever search {arguments.to} "..."\n')
    return 0


def _check_frameworks() -> None:
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        raise ImportError(f'the demo needs {", ".join(missing)}: run pip install "bmretriever-integrations[demo]"')


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even its parent package is there
        return False


def _index(source: str, arguments: argparse.Namespace) -> SearchIndex:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index import SearchIndex, build_index

    with BMRetrieverEncoder(absolute(arguments.model)) as encoder:
        sys.stdout.write(
            f"{Path(source).name}: the first {arguments.limit:,} records, embedded with {arguments.model}\n"
        )
        sys.stdout.flush()
        report = build_index(
            encoder, [source], arguments.to, limit=arguments.limit, shard_size=SHARD_SIZE, progress=True
        )
    sys.stdout.write(summary(report, arguments.to))
    return SearchIndex.open(arguments.to)


def agree(one: list[Hit], two: list[Hit]) -> bool:
    """
    Compare two rankings: the same records in the same order, scores equal to five digits.

    :param one: by one framework.
    :param two: by the other.
    """
    pairs = list(zip(one, two, strict=True)) if len(one) == len(two) else [(None, None)]
    return all(a and b and a.id == b.id and abs(a.score - b.score) <= 1e-5 * max(1.0, abs(a.score)) for a, b in pairs)
