"""The few facts of a hit that every format shows."""

from __future__ import annotations

import re

from bmretriever_integrations.index import Hit

PUBMED = "https://pubmed.ncbi.nlm.nih.gov"
OF_PUBMED = ("version", "revised")
"""Facts of which PubMed states one of each of its citations. A record with one, with types of publication and with a number as id
has a PMID as id."""
NOTICES = {
    "Retraction of Publication": "RETRACTION NOTICE",
    "Retraction Notice": "RETRACTION NOTICE",
    "Expression of Concern": "NOTICE OF CONCERN",
}
"""Maps PubMed's types of notices about other papers, which bear the titles of these, to their marks."""
_PMID = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def pmid_of(hit: Hit) -> str | None:
    """
    Return the PMID of a hit.

    :param hit: the hit.
    :returns: its id, if that is a number and the record says what PubMed says of its citations; else its key ``PMID`` or
        ``pmid``, as MedRAG's rows and the readers of RIS and Europe PMC have it;
        None if it is no citation of PubMed as far as is known.
    """
    if (
        _PMID.fullmatch(hit.id)
        and "publication_types" in hit.metadata
        and any(map(hit.metadata.__contains__, OF_PUBMED))
    ):
        return hit.id
    stated = str(hit.metadata.get("PMID") or hit.metadata.get("pmid") or "")
    return stated if _PMID.fullmatch(stated) else None


def address_of(hit: Hit) -> str | None:
    """
    Return the address of a hit's page at PubMed.

    :param hit: the hit.
    :returns: the address, or None if the hit has no PMID.
    """
    pmid = pmid_of(hit)
    return None if pmid is None else f"{PUBMED}/{pmid}/"


def date_of(hit: Hit) -> str:
    """
    Return the date of a hit.

    :param hit: the hit.
    :returns: ``2015``, ``2015-03`` or ``2015-03-14``, or "" if it is not known.
    """
    date = str(hit.metadata.get("date") or hit.metadata.get("year") or "")
    return date if re.fullmatch(r"\d{4}(-\d\d){0,2}", date, re.ASCII) else ""


def fact(hit: Hit, name: str) -> str:
    """
    Return a fact of a hit as text.

    :param hit: the hit.
    :param name: the name of the fact.
    :returns: the fact, its parts joined by "; " if it is a list, or "" if it is not known.
    """
    return "; ".join(facts(hit, name))


def facts(hit: Hit, name: str) -> list[str]:
    """
    Return a fact of a hit as a list of texts.

    :param hit: the hit.
    :param name: the name of the fact.
    """
    value = hit.metadata.get(name)
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    return [str(one) for one in values]


def marks_of(hit: Hit) -> list[str]:
    """
    Say what a reader must know before trusting a hit.

    :param hit: the hit.
    :returns: that it was retracted, or that there is an expression of concern, each with what is known of the notice; or that it
        is such a notice.
    """
    marks = [(mark, "") for mark in dict.fromkeys(map(NOTICES.get, facts(hit, "publication_types"))) if mark]
    if hit.metadata.get("retracted") is True:
        marks.append(("RETRACTED", fact(hit, "retraction_notice")))
    if isinstance(concern := hit.metadata.get("expression_of_concern"), str):
        marks.append(("EXPRESSION OF CONCERN", concern))
    return [f"{mark} (notice: {notice})" if notice else mark for mark, notice in marks]
