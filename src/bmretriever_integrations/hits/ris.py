"""Write hits in RIS, which reference managers such as Zotero and EndNote read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bmretriever_integrations.corpus.ris_facts import OURS
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.facts import address_of, date_of, fact, facts, marks_of, pmid_of
from bmretriever_integrations.index import Hit
from bmretriever_integrations.terminal.characters import printable


def as_ris(answers: Sequence[Answer], several: bool) -> str:
    """
    Write one reference for each hit.

    :param answers: the questions and their hits.
    :param several: note in each reference for which question it was found.
    :returns: the references, with an empty line after each. No text of a record can begin a line of its own.
    """
    references = [
        "".join(
            f"{tag}  - {printable(value).strip()}\n" for tag, value in _lines(hit, answer.question if several else None)
        )
        for answer in answers
        for hit in answer.hits
    ]
    return "".join(f"{reference}ER  - \n\n" for reference in references)


def _lines(hit: Hit, question: Question | None) -> Iterator[tuple[str, str]]:
    journal, date = fact(hit, "journal"), date_of(hit)
    yield "TY", "JOUR" if journal else "GEN"
    yield "ID", hit.id
    named = {"TI": hit.title, "T2": journal, "JO": journal, "PY": date[:4], "DA": _day(date), "AB": hit.text}
    named |= {
        "DB": OURS,
        "DO": fact(hit, "doi"),
        "AN": pmid_of(hit) or "",
        "C2": fact(hit, "pmcid"),
        "UR": address_of(hit) or "",
    }
    yield from ((tag, value) for tag, value in named.items() if value.strip())
    yield from (("AU", value) for value in facts(hit, "authors") if value.strip())
    for tag, names in {"M3": ("publication_types",), "KW": ("mesh", "keywords"), "LA": ("languages",)}.items():
        values = dict.fromkeys(value for name in names for value in facts(hit, name))
        yield from ((tag, value) for value in values if value.strip())
    yield from (("N1", mark) for mark in marks_of(hit))
    if question is not None:
        yield "N1", f"hit {hit.rank} for question {question.id}: {question.text}"


def _day(date: str) -> str:
    """Write a date as RIS does: ``2015/03/14/``, with empty parts for what is not known."""
    return "/".join([*date.split("-"), "", "", ""][:3]) + "/" if date else ""
