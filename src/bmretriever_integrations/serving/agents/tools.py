"""The tools: their names, what a model is told of them, and what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bmretriever_integrations.serving.agents.arguments import (
    Arguments,
    RecordArguments,
    SearchArguments,
    SimilarArguments,
)
from bmretriever_integrations.serving.agents.results import (
    FoundRecords,
    WholeRecord,
    found_records,
    whole_record,
)

if TYPE_CHECKING:
    from bmretriever_integrations.serving.search import Searcher

RETRACTED = (
    "Retracted papers are left out, and the answer says how many; include_retracted=true returns them with a warning."
)
SEARCH = f"""\
Find papers in the index that answer a question, by meaning and by words. Returns for each its title, journal, date, PMID,
address, warnings and the passage that fits best; get_record returns a whole record.
Use filters where the user asks for them: since and until for a period, publication_types for kinds of evidence, mesh for a
subject that must be indexed, journal, languages. A record that lacks a fact never passes a filter on it, so search again
without filters before you say that there is nothing.
{RETRACTED}
Cite the papers that you use by PMID."""
SIMILAR = f"""\
Find papers that are most like a record of the index, such as a good hit of search_literature. Takes the filters of
search_literature and returns the same.
{RETRACTED}"""
RECORD = """\
Read a whole record of the index: title, all facts such as authors, MeSH terms and DOI, warnings, and the text, which for
PubMed's citations is the abstract. Read a paper before you rely on more than its passage says. Long texts come in parts."""


@dataclass(frozen=True)
class Tool:
    """A tool."""

    name: str
    title: str
    description: str
    arguments: type[Arguments]
    result: type[BaseModel]
    run: Callable[[Searcher, Any], Awaitable[Callable[[], FoundRecords | WholeRecord]]]
    """Takes the arguments and returns what writes the answer, which may take long enough to be done on a thread."""


async def _search(searcher: Searcher, asked: SearchArguments) -> Callable[[], FoundRecords]:
    (found,) = await searcher.answer([asked.question], asked.options())
    return lambda: found_records(found)


async def _similar(searcher: Searcher, asked: SimilarArguments) -> Callable[[], FoundRecords]:
    found = await searcher.like(asked.id, asked.options())
    return lambda: found_records(found)


async def _record(searcher: Searcher, asked: RecordArguments) -> Callable[[], WholeRecord]:
    (record,) = await searcher.records([asked.id])
    return lambda: whole_record(record, asked.start)


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("search_literature", "Search the literature", SEARCH, SearchArguments, FoundRecords, _search),
        Tool("get_record", "Read a record", RECORD, RecordArguments, WholeRecord, _record),
        Tool("find_similar", "Find similar papers", SIMILAR, SimilarArguments, FoundRecords, _similar),
    )
}
