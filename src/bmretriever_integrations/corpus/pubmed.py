"""Read PubMed XML, with one citation in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedIOBase
from typing import Any

from bmretriever_integrations.corpus.citation_stream import DAMAGED, CitationStream
from bmretriever_integrations.corpus.markup import clean, plain_text
from bmretriever_integrations.corpus.pubmed_metadata import child, metadata_of, revised
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.corpus.xml_pieces import parsed

DELETED = "DeleteCitation"


def read_citations(
    stream: BufferedIOBase, name: str, report: CorpusReport, limit: int | None = None
) -> Iterator[Record]:
    """
    Read the citations of one file, each by itself: what is wrong with one does not reach the next.

    A title that was not translated ("[Not Available].") is the vernacular one, and a missing abstract is the English one of
    another provider, if there is one. The parts of a structured abstract keep their labels, as ``LABEL: text``, and are joined
    by one space. Markup inside titles and abstracts is removed; the text inside it is kept (:func:`~.markup.plain_text`).

    :param stream: the file's content from its start.
    :param name: the name of the file, for the report.
    :param report: counts the records that are left out, and gets the withdrawn PMIDs at the end or at the damage.
    :param limit: most records that are returned; the rest of the file is only searched for withdrawn PMIDs.
    :raises DamagedSource: if the file is cut short.
    """
    withdrawn, latest, returned = set[str](), "", 0
    try:
        for piece in CitationStream(stream):
            element = None if piece.fault is not None else parsed(piece, _is_one)
            if element is None:
                where = f"PMID {piece.pmid}" if piece.pmid else f"the citation after record {report.records}"
                report.skip(f"{name}: {where}", piece.fault or DAMAGED)
            elif element.tag == DELETED:
                withdrawn.update(filter(None, map(plain_text, element.iter("PMID"))))
            else:
                citation = next(element.iterchildren("MedlineCitation", "BookDocument"), None)
                latest = max(latest, revised(citation) or "")
                if limit is None or returned < limit:
                    record = _record(element, citation, name, report)
                    if record is not None:
                        returned += 1
                        yield record
    finally:
        report.withdraw(withdrawn, latest)


def _is_one(element: Any) -> bool:
    """Tell that this is not what remains of two citations where the bytes between them are lost."""
    citation = child(element, "MedlineCitation")
    article = child(citation, "Article")
    once = ((element, "MedlineCitation"), (citation, "PMID"), (citation, "Article"), (article, "ArticleTitle"))
    if any(parent is not None and len(list(parent.iterchildren(name))) > 1 for parent, name in once):
        return False
    first, listed = plain_text(child(citation, "PMID")), child(child(element, "PubmedData"), "ArticleIdList")
    ids = () if listed is None else listed.iterchildren("ArticleId")
    return not first or all(plain_text(one) in ("", first) for one in ids if one.get("IdType") == "pubmed")


def _record(element: Any, citation: Any, name: str, report: CorpusReport) -> Record | None:
    pmid = plain_text(child(citation, "PMID"))
    if not pmid:
        report.skip(f"{name}: the citation after record {report.records}", "no PMID")
        return None
    article = child(citation, "Article")
    if article is None:
        article = citation
    data = next(element.iterchildren("PubmedData", "PubmedBookData"), None)
    record = Record(pmid, _title(article), _abstract(article, citation), metadata_of(citation, data))
    reason = fault(record)
    if reason is not None:
        report.skip(f"{name}: PMID {pmid}", reason)
        return None
    return record


def _title(article: Any) -> str:
    title = plain_text(child(article, "ArticleTitle")) or plain_text(child(child(article, "Book"), "BookTitle"))
    if title.strip("[]. ").lower() in ("", "not available"):  # NLM writes this where a title was not translated
        return plain_text(child(article, "VernacularTitle"))
    return title


def _abstract(article: Any, citation: Any) -> str:
    """Give the abstract, or else the first English one of another provider."""
    others = (other for other in citation.iterchildren("OtherAbstract") if other.get("Language", "eng") == "eng")
    for abstract in (*article.iterchildren("Abstract"), *others):
        text = " ".join(part for part in map(_labelled, abstract.iterchildren("AbstractText")) if part)
        if text:
            return text
    return ""


def _labelled(part: Any) -> str:
    label, text = clean(part.get("Label", "")), plain_text(part)
    if not label or label == "UNLABELLED":  # NLM writes this for a part without a heading
        return text
    return f"{label}: {text}" if text else label  # some labels, e.g. "LEVEL OF EVIDENCE: 4", have no text
