"""The facts of a JSON line: its further keys, under our names where they say what those mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from bmretriever_integrations.corpus.dates import known_date
from bmretriever_integrations.corpus.metadata import DOI, NO_METADATA, PMCID, Metadata
from bmretriever_integrations.prompts import is_missing

KEYS: Mapping[str, tuple[str, ...]] = {
    "date": ("date", "publication_date", "pub_date", "pubdate", "year", "publication_year", "pub_year"),
    "journal": ("journal", "journal_title"),
    "authors": ("authors", "author"),
    "publication_types": ("publication_types", "publication_type"),
    "mesh": ("mesh", "mesh_terms"),
    "mesh_major": ("mesh_major",),
    "keywords": ("keywords", "keyword"),
    "languages": ("languages", "language"),
    "doi": ("doi",),
    "pmcid": ("pmcid",),
    "version": ("version",),
    "revised": ("revised",),
    "retracted": ("retracted", "is_retracted"),
    "retraction_notice": ("retraction_notice",),
    "expression_of_concern": ("expression_of_concern",),
}
"""Our name of a fact -> the keys that are read, the first that is there with a value that fits."""
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
DEEPEST = 50
"""Levels of lists and objects in a value; what lies deeper is left out."""
INT64 = 1 << 63


def metadata_of(entries: Mapping[str, Any]) -> Metadata:
    """
    Read the facts of a row.

    :param entries: its keys without those of id, title and text. The keys of an object ``metadata`` (BEIR) count like the row's
        own; where both have a key, the row's counts.
    :returns: the facts. A key with a value that does not fit its fact is kept in ``other``, like all keys of other names; a null
        or NaN is no value.
    """
    inner = entries.get("metadata")
    if isinstance(inner, Mapping):
        entries = {**inner, **{key: value for key, value in entries.items() if key != "metadata"}}
    rest = {plain(key): plain(value) for key, value in entries.items() if not is_missing(value)}
    found: dict[str, Any] = {}
    for name, keys in KEYS.items():
        for key in keys:
            value = FITTING[name](rest[key]) if key in rest else None
            if value is not None:
                found[name] = value
                del rest[key]
                break
    return Metadata(**found, other=rest) if found or rest else NO_METADATA


def plain(value: Any, depth: int = 0) -> Any:
    """
    Make a value of JSON storable everywhere: no NaN, no infinity, no half characters, no numbers of more than 64 bits, not
    nested without end.

    :param value: the value.
    :param depth: the number of lists and objects around it.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if -INT64 <= value < INT64 else str(value)
    if depth == DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {plain(key): plain(one, depth + 1) for key, one in value.items()}
    return [plain(one, depth + 1) for one in value] if isinstance(value, list) else value


def _text(value: Any) -> str | None:
    return " ".join(value.split()) or None if isinstance(value, str) else None


def _number_or_text(value: Any) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)


def _texts(value: Any) -> tuple[str, ...] | None:
    """Take a list of texts, or one text with semicolons between its parts."""
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        return None
    return tuple(dict.fromkeys(filter(None, (" ".join(part.split()) for part in parts)))) or None


def _doi(value: Any) -> str | None:
    found = DOI.search(value) if isinstance(value, str) else None
    return None if found is None else found[0]


def _pmcid(value: Any) -> str | None:
    found = PMCID.fullmatch((_number_or_text(value) or "").upper())
    return None if found is None else f"PMC{found[1]}"


def _version(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31
    return value if fits else None


def _truth(value: Any) -> bool | None:
    return TRUTHS.get(str(value).strip().lower()) if isinstance(value, bool | int | str) else None


FITTING: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("authors", "publication_types", "mesh", "mesh_major", "keywords", "languages"), _texts),
    **dict.fromkeys(("date", "revised"), known_date),
    **dict.fromkeys(("retraction_notice", "expression_of_concern"), _number_or_text),
    **{"journal": _text, "doi": _doi, "pmcid": _pmcid, "version": _version, "retracted": _truth},
}
"""Name of a fact -> what makes its value of the one of a row, or None if that does not fit."""
