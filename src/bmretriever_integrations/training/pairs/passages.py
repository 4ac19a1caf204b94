"""Passages for the steps that need no queries: the positives of pairs, or the documents of a corpus file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bmretriever_integrations.training.pairs.rows import Reading, check, current_of, read
from bmretriever_integrations.training.pairs.schema import pair_files, read_pairs
from bmretriever_integrations.training.pairs.settings import LOCAL_KINDS, Source


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage, without template."""

    id: str
    """Origin of the passage: the pair's source and id, or the corpus file's name and the document's id (or line)."""
    text: str
    """Title and text joined."""
    licence: str
    """Licence of the passage; empty where none is stated."""


def passages_of(path: Path, licence: str = "") -> Iterator[Passage]:
    """
    Read the passages of one file; documents without any text are left out.

    :param path: a .parquet file of pairs or a folder of them, whose positives are taken; or documents as
        ``build_pairs`` reads them: PubMed .xml(.gz), .jsonl(.gz) with ``_id`` or ``id``, ``title``, ``text``.
    :param licence: licence of documents that state none.
    :returns: an iterator; the file, of JSONL every line, is checked before the iterator is returned.
    :raises FileNotFoundError: if it is missing.
    :raises ValueError: if it is of another kind, empty or malformed (names file and line).
    """
    if path.is_dir() or path.suffix == ".parquet":
        pair_files(path)
        return _of_pairs(path)
    source = Source(path=str(path), pairing="spans", licence=licence)  # spans takes documents with and without a title
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not source.is_local:
        raise ValueError(f"{path} ends in none of .parquet, {', '.join(LOCAL_KINDS)}")
    return _of_documents(source)


def _of_pairs(path: Path) -> Iterator[Passage]:
    for pair in read_pairs(path):
        yield Passage(f"{pair.source or path.name}#{pair.id}", pair.positive.strip(), pair.licence)


def _of_documents(source: Source) -> Iterator[Passage]:
    columns, current, name = check(source), current_of([source]), Path(source.path).name

    def rows() -> Iterator[Passage]:
        for where, row in read(source, columns, Reading(), current):
            texts = row.texts
            text = f"{texts.get('title', '')} {texts['text']}".strip()
            if text:
                yield Passage(f"{name}#{texts.get('id') or where}", text, texts.get("licence") or source.licence)

    return rows()
