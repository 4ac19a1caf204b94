"""Find the part of a text that fits a question, and the words of the question in it."""

from __future__ import annotations

import re

SNIPPET_CHARACTERS = 240
"""The most characters of a snippet."""
SNIPPET_SOURCE_CHARACTERS = 100_000
"""The most characters of a text in which a snippet is looked for."""
COMMON = frozenset(
    re.findall(
        r"\w+",
        "about after also among and are been between both but can cause could did does during each for from had has have how "
        "into its may more most not other over should some such than that the their them then there these they this those "
        "through was were what when where whether which while who why will with within without would you your",
    )
)
"""Words of English that say nothing of a question's subject."""


def subject_words(question: str) -> set[str]:
    """
    Return the words of a question that say what it is about.

    :param question: the question.
    :returns: its words in small letters, without common ones and those of one or two characters.
    """
    words = set(re.findall(r"\w+", question.casefold()))
    return {word for word in words if word not in COMMON and len(word) > 2}


def snippet(text: str, question: str, characters: int = SNIPPET_CHARACTERS) -> str:
    """
    Find the part of a text that shares most words with a question.

    :param text: the text of a record.
    :param question: the question of the user.
    :param characters: the most characters of the part, without the dots.
    :returns: whole words, with "..." where text was left out.
    """
    flat = " ".join(text[:SNIPPET_SOURCE_CHARACTERS].split())
    if len(flat) <= characters:
        return flat
    wanted = subject_words(question)
    starts = [0, *(match.end() for match in re.finditer(r"[.;:?!] ", flat))]

    def shared(at: int) -> int:
        return len(wanted.intersection(re.findall(r"\w+", flat[at : at + characters].casefold())))

    most = max(map(shared, starts))
    start = max(at for at in starts if shared(at) == most) if most else 0
    part = flat[start : start + characters]
    if start + characters < len(flat):
        part = part.rsplit(" ", 1)[0] + " ..."
    return f"... {part}" if start else part


def pattern_of(question: str) -> re.Pattern[str] | None:
    """
    Return what matches the words of a question, and words that begin with one of them.

    :param question: the question.
    :returns: the pattern, or None if no word says what the question is about.
    """
    words = sorted(subject_words(question), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\w*", re.IGNORECASE) if words else None
