"""Everything that decides which pairs are made. Frozen and checked before a source is read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from bmretriever_integrations.training.yaml_settings import Checked, fill, read_mapping, refuse_unknown

Pairing = Literal["auto", "title", "spans", "labelled"]
LOCAL_KINDS = (".xml", ".xml.gz", ".jsonl", ".jsonl.gz")


@dataclass(frozen=True, kw_only=True)
class Source(Checked):
    """One collection of documents or labelled rows."""

    path: str
    """PubMed .xml(.gz), .jsonl(.gz), or anything :func:`datasets.load_dataset` reads: a hub name, a .parquet or .json file,
    a folder that ``save_to_disk`` wrote."""
    pairing: Pairing = "auto"
    """``title``: title -> text. ``spans``: two disjoint spans of the text. ``labelled``: the row's own query and positive.
    ``auto``: labelled where the row has a query, else title where there is one, else spans."""
    task: str = ""
    """Batches hold one task; the default is the file's name without its endings. Labelled rows that name theirs keep it."""
    instruction: str = ""
    """For labelled rows that have none: a sentence, or a key of ``prompts.TASK_INSTRUCTIONS``."""
    licence: str = ""
    """For rows that state none."""
    limit: int | None = None
    """At most this many pairs of it, the first, before the filters."""
    per_title: int | None = None
    """At most this many pairs under one query, so that the sections of long articles do not fill the batches."""
    per_document: int = 1
    """Spans: pairs cut from one document."""
    split: str = "train"
    """Hugging Face: the split."""
    config: str | None = None
    """Hugging Face: the configuration."""
    columns: dict | None = None  # type: ignore[type-arg]  # the check below knows plain classes only
    """Our name (id, title, text, query, positive, instruction, task) -> the source's column; None detects them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ValueError("a source needs a path, got none")
        if not all(isinstance(name, str) for pair in (self.columns or {}).items() for name in pair):
            raise TypeError(f"{self.path}: columns must map our names to the source's, got {self.columns!r}")
        for name in ("limit", "per_title", "per_document"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{self.path}: {name} must be at least 1, got {value}")

    @property
    def name(self) -> str:
        """The task of its unlabelled pairs."""
        return self.task or Path(self.path).name.split(".")[0]

    @property
    def is_local(self) -> bool:
        """Read here, line by line; everything else goes through ``datasets``."""
        return self.path.lower().endswith(LOCAL_KINDS)


@dataclass(frozen=True, kw_only=True)
class Filters(Checked):
    """Which pairs stay. Every value chosen by this project; the paper states none."""

    query_words: tuple[int, int] = (1, 512)
    """Fewest and most words of a query."""
    positive_words: tuple[int, int] = (5, 2000)
    """Fewest and most words of a positive; the model reads about the first 350."""
    positive_characters: tuple[int, int] = (20, 20_000)
    """Fewest and most characters of a positive."""
    language: str | None = "en"
    """Language of the positives, ISO 639-1, where they have :data:`~.filters.LANGUAGE_WORDS` words or more; None takes all."""
    near_duplicates: bool = True
    """Drop a positive that is nearly an earlier one (:mod:`~.duplicates`)."""
    span_words: tuple[int, int] = (5, 64)
    """Spans: fewest and most words of the query."""
    passage_words: tuple[int, int] = (20, 350)
    """Spans: fewest and most words of the passage; 350 English words are about the model's 512 tokens."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in fields(self):
            value = getattr(self, setting.name)
            if isinstance(value, tuple) and (len(value) != 2 or not 0 < value[0] <= value[1]):
                raise ValueError(f"{setting.name} must be [fewest, most] with 0 < fewest <= most, got {list(value)}")


@dataclass(frozen=True, kw_only=True)
class Against(Checked):
    """One evaluation set in BEIR layout that must not be trained on."""

    path: str
    ids: bool = False
    """Its document ids and the sources' name the same things (PMIDs): a document with one of its ids is dropped."""


@dataclass(frozen=True, kw_only=True)
class Plan(Checked):
    """A whole run."""

    sources: tuple[Source, ...]
    against: tuple[Against, ...] = ()
    protect: Literal["all", "relevant"] = "all"
    """``all``: every document of the evaluation sets. ``relevant``: those that are relevant to a query."""
    share: float = 0.5
    """A pair goes when this share of its 13-word sequences is in one protected text, or of that text's in it."""
    filters: Filters = Filters()
    seed: int = 0
    """Of the spans."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise ValueError("no source was given: name one with --source, or under sources: in the plan")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")


def parse_source(word: str) -> Source:
    """
    Read a source from the command line.

    :param word: ``PATH`` or ``PATH:PAIRING``.
    :raises ValueError: if the pairing is unknown.
    """
    path, colon, pairing = word.rpartition(":")
    if not colon or "/" in pairing or "." in pairing:
        return Source(path=word)
    if pairing not in get_args(Pairing):
        raise ValueError(f"unknown pairing {pairing!r} of {path}; choose from {', '.join(get_args(Pairing))}")
    return Source(path=path, pairing=pairing)  # type: ignore[arg-type]  # just checked


def parse_against(word: str) -> Against:
    """
    Read an evaluation set from the command line.

    :param word: ``FOLDER`` or ``FOLDER:ids``.
    """
    return Against(path=word.removesuffix(":ids"), ids=word.endswith(":ids"))


def read_plan(path: Path) -> dict[str, Any]:
    """
    Read a plan's settings from YAML.

    :param path: the file; its keys are those of :class:`Plan`.
    :returns: arguments of :class:`Plan`.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it is no YAML, or has an unknown key.
    :raises TypeError: if a value has the wrong type.
    """
    settings = read_mapping(path)
    refuse_unknown(settings, Plan, str(path))
    for key, kind in (("sources", Source), ("against", Against)):
        rows = settings.get(key, [])
        if not isinstance(rows, list):
            raise TypeError(f"{path}: {key} must be a list, got {type(rows).__name__}")
        settings[key] = tuple(
            fill(kind, {"path": row} if isinstance(row, str) else row, f"{path}: {key}[{number}]")
            for number, row in enumerate(rows)
        )
    if "filters" in settings:
        given = settings["filters"]
        if isinstance(given, dict):
            given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        settings["filters"] = fill(Filters, given, f"{path}: filters")
    return settings
