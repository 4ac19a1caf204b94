"""What is asked, and whether the answers are right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
from benchmarks.served.processes import Answers

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus


def titles(count: int) -> list[str]:
    """
    Return titles of citations of PubMed, each once, as questions.

    :param count: how many records are read.
    """
    records = islice(read_corpus([installed_file(PUBMED_SAMPLE)]), count)
    return [title for title in dict.fromkeys(record.title for record in records) if title]


def bodies(questions: Sequence[str], count: int) -> list[dict[str, str]]:
    """
    Make requests to embed one question each.

    :param questions: are asked again and again.
    :param count: of requests.
    """
    return [{"model": "mini-query", "input": question} for question in islice(cycle(questions), count)]


def wrong(answers: Answers, asked: Sequence[dict[str, str]], encoder: BMRetrieverEncoder) -> int:
    """
    Count the answers that are not the encoder's vector bit for bit.

    :param answers: of a server.
    :param asked: its requests.
    :param encoder: the same engine.
    """
    found = [np.float32(json.loads(content)["data"][0]["embedding"]) for content in answers.contents]
    right = encoder.encode_queries([body["input"] for body in asked])
    return int((np.stack(found) != right).any(axis=1).sum())
