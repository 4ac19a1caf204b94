"""Texts -> chunks of about equal work, longest texts first: what workers take one after another until none is left."""

from __future__ import annotations

from collections.abc import Sequence

CHUNK_BATCHES = 4
"""A chunk holds up to four batches: the engine sorts it into batches with little padding, and a lost worker costs no more."""
CHUNKS_A_WORKER = 8
"""A smaller call is cut into about eight chunks for each worker, so that all workers end at about the same time."""
SMALLEST = 1 / 8
"""The smallest chunk, as a share of a batch: for smaller ones, sending texts and vectors would take noticeable time."""
BYTES_A_TOKEN = 4
"""A rough mean, which only balances the work. PubMed records with abstract have 4.9 bytes a token with GPT-NeoX's and
Gemma's tokenizers, 4.2 with Mistral's (benchmarks/pubmed_tokens.json)."""
TEMPLATE_TOKENS = 8
"""Tokens of the passage template and EOS, which an empty text has, too."""


def estimate(prompt_bytes: int, max_length: int) -> int:
    """
    Estimate the tokens of a prompt without its tokenizer.

    :param prompt_bytes: the number of bytes of its texts in UTF-8, so that scripts with many tokens a character count as more.
    :param max_length: where it is cut.
    """
    return min(max_length, prompt_bytes // BYTES_A_TOKEN + TEMPLATE_TOKENS)


def cut(sizes: Sequence[int], batch_tokens: int, workers: int) -> list[list[int]]:
    """
    Cut texts into chunks.

    Depends on nothing but its arguments, so the same call gives the same chunks and the same bytes whichever worker is free.

    :param sizes: estimated tokens of each text.
    :param batch_tokens: the tokens of a batch on one device.
    :param workers: how many share the work.
    :returns: lists of numbers of texts, the longest texts first.
    """
    total = sum(sizes)
    most = CHUNK_BATCHES * batch_tokens
    budget = min(most, max(total / (workers * CHUNKS_A_WORKER), SMALLEST * batch_tokens))
    chunks: list[list[int]] = []
    room = 0.0
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        if room < sizes[row] or not chunks:
            chunks.append([])
            room = budget
        chunks[-1].append(row)
        room -= sizes[row]
    return chunks
