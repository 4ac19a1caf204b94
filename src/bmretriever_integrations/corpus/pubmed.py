"""Read PubMed XML, with one citation in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

from lxml import etree

from bmretriever_integrations.corpus.citation_stream import CitationStream
from bmretriever_integrations.corpus.markup import clean, plain_text
from bmretriever_integrations.corpus.records import TOO_LARGE, CorpusReport, DamagedSource, Record, fault

ROOTS = ("PubmedArticleSet", "PubmedBookArticleSet")
CITATIONS = ("PubmedArticle", "PubmedBookArticle")
DELETED = "DeleteCitation"
# The file may come from an unknown source: nothing outside it is fetched, and no entity is expanded.
SAFE = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True, "remove_pis": True}


def check_root(stream: IO[bytes], name: str) -> None:
    """
    Check that a file is PubMed XML, before any citation is read.

    :param stream: the file's content from its start.
    :param name: the name of the file, for the message.
    :raises DamagedSource: if the file is not XML or has another root element.
    """
    try:
        _event, root = next(etree.iterparse(stream, events=("start",), **SAFE))
    except (etree.XMLSyntaxError, StopIteration) as error:
        raise DamagedSource(f"{name} is no XML: {error}") from error
    if root.tag not in ROOTS:
        raise DamagedSource(
            f"{name} is no PubMed XML: its root is <{root.tag}>, not {' or '.join(f'<{r}>' for r in ROOTS)}"
        )


def read_citations(stream: IO[bytes], name: str, report: CorpusReport, limit: int | None = None) -> Iterator[Record]:
    """
    Read the citations of one file.

    A title that was not translated ("[Not Available].") is the vernacular one, and a missing abstract is the English one of
    another provider, if there is one. The parts of a structured abstract keep their labels, as ``LABEL: text``, and are joined
    by one space. Markup inside titles and abstracts is removed; the text inside it is kept (:func:`~.markup.plain_text`).

    :param stream: the file's content from its start.
    :param name: the name of the file, for the report.
    :param report: counts the records that are left out, and gets the withdrawn PMIDs at the end or at the damage.
    :param limit: most records that are returned; the rest of the file is only searched for withdrawn PMIDs.
    :raises DamagedSource: if the XML is cut short or not well-formed.
    """

    def skip(pmid: str) -> None:
        report.skip(
            f"{name}: PMID {pmid}" if pmid else f"{name}: the citation after record {report.records}", TOO_LARGE
        )

    whole = CitationStream(stream, skip)
    withdrawn, revised, returned = set[str](), "", 0
    try:
        for _event, element in etree.iterparse(whole, tag=(*CITATIONS, DELETED), **SAFE):
            if element.tag == DELETED:
                withdrawn.update((pmid.text or "").strip() for pmid in element.iter("PMID"))
            else:
                revised = max(revised, _revised(element))
                record = _record(element, name, report) if limit is None or returned < limit else None
                if record is not None:
                    returned += 1
                    yield record
            element.clear()
            while element.getprevious() is not None:  # else the root would keep all emptied elements in memory
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise DamagedSource(str(error)) from error
    finally:
        report.withdraw(withdrawn, revised)


def _revised(element: Any) -> str:
    day = element.find("*/DateRevised")
    return "" if day is None else "-".join((day.findtext(part) or "").strip() for part in ("Year", "Month", "Day"))


def _record(element: Any, name: str, report: CorpusReport) -> Record | None:
    citation = element.find("MedlineCitation")
    if citation is None:
        citation = element.find("BookDocument")
    pmid = "" if citation is None else plain_text(citation.find("PMID"))
    if not pmid:
        report.skip(f"{name}: the citation after record {report.records}", "no PMID")
        return None
    article = citation.find("Article")
    if article is None:
        article = citation
    record = Record(pmid, _title(article), _abstract(article, citation))
    reason = fault(record)
    if reason is not None:
        report.skip(f"{name}: PMID {pmid}", reason)
        return None
    return record


def _title(article: Any) -> str:
    title = plain_text(article.find("ArticleTitle")) or plain_text(article.find("Book/BookTitle"))
    if title.strip("[]. ").lower() in ("", "not available"):  # NLM writes this where a title was not translated
        return plain_text(article.find("VernacularTitle"))
    return title


def _abstract(article: Any, citation: Any) -> str:
    """Give the abstract, or else the first English one of another provider."""
    others = (other for other in citation.iterfind("OtherAbstract") if other.get("Language", "eng") == "eng")
    for abstract in (*article.iterfind("Abstract"), *others):
        text = " ".join(part for part in map(_labelled, abstract.iterfind("AbstractText")) if part)
        if text:
            return text
    return ""


def _labelled(part: Any) -> str:
    label, text = clean(part.get("Label", "")), plain_text(part)
    if not label or label == "UNLABELLED":  # NLM writes this for a part without a heading
        return text
    return f"{label}: {text}" if text else label  # some labels, e.g. "LEVEL OF EVIDENCE: 4", have no text
