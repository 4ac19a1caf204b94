"""
How records and questions are prepared for the full-text side of a search.

LanceDB splits a text at everything that is neither letter nor digit, lowers the case, removes accents and English stop words, and
stems. So "IL-6" becomes "il" and "6", which a text on IL-8 after 6 weeks has, too, and "IL6" is another word. Therefore the
parts of such names are written behind the text as one word, "il6", and Greek letters are spelled: "tnfalpha". A question
asks for these words. docs/evaluation.md has what this and other choices measured.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

_LETTERS = "αβγδεζηθικλμνξοπρσςτυφχψω"
_LETTER_NAMES = (
    *(
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
    ),
    *("omicron", "pi", "rho", "sigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
)
_TO_NAMES = str.maketrans(dict(zip(_LETTERS, _LETTER_NAMES, strict=True)))
_NAMES = "|".join(_LETTER_NAMES)
_GREEK = "\u0391-\u03a9\u03b1-\u03c9"
_WITH_GREEK = re.compile(rf"\b[^\W{_GREEK}]*+[{_GREEK}]\w*+")
_PART = re.compile(r"[^\W_]+")
LONGEST = 40
"""Letters of the longest word that LanceDB indexes."""
MOST_PARTS = 6
"""A name of more parts is joined in twos and threes only, not as a whole."""


def _joined(before: str) -> re.Pattern[str]:
    """
    Make the pattern of words that belong together: joined by hyphens and the like, or one followed by a number or Greek name.

    It takes a word whole or not at all (possessive quantifiers), so its time grows with the length of the text and no faster.

    :param before: pattern of the letter before the blank and the number.
    """
    sign = "[-\u2010\u2011\u2012\u2013\u2212/+,()'\u2019\u2032]"  # also five other hyphens and dashes, apostrophe and prime
    return re.compile(rf"\b\w++(?:{sign}{{1,3}}\w++|(?<={before}) (?:\d\w*+|(?:{_NAMES})\b))++")


_IN_TEXT = _joined("[A-Z]")
"""In a text only a capital letter and a number belong together: "IL 6", but not "after 6 weeks"."""
_IN_QUESTION = _joined("[A-Za-z]")
"""People ask for "il 6", and a question's "after6" does no harm."""


def words_of(title: str, text: str) -> str:
    """
    Return what a record is found by in the full-text index.

    :param title: the record's title.
    :param text: the record's text.
    """
    plain = _plain(f"{title} {text}".strip())
    return " ".join([plain, *_greek(plain), *_forms(_IN_TEXT.findall(plain))])


def full_text_index() -> Any:
    """Return LanceDB's configuration of the index on the column ``words``."""
    from lancedb.index import FTS

    return FTS(base_tokenizer="simple", language="English", stem=True, remove_stop_words=True, ascii_folding=True)


def full_text_query(question: str) -> Any:
    """
    Return LanceDB's query for a question in plain words; nothing in it is taken for an operator.

    A question of nothing but stop words and signs finds nothing.

    :param question: any text.
    """
    from lancedb.query import MatchQuery

    plain = _plain(question)
    asked = _IN_TEXT.sub(_without_numbers, plain)
    return MatchQuery(" ".join([asked, *_greek(asked), *_forms(_IN_QUESTION.findall(plain))]), "words")


def _plain(text: str) -> str:
    """Give accents, subscripts, the micro sign and ligatures one form, and replace what is no text."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))


def _without_numbers(name: re.Match[str]) -> str:
    """
    Replace a name in a question by its letters and its joined forms: "IL-6" by "il il6".

    Else a text with many a 6 or alpha would be taken for one on IL-6 or TNF-alpha.
    """
    parts, forms = _PART.findall(name[0].lower()), _forms([name[0]])
    letters = [part for part in parts if part.isascii() and not part.isdigit() and part not in _LETTER_NAMES]
    return " ".join(letters + forms) if forms and len(letters) < len(parts) else name[0]


def _greek(text: str) -> list[str]:
    return [] if text.isascii() else [_spelled(word) for word in _WITH_GREEK.findall(text)]


def _forms(names: Iterable[str]) -> list[str]:
    """Join each two and three neighbouring parts of each name, and all if they are few."""
    forms = []
    for name in names:
        parts = _PART.findall(_spelled(name))
        joined = [first + second for first, second in pairwise(parts)]
        if len(parts) > 2:
            joined += [pair + third for pair, third in zip(joined, parts[2:], strict=False)]
        if 3 < len(parts) <= MOST_PARTS:
            joined.append("".join(parts))
        forms += joined
    return [form for form in forms if len(form) <= LONGEST and not form.isdigit()]


def _spelled(word: str) -> str:
    return word.lower() if word.isascii() else word.lower().translate(_TO_NAMES)
