"""Which column of a source holds which part of a pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.prompts import is_missing, lone_surrogate, resolve_instruction
from bmretriever_integrations.training.pairs.settings import Source

CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id", "pmid", "PMID", "doc_id", "docid"),
    "title": ("title",),
    "text": ("text", "abstract", "contents", "content", "body"),
    "query": ("query", "question", "anchor", "sent0", "input"),
    "positive": ("positive", "pos", "positive_passage", "positive_passages", "passage", "answer", "sent1", "output"),
    "instruction": ("instruction", "prompt", "task_description", "instruct"),
    "task": ("task", "task_name", "dataset"),
    "source": ("source",),
    "licence": ("licence", "license"),
}
"""Our name -> names in use: those of BEIR, MedRAG, Tevatron and sentence-transformers. The paper does not state the column
names of its released fine-tuning set, so they are looked for among these."""


@dataclass(frozen=True)
class Columns:
    """The columns of one source, by our names."""

    names: Mapping[str, str]
    """Our name -> the source's column."""
    labelled: bool
    """Whether the rows hold queries and positives, and no documents."""
    defaults: Mapping[str, str]
    """Our name -> text for rows that have none."""

    def pick(self, where: str, row: Mapping[str, Any]) -> dict[str, str]:
        """
        Take the texts of a row under our names.

        :param where: file and line of the row; begins an error.
        :param row: the row.
        :returns: our name -> text; the text of a positive has its title before it.
        :raises ValueError: if a column is missing or is no text.
        """
        picked = dict(self.defaults)
        for ours, theirs in self.names.items():
            needed = ours in (("query", "positive") if self.labelled else ("text",))
            if theirs not in row and needed:
                raise ValueError(f"{where}: no column {theirs!r}; the row has {', '.join(row)}")
            value = _text(row.get(theirs), is_id=ours == "id")
            if value is None:
                raise ValueError(f"{where}: {theirs} must be text, got {type(row[theirs]).__name__}")
            if lone_surrogate(value) is not None:
                raise ValueError(f"{where}: {theirs} holds a lone surrogate, which is no character")
            picked[ours] = value or picked.get(ours, "")
        if self.labelled and not picked.get("instruction"):
            raise ValueError(f"{where}: no instruction; give the source one (instruction: a sentence or a task key)")
        return picked

    def __str__(self) -> str:
        found = ", ".join(f"{ours} = {theirs}" for ours, theirs in self.names.items() if ours != theirs)
        return ("labelled" if self.labelled else "documents") + (f" ({found})" if found else "")


def detect(row: Mapping[str, Any], source: Source) -> Columns:
    """
    Find the columns of a source by its first row.

    :param row: the row.
    :param source: its settings; names under ``columns`` are taken without a search.
    :raises ValueError: if a needed column is missing, or two columns could each be the same text.
    """
    given = source.columns or {}
    for ours, theirs in given.items():
        if ours not in CANDIDATES or theirs not in row:
            raise ValueError(f"{source.path}: cannot take {ours!r} from {theirs!r}: the row has {', '.join(row)}")
    names = {ours: given.get(ours) or _one(ours, row, source.path) for ours in CANDIDATES}
    found = {ours: theirs for ours, theirs in names.items() if theirs}
    labelled = source.pairing == "labelled" or (source.pairing == "auto" and {"query", "positive"} <= found.keys())
    needed = ("query", "positive") if labelled else ("title", "text") if source.pairing == "title" else ("text",)
    missing = [ours for ours in needed if ours not in found]
    if missing:
        raise ValueError(
            f"{source.path}: no column for {' and '.join(missing)} (pairing {source.pairing}); the row has "
            f"{', '.join(row)}. Rename one, or name it under columns: in a plan"
        )
    if labelled:
        found = {ours: theirs for ours, theirs in found.items() if ours not in ("title", "text")}
    else:
        found = {
            ours: theirs for ours, theirs in found.items() if ours not in ("query", "positive", "instruction", "task")
        }
    defaults = {"task": source.name, "licence": source.licence}
    if labelled and source.instruction:
        defaults["instruction"] = resolve_instruction(source.instruction)
    return Columns(found, labelled, defaults)


def _one(ours: str, row: Mapping[str, Any], path: str) -> str | None:
    there = [name for name in CANDIDATES[ours] if name in row]
    if len(there) > 1 and ours in ("text", "query", "positive"):
        raise ValueError(f"{path}: {' and '.join(there)} could each be the {ours}; name one under columns: in the plan")
    return there[0] if there else None


def _text(value: Any, is_id: bool) -> str | None:
    """Turn a value into text: the first of a list, title and text of a mapping joined, a number if it is an id; else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, Mapping):
        title, text = value.get("title"), value.get("text")
        title = "" if is_missing(title) else title
        return f"{title} {text}".strip() if isinstance(title, str) and isinstance(text, str) else None
    if is_missing(value):
        return ""
    if is_id and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
