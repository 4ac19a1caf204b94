"""Cut texts into chunks of about equal work, the longest texts first. Workers take one chunk after another."""

from __future__ import annotations

from collections.abc import Sequence

CHUNK_BATCHES = 4
"""The most batches of a chunk. The engine can sort so many texts into batches with little padding, and a lost worker loses no
more work than a chunk."""
CHUNKS_A_WORKER = 8
"""The number of chunks for each worker into which a smaller call is cut, so that all workers end at about the same time."""
SMALLEST = 1 / 8
"""The smallest chunk, as a share of a batch. With smaller chunks, sending texts and vectors would take noticeable time."""
BYTES_A_TOKEN = 4
"""A rough mean number of UTF-8 bytes of a token, which only balances the work. PubMed records with abstract have 4.9 bytes a
token with GPT-NeoX's and Gemma's tokenizers, and 4.2 with Mistral's (benchmarks/pubmed_tokens.json)."""
TEMPLATE_TOKENS = 8
"""The number of tokens of the passage template and EOS, which are added to every text."""


def estimate(prompt_bytes: int, max_length: int) -> int:
    """
    Estimate the tokens of a prompt without its tokenizer.

    :param prompt_bytes: the bytes of the prompt in UTF-8. Scripts with many tokens for a character have more bytes, too.
    :param max_length: the number of tokens to which a prompt is cut.
    """
    return min(max_length, prompt_bytes // BYTES_A_TOKEN + TEMPLATE_TOKENS)


def cut(sizes: Sequence[int], batch_tokens: int, workers: int) -> list[list[int]]:
    """
    Cut texts into chunks.

    The result depends only on the arguments, so equal calls make the same chunks and the same bytes, whichever workers are free.

    :param sizes: the estimated tokens of each text.
    :param batch_tokens: the tokens of a batch on one device.
    :param workers: the number of workers.
    :returns: the chunks, each a list of the texts' positions; the longest texts come first.
    """
    total = sum(sizes)
    most = CHUNK_BATCHES * batch_tokens
    budget = min(most, max(total / (workers * CHUNKS_A_WORKER), SMALLEST * batch_tokens))
    chunks: list[list[int]] = []
    unused = 0.0
    for row in sorted(range(len(sizes)), key=lambda row: -sizes[row]):
        if unused < sizes[row] or not chunks:
            chunks.append([])
            unused = budget
        chunks[-1].append(row)
        unused -= sizes[row]
    return chunks
