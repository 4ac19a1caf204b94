"""Which column of a source holds which part of a pair."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.training.pairs.settings import Source
from bmretriever_integrations.training.pairs.values import Row, passages_of_value, scores_of, text_of

CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "id": ("_id", "id", "pmid", "PMID", "doc_id", "docid"),
    "title": ("title",),
    "text": ("text", "abstract", "contents", "content", "body"),
    "query": ("query", "question", "anchor", "sent0", "input"),
    "positive": ("positive", "pos", "positive_passage", "positive_passages", "passage", "answer", "sent1", "output"),
    "negatives": ("negatives", "negative", "neg", "negative_passages", "hard_negatives", "hard_negative", "hard_neg"),
    "positive_scores": ("pos_scores", "positive_scores", "positive_score"),
    "negative_scores": ("neg_scores", "negative_scores"),
    "instruction": ("instruction", "prompt", "task_description", "instruct"),
    "task": ("task", "task_name", "dataset"),
    "source": ("source",),
    "licence": ("licence", "license"),
}
"""Our name -> names in use: those of BEIR, MedRAG, FlagEmbedding, Tevatron and sentence-transformers. The paper does not state
the column names of its released fine-tuning set, so they are looked for among these."""
NUMBERED = re.compile(r"neg(?:ative)?_(\d+)")
"""Columns that hold one hard negative each (sentence-transformers' n-tuples)."""
PASSAGES = ("positive", "negatives", "positive_scores", "negative_scores")
"""Our names whose values may be lists."""
LABELLED = ("query", *PASSAGES, "instruction", "task")
"""Our names that documents do not have."""
ONE_ONLY = ("text", "query", "positive", "negatives")
"""Our names for which two columns are refused, because it is not known which of them is meant."""


@dataclass(frozen=True)
class Columns:
    """The columns of one source, by our names."""

    names: Mapping[str, str]
    """Our name -> the source's column."""
    labelled: bool
    """Whether the rows hold queries and positives, and no documents."""
    defaults: Mapping[str, str]
    """Our name -> text for rows that have none."""
    numbered: tuple[str, ...] = ()
    """Columns of one hard negative each, in the order of their numbers."""
    unread: tuple[str, ...] = ()
    """Columns of the first row that are not read."""

    def pick(self, where: str, row: Mapping[str, Any]) -> Row:
        """
        Take the values of a row under our names.

        :param where: file and line of the row; begins an error.
        :param row: the row.
        :raises ValueError: if a column is missing or has another type.
        """
        picked = dict(self.defaults)
        for ours, theirs in self.names.items():
            needed = ours in (("query", "positive") if self.labelled else ("text",))
            if theirs not in row and needed:
                raise ValueError(f"{where}: no column {theirs!r}; the row has {', '.join(row)}")
            if ours not in PASSAGES:
                text = text_of(row.get(theirs), f"{where}: {theirs}", is_id=ours == "id")
                picked[ours] = text or picked.get(ours, "")
        if not self.labelled:
            return Row(picked)
        if not picked.get("instruction"):
            raise ValueError(
                f"{where}: no instruction; give the row the key instruction, or the source one (--instruction, or "
                "instruction: in a plan), a sentence that says what the queries look for"
            )
        positives = self._passages("positive", where, row)
        negatives = self._passages("negatives", where, row)
        return Row(
            picked,
            positives,
            negatives,
            self._scores("positive_scores", where, row, len(positives)),
            self._scores("negative_scores", where, row, len(negatives)),
        )

    def _passages(self, ours: str, where: str, row: Mapping[str, Any]) -> tuple[str, ...]:
        columns = [self.names[ours]] if ours in self.names else []
        columns += self.numbered if ours == "negatives" else ()
        return tuple(text for name in columns for text in passages_of_value(row.get(name), f"{where}: {name}"))

    def _scores(self, ours: str, where: str, row: Mapping[str, Any], count: int) -> tuple[float, ...]:
        theirs = self.names.get(ours)
        return () if theirs is None else scores_of(row.get(theirs), f"{where}: {theirs}", count)

    def __str__(self) -> str:
        found = [f"{ours} = {theirs}" for ours, theirs in self.names.items() if ours != theirs]
        found += [f"negatives = {', '.join(self.numbered)}"] if self.numbered else []
        unread = f"; not read: {', '.join(self.unread)}" if self.unread else ""
        return ("labelled" if self.labelled else "documents") + (f" ({', '.join(found)})" if found else "") + unread


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
    left_out = ("title", "text") if labelled else LABELLED
    found = {ours: theirs for ours, theirs in found.items() if ours not in left_out}
    numbered = sorted((name for name in row if labelled and NUMBERED.fullmatch(name)), key=_number)
    defaults = {"task": source.name, "licence": source.licence}
    if labelled and source.instruction:
        defaults["instruction"] = resolve_instruction(source.instruction)
    unread = tuple(name for name in row if name not in found.values() and name not in numbered)
    return Columns(found, labelled, defaults, tuple(numbered), unread)


def _number(name: str) -> int:
    found = NUMBERED.fullmatch(name)
    return int(found[1]) if found else 0


def _one(ours: str, row: Mapping[str, Any], path: str) -> str | None:
    there = [name for name in CANDIDATES[ours] if name in row]
    if there == ["contents", "content"]:  # MedRAG's contents are title and content together
        return "content"
    if len(there) > 1 and ours in ONE_ONLY:
        raise ValueError(f"{path}: {' and '.join(there)} could each be the {ours}; name one under columns: in the plan")
    return there[0] if there else None
