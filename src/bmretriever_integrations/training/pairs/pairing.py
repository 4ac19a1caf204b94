"""One row of a source -> its pairs."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from bmretriever_integrations.prompts import TASK_INSTRUCTIONS
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.pairs.settings import Filters, Source
from bmretriever_integrations.training.pairs.values import Row

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9(])")


def pairs_of(where: str, row: Row, source: Source, filters: Filters, seed: int) -> Iterator[Pair]:
    """
    Make the pairs of one row. A labelled row gives one pair for each of its positives; all have its hard negatives.

    :param where: file, and line or id; becomes the pair's source.
    :param row: the row.
    :param source: its pairing and limits.
    :param filters: hold the bounds of the spans.
    :param seed: decides the spans together with ``where``, whatever else is read.
    :returns: none where the row has neither title nor enough text.
    """
    texts = row.texts
    scores: Sequence[float | None] = row.positive_scores
    if "query" in texts:
        found = [(texts["query"], positive) for positive in row.positives]
    elif source.pairing == "title" or (source.pairing == "auto" and texts.get("title")):
        found = [(texts.get("title", ""), texts["text"])]
    else:
        draw = random.Random(f"{seed} {where}")
        cuts = (spans(texts["text"], filters, draw) for _ in range(source.per_document))
        found = list(dict.fromkeys(cut for cut in cuts if cut))
    origin = f"{texts['source']} {where}" if texts.get("source") else where
    for (query, positive), score in zip(found, scores or [None] * len(found), strict=True):
        if query.strip() and positive.strip():
            yield Pair(
                task=texts.get("task") or source.name,
                instruction=texts.get("instruction") or TASK_INSTRUCTIONS["title"],
                query=query.strip(),
                positive=positive.strip(),
                negatives=row.negatives,
                positive_score=score,
                negative_scores=row.negative_scores,
                source=origin,
                licence=texts.get("licence", source.licence),
            )


def spans(text: str, filters: Filters, draw: random.Random) -> tuple[str, str] | None:
    """
    Cut two neighbouring runs of sentences out of a text at a random place (the paper's pairs of documents without a title).

    The query is one of the two, on either side of the cut.

    :param text: the document.
    :param filters: ``span_words`` bounds the query, ``passage_words`` the passage.
    :param draw: the random generator that chooses the cut.
    :returns: query and passage, or None if no cut leaves both long enough.
    """
    sentences = SENTENCE_END.split(text)
    words = [len(sentence.split()) for sentence in sentences]
    choices = []
    for cut in range(1, len(sentences)):
        for before in (True, False):
            query = _run(words, cut, before, filters.span_words[1])
            passage = _run(words, cut, not before, filters.passage_words[1])
            if sum(words[query]) >= filters.span_words[0] and sum(words[passage]) >= filters.passage_words[0]:
                choices.append((query, passage))
    if not choices:
        return None
    query, passage = draw.choice(choices)
    return " ".join(sentences[query]), " ".join(sentences[passage])


def _run(words: list[int], cut: int, before: bool, most: int) -> slice:
    """Take whole sentences from the cut outwards, at most ``most`` words together."""
    step, place, total = (-1, cut - 1, 0) if before else (1, cut, 0)
    while 0 <= place < len(words) and total + words[place] <= most:
        total += words[place]
        place += step
    return slice(place + 1, cut) if before else slice(cut, place)
