"""Reads bounds of the server from the command line, as ``texts=4096``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bmretriever_integrations.serving.settings import Limits


def limits_of(words: Sequence[str]) -> Limits:
    """
    Change some of the server's bounds.

    :param words: names of :class:`~bmretriever_integrations.serving.settings.Limits` with values; of one name the last counts.
    :returns: the bounds; those that are not named have their defaults.
    :raises ValueError: if there is no such bound, or if a value is no number above 0.
    """
    from bmretriever_integrations.serving.settings import Limits

    limits = Limits()
    known: dict[str, Any] = {field.name: field.default for field in fields(Limits)}
    for word in words:
        name, equals, digits = word.partition("=")
        if not equals or name not in known:
            bounds = ", ".join(f"{name}={value}" for name, value in known.items())
            raise ValueError(
                f"--limit: {word!r:.100} is no bound and its value; the bounds and their defaults: {bounds}"
            )
        limits = replace(limits, **{name: _number(word, digits, isinstance(known[name], int))})
    return limits


def _number(word: str, digits: str, whole: bool) -> Any:
    try:
        value = int(digits) if whole else float(digits)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        raise ValueError(f"--limit: {word!r:.100} needs a {'whole ' if whole else ''}number above 0")
    return value
