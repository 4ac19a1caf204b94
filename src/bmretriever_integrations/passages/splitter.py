"""Define PassageSplitter, which cuts a text at ends of sentences into passages that a model embeds whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bmretriever_integrations.passages.packing import pack_evenly
from bmretriever_integrations.passages.pieces import WordCounts, halved, units
from bmretriever_integrations.passages.sentences import sentence_starts
from bmretriever_integrations.passages.titles import shortened
from bmretriever_integrations.prompts import PASSAGE_PREFIX, checked_text, is_missing

LEAST_TOKENS = 32
"""The smallest ``passage_tokens`` of a model that texts are cut for."""
LEAST_TEXT = 16
"""The smallest ``max_tokens``. Half of ``LEAST_TOKENS``, so that one character always fits."""


class TokenCounter(Protocol):
    """Counts as a model does: a BMRetrieverEncoder, or a PassageCounter, which loads a tokenizer alone."""

    @property
    def passage_tokens(self) -> int:
        """The most tokens that a passage may have, its title included, to be embedded whole."""

    def text_tokens(self, text: str) -> Sequence[int]:
        """
        Tokenize a text alone, without template, BOS and EOS.

        :param text: any text; it is not cut.
        """


class PassageSplitter:
    """
    Cuts long texts into passages, none of which the model cuts when it embeds them with their title.

    A passage ends at the end of a sentence. A sentence that does not fit is cut at white space, and a word that does not fit
    between two characters. There are as few passages as possible, and they are as even as that allows. Many threads may call one
    splitter.
    """

    def __init__(self, counter: TokenCounter, *, max_tokens: int | None = None, overlap: int = 0) -> None:
        """
        :param counter: counts as the model does.
        :param max_tokens: the most tokens of a passage without its title; None for as many as fit beside the title.
        :param overlap: the tokens that a passage may have in common with the one before it: whole sentences from its end.
        :raises TypeError: if ``max_tokens`` or ``overlap`` is no whole number.
        :raises ValueError: if one of them is out of range, or the model's ``max_length`` leaves too little room for a passage.
        """
        check_numbers(max_tokens, overlap)
        self.counter = counter
        self.max_tokens = max_tokens
        self.overlap = overlap
        self._passage_tokens = counter.passage_tokens
        # of a whole prompt, because the template's end and the beginning of a text may become one token or more
        self._room = self._passage_tokens + self._count(PASSAGE_PREFIX)
        self._word_counts = WordCounts(self._count)
        _check_ranges(self._passage_tokens, max_tokens, overlap)

    def split(self, text: str, title: str | None = None) -> list[str]:
        """
        Cut a text into passages.

        :param text: the text. White space at the ends of passages is removed; inside of them it stays as it is.
        :param title: the title with which each passage will be embedded; None, "" or another missing value for none.
        :returns: the passages in their order, none of them empty. A text that is empty or only white space gives none.
        :raises TypeError: if text or title is no str.
        :raises ValueError: if the title takes more than half of ``passage_tokens``; :meth:`shortened_title` gives one that does
            not. Or if text or title has a lone surrogate.
        """
        head = "" if is_missing(title) else checked_text(title, "title")
        return [text[begin:end] for begin, end in self.spans(text, head + " " if head else "")]

    def spans(self, text: str, before: str = "", after: str = "") -> list[tuple[int, int]]:
        """
        Find where the passages of a text begin and end.

        :param text: the text.
        :param before: what is put before each passage when it is embedded, e.g. the title and a space.
        :param after: what is put after it.
        :returns: the first character of each passage and the one after its last.
        :raises TypeError: as :meth:`split`.
        :raises ValueError: as :meth:`split`; ``before`` and ``after`` together may take half of ``passage_tokens``.
        """
        text = checked_text(text, "text")
        around = self._title_tokens(before + after)
        if around > self.title_tokens:
            raise ValueError(
                f"the title takes {around} tokens, and it may take {self.title_tokens}, half of what the model embeds: embed the "
                "passages with the title that shortened_title() returns, and pass that one"
            )
        capacity = min(self.max_tokens or self._passage_tokens, self._passage_tokens - around)
        places, costs = units(*self._word_counts(text), sentence_starts(text), capacity)
        found: list[tuple[int, int]] = []
        for first, last in pack_evenly(costs, capacity, self.overlap):
            found += self._fitting(text, places[first], places[last], places, (before, after))
        return found

    def shortened_title(self, title: str) -> str:
        """
        Return a title that leaves at least half of ``passage_tokens`` for the text. Nearly every title does.

        :param title: the title.
        :returns: the title itself, or its beginning, cut at white space; then a :class:`ShortenedTitleWarning` is given.
        :raises TypeError: if it is no str.
        :raises ValueError: if it has a lone surrogate.
        """
        # with the space that comes after it, for in some tokenizers that is a token of its own
        return shortened(checked_text(title, "title"), self.title_tokens, lambda title: self._title_tokens(f"{title} "))

    def shortened_fields(self, fields: Sequence[tuple[str, str]], fixed: str = "") -> dict[str, str]:
        """
        Return fields that together leave at least half of ``passage_tokens`` for the text; each may take an equal share.

        :param fields: name and text of all that is embedded before each passage, e.g. of title and journal.
        :param fixed: what is embedded beside them, e.g. what stands between them.
        :returns: the texts that were shortened, by their names.
        :raises ValueError: if ``fixed`` alone takes so much that nothing is left for the fields.
        """
        # two tokens of a share are kept for those that may arise where a field and its neighbour meet
        share = (self.title_tokens - self._title_tokens(fixed)) // max(1, len(fields)) - 2
        if share < 1:
            raise ValueError(
                f"{len(fields)} fields and {fixed[:80]!r} around them leave too little room for a text; embed fewer of them"
            )
        short = [(name, text, shortened(checked_text(text, name), share, self._title_tokens)) for name, text in fields]
        return {name: new for name, text, new in short if new != text}

    def has_room(self, around: str) -> bool:
        """
        Tell whether at least half of ``passage_tokens`` is left for the text.

        :param around: what is embedded before and after each passage.
        """
        return self._title_tokens(checked_text(around, "title")) <= self.title_tokens

    @property
    def title_tokens(self) -> int:
        """The most tokens of a title."""
        return self._passage_tokens // 2

    def __getstate__(self) -> dict[str, Any]:
        return {"counter": self.counter, "max_tokens": self.max_tokens, "overlap": self.overlap}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _count(self, text: str) -> int:
        return len(self.counter.text_tokens(text))

    def _title_tokens(self, around: str) -> int:
        return self._count(PASSAGE_PREFIX + around) - self._count(PASSAGE_PREFIX)

    def _fitting(
        self, text: str, begin: int, end: int, places: Sequence[int], around: tuple[str, str]
    ) -> Iterator[tuple[int, int]]:
        """Yield a part of a text without white space at its ends, or its halves where it does not fit after all."""
        stripped = text[begin:end].lstrip()
        begin = end - len(stripped)
        end = begin + len(stripped.rstrip())
        if end - begin < 2 or self._fits(text[begin:end], around):
            if begin < end:
                yield begin, end
            return
        middle = halved(text, begin, end, places)
        yield from self._fitting(text, begin, middle, places, around)
        yield from self._fitting(text, middle, end, places, around)

    def _fits(self, passage: str, around: tuple[str, str]) -> bool:
        embedded = around[0] + passage + around[1]
        if self._count(PASSAGE_PREFIX + embedded.strip()) > self._room:
            return False
        return self.max_tokens is None or self._count(passage) <= self.max_tokens


def split_text(
    text: str, title: str | None, counter: TokenCounter, *, max_tokens: int | None = None, overlap: int = 0
) -> list[str]:
    """
    Cut one text into passages. For many texts, make one :class:`PassageSplitter`, which remembers the tokens of each word.

    :param text: the text.
    :param title: the title with which each passage will be embedded, or None.
    :param counter: counts as the model does.
    :param max_tokens: the most tokens of a passage without its title; None for as many as fit beside the title.
    :param overlap: the tokens that a passage may have in common with the one before it.
    :returns: the passages in their order.
    :raises TypeError: as :meth:`PassageSplitter.split`.
    :raises ValueError: as :meth:`PassageSplitter.split`.
    """
    return PassageSplitter(counter, max_tokens=max_tokens, overlap=overlap).split(text, title)


def check_numbers(max_tokens: int | None, overlap: int) -> None:
    """
    Check what can be checked of a splitter's options before its model is known.

    :param max_tokens: see :class:`PassageSplitter`.
    :param overlap: see :class:`PassageSplitter`.
    :raises TypeError: if one of them is no whole number.
    """
    for name, value in (("max_tokens", max_tokens), ("overlap", overlap)):
        if (not isinstance(value, int) or isinstance(value, bool)) and not (value is None and name == "max_tokens"):
            raise TypeError(f"{name} must be an int, got {value!r}")


def _check_ranges(passage_tokens: int, max_tokens: int | None, overlap: int) -> None:
    if passage_tokens < LEAST_TOKENS:
        raise ValueError(
            f"max_length leaves {passage_tokens} tokens for title and text, and passages need {LEAST_TOKENS}: raise max_length"
        )
    if max_tokens is not None and not LEAST_TEXT <= max_tokens <= passage_tokens:
        raise ValueError(f"max_tokens must be from {LEAST_TEXT} to the model's {passage_tokens}, got {max_tokens}")
    half = min(max_tokens or passage_tokens, passage_tokens - passage_tokens // 2) // 2
    if not 0 <= overlap <= half:
        raise ValueError(
            f"overlap must be from 0 to {half}, a half of what a passage always has room for, got {overlap}"
        )
