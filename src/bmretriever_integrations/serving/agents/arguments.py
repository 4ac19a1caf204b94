"""What the tools may be told. Models are not as exact as programs: "5" is a number here, one text a list, and null is nothing."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from bmretriever_integrations.index.search.asked import Mode
from bmretriever_integrations.serving.forms import Form
from bmretriever_integrations.serving.options import Options

MOST_HITS = 50
"""The most records of an answer: about 7,000 tokens of a language model."""


def _several(given: Any) -> Any:
    """Make one text a list, and read a list that comes as text in JSON, which some clients make of it."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        try:
            read = json.loads(given)
        except ValueError:
            return [given]
        return read if isinstance(read, list) else [given]
    return [given] if given.strip() else []


Texts = Annotated[list[str], BeforeValidator(_several)]


class Arguments(Form):
    """The arguments of a tool."""

    model_config = ConfigDict(strict=False, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        return {name: value for name, value in given.items() if value is not None} if isinstance(given, dict) else given


class Asking(Arguments):
    """What the tools that search have in common."""

    top_k: int = Field(5, ge=1, le=MOST_HITS, description="How many records to return, best first.")
    since: str = Field("", description="Published then or later: a year, month or day, e.g. 2015, 2015-03, 2015-03-14.")
    until: str = Field("", description="Published then or earlier; the same forms.")
    publication_types: Texts = Field(
        [],
        description="PubMed's publication types, any of which will do, e.g. Meta-Analysis, Systematic Review, "
        "Randomized Controlled Trial, Practice Guideline, Case Reports.",
    )
    mesh: Texts = Field([], description="Exact names of MeSH descriptors, any of which will do, e.g. Metformin.")
    journal: Texts = Field([], description="Full names of journals, any of which will do, e.g. The Lancet.")
    languages: Texts = Field([], description="Languages of the full text, any of which will do, e.g. eng or German.")
    include_retracted: bool = Field(False, description="Return retracted papers, too, each with a warning.")
    mode: Mode = Field(
        "hybrid",
        description="hybrid compares meaning and words and is best for most questions; vector compares meaning alone; "
        "text compares words alone, for exact names and codes.",
    )

    def options(self) -> Options:
        """Return what the search is told."""
        filters = {
            "since": self.since.strip(),
            "until": self.until.strip(),
            "publication_types": self.publication_types,
            "mesh": self.mesh,
            "journal": self.journal,
            "languages": self.languages,
        }
        return Options(top_k=self.top_k, mode=self.mode, filters=filters, include_retracted=self.include_retracted)


class SearchArguments(Asking):
    """Arguments of ``search_literature``."""

    question: str = Field(description="The question in English, as a whole sentence rather than keywords.")


class SimilarArguments(Asking):
    """Arguments of ``find_similar``."""

    id: str = Field(description="The id of a record, exactly as an answer gives it.")


class RecordArguments(Arguments):
    """Arguments of ``get_record``."""

    id: str = Field(description="The id of a record, exactly as an answer gives it.")
    start: int = Field(0, ge=0, description="At which character of the text to begin; for texts that come in parts.")
