"""Check the texts that callers pass, before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from bmretriever_integrations.prompts import checked_text, is_missing


def check_texts(texts: Sequence[str], name: str) -> list[str]:
    """
    Check that texts are a list of strings which a tokenizer accepts.

    :param texts: a list of strings, or another sequence of them, e.g. a tuple, an array or a column of a table.
    :param name: the name of the argument, for the message.
    :returns: the texts as a list.
    :raises TypeError: if ``texts`` is one string, a dictionary, a set or a table, or if an element is not a string.
    :raises ValueError: if a text contains a lone surrogate, half of a character that UTF-8 cannot encode.
    """
    return _checked(_listed(texts, name), name)


def _listed(texts: Any, name: str) -> list[Any]:
    """Make a list of what has an order and one dimension. A dictionary would give its keys, and a table its columns' names."""
    if isinstance(texts, str | bytes):
        raise TypeError(f"{name} must be a list of str, got one {type(texts).__name__}: write [text]")
    if isinstance(texts, Mapping | Set) or getattr(texts, "ndim", 1) != 1:
        raise TypeError(f"{name} must be a list of str, got a {type(texts).__name__}: pass the list of its texts")
    if not isinstance(texts, Iterable):
        raise TypeError(f"{name} must be a list of str, got a {type(texts).__name__}")
    return list(texts)


def _checked(texts: list[Any], name: str) -> list[str]:
    return [checked_text(text, f"{name}[{position}]") for position, text in enumerate(texts)]


def check_passages(texts: Sequence[str], titles: Sequence[str | None] | None) -> tuple[list[str], list[str]]:
    """
    Check passages and their titles.

    :param texts: the passages.
    :param titles: a title, "" or a missing value (None, NaN, ``pandas.NA``) for each passage; None where no passage has a title.
    :returns: the texts, and as many titles; a missing title is "".
    :raises TypeError: if one of them is not a list of strings.
    :raises ValueError: if the lists differ in length or a text contains a lone surrogate.
    """
    checked = check_texts(texts, "texts")
    heads = [""] * len(checked)
    if titles is not None:
        heads = _checked(["" if is_missing(title) else title for title in _listed(titles, "titles")], "titles")
    if len(heads) != len(checked):
        raise ValueError(f"titles must be as many as texts: got {len(heads)} titles for {len(checked)} texts")
    return checked, heads
