"""Read full texts in JATS: files of articles, and packages of such files."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from io import BufferedIOBase, BytesIO
from typing import Any

from bmretriever_integrations.corpus.citation_stream import DAMAGED
from bmretriever_integrations.corpus.jats.article_stream import ArticleStream, named, parsed
from bmretriever_integrations.corpus.jats.facts import metadata_of
from bmretriever_integrations.corpus.jats.identity import title_of
from bmretriever_integrations.corpus.jats.package import members
from bmretriever_integrations.corpus.jats.sections import Section, sections_of
from bmretriever_integrations.corpus.pubmed_metadata import child
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record, Splitter

NO_ARTICLE = "no full text in JATS"


def read_articles(
    stream: BufferedIOBase, name: str, report: CorpusReport, splitter: Splitter | None, changed: str | None = None
) -> Iterator[Record]:
    """
    Read the articles of one file, each by itself: what is wrong with one does not reach the next.

    The records of an article follow each other. Their ids are ``ARTICLE#section/number``: the article's PMCID, else its PMID,
    else its DOI; the key of a section (:mod:`.sections`); and the number of the passage in the section, from 1.

    :param stream: the file's content from its start.
    :param name: the name of the file, for the report.
    :param report: counts the articles that are left out.
    :param splitter: cuts the text of a section into passages; None leaves sections whole.
    :param changed: the date of the file, where it is known.
    :raises DamagedSource: if the file is cut short.
    """
    piece = None
    for piece in ArticleStream(stream):
        reason: str | None = piece.fault
        if reason is None:
            article = parsed(piece)
            reason = DAMAGED if article is None else (yield from _records(article, splitter, changed))
        if reason is not None:
            report.skip(f"{name}: {named(piece.content)}", reason)
    if piece is None:
        report.skip(name, NO_ARTICLE)


def read_package(
    stream: BufferedIOBase, name: str, report: CorpusReport, splitter: Splitter | None
) -> Iterator[Record]:
    """
    Read the articles of a package (``.tar.gz``) as a stream: nothing is unpacked to the disk.

    :param stream: the unpacked archive from its start.
    :param name: the name of the package, for the report.
    :param report: counts the articles that are left out, each named by its file in the package.
    :param splitter: see :func:`read_articles`.
    :raises DamagedSource: if the package is damaged or cut short; what stands before that was returned.
    """
    member = None
    for member in members(stream):
        where = f"{name}: {member.name}"
        if member.fault is not None:
            report.skip(where, member.fault)
            continue
        try:
            yield from read_articles(BytesIO(member.content), where, report, splitter, member.changed)
        except DamagedSource as error:
            report.skip(f"{where}: {error}", DAMAGED)
    if member is None:
        report.skip(name, NO_ARTICLE)


def _records(article: Any, splitter: Splitter | None, changed: str | None) -> Generator[Record, None, str | None]:
    """Give the records of an article, and return the reason if there are none."""
    meta = child(child(article, "front"), "article-meta")
    if meta is None:
        return "no article-meta"
    title = title_of(meta)
    facts = metadata_of(article, meta, title, changed)
    key = facts.pmcid or facts.other.get("pmid") or facts.doi
    if not key:
        return "no PMCID, PMID or DOI"
    sections, first = sections_of(article, meta), True
    for section in sections:
        place = {"section": " > ".join(section.path), "headings": list(section.path)}
        metadata = replace(facts, other={**facts.other, **place})
        named_title, passages = (title, [_led(section)]) if splitter is None else _cut(section, title, splitter)
        for number, passage in enumerate(passages, 1):
            yield Record(f"{key}#{section.key}/{number}", named_title, passage, metadata, article=key, first=first)
            first = False
    if not sections and title:
        yield Record(f"{key}#title/1", title, "", facts, article=key, first=True)
    return None if sections or title else "neither title nor text"


def _led(section: Section) -> str:
    return f"{section.heading}: {section.text}" if section.heading else section.text


def _cut(section: Section, title: str, splitter: Splitter) -> tuple[str, list[str]]:
    """Cut a section into passages, each behind its heading. A title that leaves too little room is shortened."""
    lead = f"{section.heading}: " if section.heading else ""
    try:
        return title, [f"{lead}{passage}" for passage in splitter.split(section.text, f"{title} {lead}".strip())]
    except ValueError:
        short = splitter.shortened_title(title)
        return short, splitter.split(section.text, short)
