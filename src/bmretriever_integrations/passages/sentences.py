"""Find where sentences begin, with sentencex, and two rules of our own: paragraphs end sentences, some abbreviations do not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

BLOCK = 10_000
"""The most characters that sentencex gets at a time: its time grows with the square of a text in Chinese."""

PARAGRAPHS = re.compile(r"(?:\r?\n[^\S\n]*){2,}|\u2029")
"""An empty line, or Unicode's own mark."""

ABBREVIATED = re.compile(
    r"\b(?:approx|cf|[Ee]qs?|[Ff]igs|incl|[Rr]efs?|resp|spp?|ssp|subsp|[Ss]uppl?|var|vit|vs)\.\s*\Z", re.ASCII
)
"""Abbreviations of biomedical texts after which sentencex sees the end of a sentence."""


def sentence_starts(text: str) -> list[int]:
    """
    Find where the sentences of a text begin.

    :param text: any text without lone surrogates.
    :returns: positions in the text, ascending, without 0. White space between two sentences belongs to the first.
    """
    starts: set[int] = set()
    begin = 0
    for paragraph in PARAGRAPHS.finditer(text):
        starts.update(_starts_within(text, begin, paragraph.start()))
        begin = paragraph.end()
        starts.add(begin)
    starts.update(_starts_within(text, begin, len(text)))
    return sorted(starts - {0, len(text)})


def _starts_within(text: str, begin: int, end: int) -> Iterator[int]:
    while begin < end:
        block = text[begin : min(begin + BLOCK, end)]
        starts = [begin + start for start in _starts_in_block(block)]
        yield from starts
        if begin + len(block) == end:
            return
        if starts:  # the last sentence may be cut, and is read again
            begin = starts[-1]
        else:
            space = max(block.rfind(space, BLOCK // 2) for space in " \n\t")
            begin += space if space > 0 else BLOCK


def _starts_in_block(block: str) -> Iterator[int]:
    for sentence in sentencex.get_sentence_boundaries("en", block):
        start = sentence["start_index"]
        if start and not ABBREVIATED.search(block, max(0, start - 16), start):
            yield start
