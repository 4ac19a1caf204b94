"""Read the vectors that are checked and the texts that they were made from, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.json_lines import DAMAGE, NotJson, read_values, unpacked
from bmretriever_integrations.corpus.json_records import NAMES
from bmretriever_integrations.prompts import lone_surrogate

CHUNK = 65_536
"""Rows that are looked at at a time."""
FLOATS = ("float16", "float32", "float64")
"""Number types of vectors that can be checked."""


@dataclass(frozen=True, slots=True)
class Text:
    """The text of one row."""

    title: str
    """Title, or "" if there is none."""
    text: str


def read_texts(path: Path) -> list[Text]:
    """
    Read one text for each row.

    :param path: a file of JSON lines (``.jsonl``, ``.jsonl.gz``) with the keys ``text`` and perhaps ``title`` or the names of
        :data:`~bmretriever_integrations.corpus.json_records.NAMES`, or a file with one plain text a line.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if a line cannot be read: leaving it out would move all later rows.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; name the file with the texts of the vectors, one a line")
    is_json = any(suffix in (".jsonl", ".ndjson", ".json") for suffix in path.suffixes)
    try:
        with path.open("rb") as file:
            lines = unpacked(path, file)
            if is_json:
                return [_text_of(value, f"{path.name}:{number}") for number, value in read_values(lines)]
            return [Text("", line) for line in lines.read().decode("utf-8-sig").splitlines()]
    except (UnicodeDecodeError, *DAMAGE) as error:
        raise ValueError(f"{path} cannot be read as text in UTF-8: {error}") from error


def _text_of(value: Any, place: str) -> Text:
    if isinstance(value, NotJson):
        raise ValueError(f"{place}: {value}")
    found = value if isinstance(value, dict) else {}
    body = next((found[name] for name in NAMES["text"] if isinstance(found.get(name), str)), None)
    if body is None:
        raise ValueError(f'{place}: a row needs a "text" that is a string, and perhaps a "title"')
    title = found.get("title")
    text = Text(title if isinstance(title, str) else "", body)
    if lone_surrogate(text.title + text.text) is not None:
        raise ValueError(f"{place}: holds a lone surrogate, which is no character")
    return text


def read_vectors(path: Path, rows: int) -> NDArray[Any]:
    """
    Open a file of vectors without reading all of it into memory.

    :param path: a ``.npy`` file.
    :param rows: the number of texts.
    :returns: *Shape:* (rows, width), in the file's own number type
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it holds no floating-point rows, or another number of them than there are texts.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; name a .npy file with one vector a row (numpy.save)")
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # NumPy's message proposes to load whatever it is as a pickle
        raise ValueError(
            f"{path} is no whole .npy file of numbers; numpy.save(path, array) writes one, and array needs a type such as float32"
        ) from error
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.name not in FLOATS:
        shape = (
            f"{vectors.dtype.name} of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else "several arrays"
        )
        raise ValueError(f"{path} holds {shape}; it must hold one vector a row, in one of {', '.join(FLOATS)}")
    if len(vectors) != rows or not rows:
        raise ValueError(
            f"{path} holds {len(vectors):,} vectors, and there are {rows:,} texts; row i must belong to line i"
        )
    return vectors


def flawed_rows(vectors: NDArray[Any]) -> tuple[list[int], list[int]]:
    """
    Find the rows that are no vectors, in the whole file.

    :param vectors: *Shape:* (rows, width), which may lie on disk
    :returns: the rows that hold zeros only, and those that hold NaN or infinity, from 1.
    """
    zero, broken = [], []
    for start in range(0, len(vectors), CHUNK):
        part = vectors[start : start + CHUNK]
        zero += (np.flatnonzero(~part.any(axis=1)) + start + 1).tolist()
        broken += (np.flatnonzero(~np.isfinite(part).all(axis=1)) + start + 1).tolist()
    return zero, broken
