"""Everything that decides which pairs are made. Frozen, and checked before a source is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from bmretriever_integrations.training.yaml_settings import Settings, fill, read_mapping

Pairing = Literal["auto", "title", "spans", "labelled"]
LOCAL_KINDS = (".xml", ".xml.gz", ".jsonl", ".jsonl.gz")


class Source(Settings):
    """One collection of documents or labelled rows."""

    path: str = Field(min_length=1)
    """PubMed .xml(.gz), .jsonl(.gz), or anything :func:`datasets.load_dataset` reads: a hub name, a .parquet or .json file,
    a folder that ``save_to_disk`` wrote."""
    pairing: Pairing = "auto"
    """``title``: title -> text. ``spans``: two disjoint spans of the text. ``labelled``: the row's own query and positive.
    ``auto``: labelled where the row has a query, else title where there is one, else spans."""
    task: str = ""
    """Task of the pairs; the default is the file's name without its endings. Labelled rows that name theirs keep it."""
    instruction: str = ""
    """Instruction of labelled rows that have none: a sentence, or a key of ``prompts.TASK_INSTRUCTIONS``."""
    licence: str = ""
    """Licence of rows that state none."""
    limit: PositiveInt | None = None
    """Most pairs that are made of the source, before the filters: the first ones."""
    per_title: PositiveInt | None = None
    """Most pairs under one query, so that the sections of long articles do not fill the batches."""
    per_document: PositiveInt = 1
    """Most pairs of spans that are cut from one document."""
    split: str = "train"
    """Split of a Hugging Face data set."""
    config: str | None = None
    """Configuration of a Hugging Face data set."""
    columns: dict[str, str] | None = None
    """Our name (id, title, text, query, positive, instruction, task) -> the source's column; None detects them."""

    @property
    def name(self) -> str:
        """The task of its unlabelled pairs."""
        return self.task or Path(self.path).name.split(".")[0]

    @property
    def is_local(self) -> bool:
        """Whether it is read here, line by line; everything else goes through ``datasets``."""
        return self.path.lower().endswith(LOCAL_KINDS)


def _in_order(bounds: tuple[int, int]) -> tuple[int, int]:
    if not 0 < bounds[0] <= bounds[1]:
        raise ValueError("Input should be [fewest, most] with 0 < fewest <= most")
    return bounds


Bounds = Annotated[tuple[int, int], Field(strict=False), AfterValidator(_in_order)]  # YAML gives a list
"""Fewest and most, both allowed."""


class Filters(Settings):
    """Which pairs stay. Every value was chosen by this project; the paper states none."""

    query_words: Bounds = (1, 512)
    """Fewest and most words of a query."""
    positive_words: Bounds = (5, 2000)
    """Fewest and most words of a positive; the model reads about the first 350."""
    positive_characters: Bounds = (20, 20_000)
    """Fewest and most characters of a positive."""
    language: str | None = "en"
    """Language of the positives (ISO 639-1). It is told from :data:`~.filters.LANGUAGE_WORDS` words on; None allows every
    language."""
    near_duplicates: bool = True
    """Whether a positive that is nearly an earlier one is dropped (:mod:`~.duplicates`)."""
    span_words: Bounds = (5, 64)
    """Fewest and most words of the query of two spans."""
    passage_words: Bounds = (20, 350)
    """Fewest and most words of the passage of two spans; 350 English words are about the model's 512 tokens."""


class EvaluationSet(Settings):
    """One evaluation set in BEIR layout that must not be trained on."""

    path: str = Field(min_length=1)
    """Folder of the set."""
    ids: bool = False
    """Whether its document ids and the sources' ids name the same documents (PMIDs): one with such an id is then dropped."""


def _from_path(given: Any) -> Any:
    return {"path": given} if isinstance(given, str) else given


class Plan(Settings):
    """Settings of a whole run."""

    sources: tuple[Annotated[Source, BeforeValidator(_from_path)], ...] = Field((), strict=False)  # YAML gives a list
    """Collections that pairs are made of, in this order; a text alone is a path."""
    against: tuple[Annotated[EvaluationSet, BeforeValidator(_from_path)], ...] = Field((), strict=False)
    """Evaluation sets whose texts are kept out of the pairs; a text alone is a path."""
    protect: Literal["all", "relevant"] = "all"
    """``all`` keeps out every document of the evaluation sets, ``relevant`` those that are relevant to a query."""
    share: float = Field(0.5, gt=0, le=1)
    """A pair is dropped when this share of its 13-word sequences is in one protected text, or of that text's in it."""
    filters: Filters = Filters()
    """Filters of a pair by itself, and of duplicates."""
    seed: int = 0
    """Seed that the spans are drawn by."""

    @model_validator(mode="after")
    def _some_source(self) -> Self:
        if not self.sources:
            raise ValueError("no source was given: name one with --source, or under sources: in the plan")
        return self


def parse_source(word: str, instruction: str = "") -> Source:
    """
    Read a source from the command line.

    :param word: ``PATH`` or ``PATH:PAIRING``.
    :param instruction: see :attr:`Source.instruction`.
    :raises TypeError: if the pairing is unknown.
    """
    path, colon, pairing = word.rpartition(":")
    if not colon or "/" in pairing or "." in pairing:
        return fill(Source, {"path": word, "instruction": instruction}, "--source")
    return fill(Source, {"path": path, "pairing": pairing, "instruction": instruction}, f"--source {word}")


def parse_against(word: str) -> EvaluationSet:
    """
    Read an evaluation set from the command line.

    :param word: ``FOLDER`` or ``FOLDER:ids``.
    """
    return fill(EvaluationSet, {"path": word.removesuffix(":ids"), "ids": word.endswith(":ids")}, "--against")


def read_plan(path: Path | None, more: Mapping[str, Any] = MappingProxyType({})) -> Plan:
    """
    Read a plan from YAML and add what the command line gives.

    :param path: the file, whose keys are those of :class:`Plan`; None for none.
    :param more: further settings: lists are added to those of the file, other values take the place of the file's.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it is no YAML, has an unknown key or a value out of range, or if there is no source.
    :raises TypeError: if a value has the wrong type.
    """
    given = {} if path is None else read_mapping(path)
    for key, value in more.items():
        if key not in given or not isinstance(value, list):
            given[key] = value
        elif isinstance(given[key], list):
            given[key] = given[key] + value  # anything else is refused below
    return fill(Plan, given, "" if path is None else str(path))
