"""The forms of searches over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SkipValidation, model_validator

from bmretriever_integrations.index.search.asked import Mode
from bmretriever_integrations.serving.errors import INVALID, ApiError
from bmretriever_integrations.serving.forms import Form
from bmretriever_integrations.serving.options import Options

Format = Literal["json", "ris", "csv"]
Scalar = str | int | float | bool | None
# Filters checks what a value may be and says so by the name of its field, which is clearer than two forms that do not fit.
Day = Annotated[str | int | None, SkipValidation]
Texts = Annotated[str | list[str] | None, SkipValidation]
Others = Annotated[dict[str, Scalar | list[Scalar]] | None, SkipValidation]


class FilterForm(Form):
    """Which records may be found. A record has to meet all that is given; of several values in one field, any will do."""

    since: Day = Field(None, description="First year, month or day of publication: 2015, 2015-03 or 2015-03-14.")
    until: Day = Field(None, description="Last year, month or day of publication.")
    publication_types: Texts = Field(None, description="PubMed's publication types, e.g. Randomized Controlled Trial.")
    mesh: Texts = Field(None, description="Names of MeSH descriptors.")
    mesh_major: Texts = Field(None, description="Names of MeSH descriptors that are a major topic.")
    journal: Texts = Field(None, description="Full names of journals.")
    languages: Texts = Field(None, description="Codes or English names of languages, e.g. eng or German.")
    keywords: Texts = Field(None, description="Keywords, as they are written.")
    authors: Texts = Field(None, description="Authors as the records have them: Last, First Middle.")
    ids: Annotated[str | int | list[str | int] | None, SkipValidation] = Field(None, description="Ids of records.")
    doi: Texts = Field(None, description="DOIs, with or without https://doi.org/.")
    pmcid: Texts = Field(None, description="Ids of PubMed Central, with or without PMC.")
    other: Others = Field(None, description="Further keys of JSON lines and the value or values that they have.")


class AskForm(Form):
    """How questions are answered."""

    top_k: int = Field(10, description="Hits of a question; the server has a limit.")
    mode: Mode | None = Field(
        None, description="hybrid compares words and vectors, vector vectors alone, text words alone; null is hybrid."
    )
    filters: FilterForm | None = Field(None, description="Which records may be found; null: all.")
    instruction: str | None = Field(
        None, description="The task of the question: a task key or a sentence; null: the server's own."
    )
    include_retracted: bool = Field(False, description="Find retracted papers, too; they are marked.")
    format: Format = Field("json", description="ris and csv are files for reference managers and spreadsheets.")

    def options(self) -> Options:
        """
        Return what the search is told.

        :raises ApiError: if a filter is empty: it would find all records, which a program that had nothing to name did not mean.
        """
        asked = {} if self.filters is None else self.filters.model_dump(exclude_unset=True, warnings=False)
        for name, value in asked.items():
            if value in ("", [], {}):
                message = f"filters.{name} is empty: leave the field out, or name one"
                raise ApiError(400, message, param=f"filters.{name}", code=INVALID)
        return Options(
            top_k=self.top_k,
            mode=self.mode or "hybrid",
            filters=asked or None,
            instruction=self.instruction,
            include_retracted=self.include_retracted,
        )


class SearchForm(AskForm):
    """A question, or a record that others should be like."""

    question: str | None = Field(None, description="The question, in words. Either this or like.")
    like: str | None = Field(None, description="The id of a record of the index: others that are most like it.")

    @model_validator(mode="after")
    def _one_of_two(self) -> SearchForm:
        if self.question is not None and self.like is not None:
            raise ValueError("question and like exclude each other; give one of them")
        if self.question is None and self.like is None:
            raise ValueError("it has neither question nor like; give one of them")
        if self.like is not None and self.instruction is not None:
            raise ValueError(
                "an instruction is the task of a question, and like has none; leave one of the two fields out"
            )
        return self


class BatchForm(AskForm):
    """Several questions that are answered in the same way."""

    questions: list[str] = Field(description="The questions, in words; the server has a limit.")
