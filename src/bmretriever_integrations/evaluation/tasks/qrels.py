"""Read the judgements of a task: BEIR's three columns, TREC's four, with grades that are whole numbers."""

from __future__ import annotations

import re
from pathlib import Path

Judgements = dict[str, dict[str, int]]
"""Maps each query id to the ids of its judged documents, each with its grade."""

ENDINGS = (".tsv", ".txt", ".qrels")
"""Endings of the names of files with judgements, in the order in which they are looked for."""
HEADINGS = frozenset({"score", "relevance", "rel", "grade", "label"})
"""The last word of a heading line."""

_GRADE = re.compile(r"[+-]?\d+(\.0*)?", re.ASCII)
_ITERATION = re.compile(r"Q?\d+", re.ASCII)
_FORMS = (
    "expected query-id, corpus-id and a whole-number score (BEIR), or query, 0, document and a whole-number grade (TREC), "
    "separated by tabs or blanks"
)


def read_qrels(path: Path) -> Judgements:
    """
    Read judgements. A line has the query's id, the document's id and the grade, or, as in TREC, a number after the query's id.

    Where a line has tabs, they separate the cells; else blanks do. A cell may stand in double quotes. A heading line is skipped.

    :param path: the file.
    :returns: the judgements. Grades below 0 become 0, because neither is relevant.
    :raises ValueError: if a line is malformed or judges a pair again with another grade, with file and line.
    """
    judgements: Judgements = {}
    first = True
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            try:
                line = raw.decode("utf-8-sig").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}:{number}: not UTF-8: {error}") from error
            cells = [_unquoted(cell) for cell in (line.split("\t") if "\t" in line else line.split())]
            if not line.strip() or (first and cells[-1].strip().casefold() in HEADINGS):
                first = first and not line.strip()
                continue
            first = False
            query, document, grade = _parse_judgement(cells, f"{path}:{number}")
            known = judgements.setdefault(query, {}).setdefault(document, grade)
            if known != grade:
                raise ValueError(f"{path}:{number}: query {query!r} judges {document!r} {grade}, but {known} before")
    return judgements


def _unquoted(cell: str) -> str:
    """Take away the double quotes that a spreadsheet or a csv writer puts around a cell."""
    if len(cell) > 1 and cell.startswith('"') and cell.endswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell


def _parse_judgement(cells: list[str], where: str) -> tuple[str, str, int]:
    if len(cells) == 4 and _ITERATION.fullmatch(cells[1].strip()):
        cells = [cells[0], *cells[2:]]
    if len(cells) != 3:
        raise ValueError(f"{where}: {_FORMS}; got {len(cells)} fields")
    query, document, grade = cells
    if not _GRADE.fullmatch(grade.strip()):
        raise ValueError(f"{where}: {_FORMS}; got the score {grade!r}")
    return query, document, max(int(float(grade)), 0)


def find_qrels(root: Path, split: str) -> Path:
    """
    Find the judgements of a split.

    :param root: a BEIR folder.
    :param split: e.g. ``test``.
    :raises FileNotFoundError: if they are missing; the message lists the existing splits.
    """
    folder = root / "qrels"
    for ending in ENDINGS:
        if (folder / f"{split}{ending}").is_file():
            return folder / f"{split}{ending}"
    there = ", ".join(sorted(file.stem for file in folder.glob("*") if file.suffix in ENDINGS)) or "none"
    raise FileNotFoundError(f"{root} has no qrels/{split}.tsv; splits there: {there}")
