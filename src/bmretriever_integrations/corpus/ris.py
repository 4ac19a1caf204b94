"""Read RIS, in which reference managers and databases export records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from io import BufferedReader

from rispy import RisParser

from bmretriever_integrations.corpus.markup import clean
from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.corpus.ris_facts import (
    OURS,
    Tags,
    date_of,
    doi_of,
    first,
    languages_of,
    texts,
    types_of,
    without_jats,
)
from bmretriever_integrations.corpus.tagged_lines import Block, read_blocks

NO_START = "damaged RIS: no line TY"
TAG = re.compile(r"([A-Za-z][A-Za-z0-9])  ?-(?: |$)")
START, END = re.compile(r"TY  ?-", re.IGNORECASE), re.compile(r"ER  ?-", re.IGNORECASE)
OF_A_RECORD = re.compile(r"(?:TI|T1|A1|AU|AB|N2|PY)  ?-", re.IGNORECASE)
"""Tags of a reference. Behind the end of one, they are of another, whose start is lost."""
USED = (
    *("ID", "DB", "DP", "AN", "TI", "T1", "CT", "BT", "AB", "N2", "AU", "A1", "T2"),
    *("JF", "JO", "JA", "J2", "PY", "Y1", "DA", "SP", "KW", "LA", "M3", "DO", "UR"),
    *("L2", "N1", "C1", "C2", "C3", "C5", "C6", "C7", "C8", "M1", "M2", "U1", "U2"),
    *("PM", "XR"),
)
PMID_STATED = re.compile(
    r"(?:PMID|PM|PUBMED(?: ID)?|MEDLINE)\s*[:\s]\s*([0-9]{1,9})\b(?:\D.*)?|([0-9]{1,9})\s?\[pmid\]", re.IGNORECASE
)
"""What is written in fields of notes and of further numbers. Within a longer note it may be the PMID of another paper."""
ADDRESS = re.compile(
    r"(?:pubmed\.ncbi\.nlm\.nih\.gov|ncbi\.nlm\.nih\.gov/pubmed)/([0-9]{1,9})\b"
    r"|[?&](?:D=(?:med|ppez|prem|pmnm)|db=(?:cmedm|mdc|mnh)\b)\S*?&AN=([0-9]{1,9})\b"
)
"""A page of PubMed, or of its copies at Ovid and EBSCO."""
COMMA = re.compile(r",(?=\S)")
NUMBER = re.compile(r"[0-9]{1,9}")
OF_PUBMED = re.compile(r"\b(?:NLM|PubMed|MEDLINE)\b", re.IGNORECASE)
PMCID = re.compile(r"PMC[0-9]{1,12}")
RETRACTED = re.compile(r"RETRACTED(?: \(notice: (.+)\))?")
CONCERN = re.compile(r"EXPRESSION OF CONCERN(?: \(notice: (.+)\))?")
"""Marks that ``bmretriever search --format ris`` writes."""
RETRACTED_TYPES = ("retracted publication", "retracted", "retracted article")
"""Types of NLM, Scopus and Embase."""


class _Ris(RisParser):  # type: ignore[misc]
    """Also reads tags in small letters and with one space."""

    def parse_line(self, line: str) -> tuple[str, str] | tuple[None, str]:
        """
        Divide a line.

        :param line: a line, without a tag if it continues the one before it.
        """
        found = TAG.match(line)
        return (None, line.strip()) if found is None else (found[1].upper(), line[found.end() :].strip())


PARSER = _Ris(
    mapping={tag: tag for tag in ("TY", *USED)}, list_tags=[*USED], delimiter_tags_mapping={}, skip_unknown_tags=True
)


def read_ris(stream: BufferedReader, name: str, report: CorpusReport) -> Iterator[Record]:
    """
    Read the references of one file. One without its end is read up to the next start.

    :param stream: the unpacked file, from its start.
    :param name: the name of the file, for the report.
    :param report: counts the references that are left out.
    :raises DamagedSource: if the file cannot be decoded.
    """
    for block in read_blocks(stream, _begins):
        whole = START.match(block.lines[0])
        if whole is None and not any(map(OF_A_RECORD.match, block.lines)):
            continue  # Ovid adds lines behind the end of a reference
        reason = block.fault or (NO_START if whole is None else None)
        record = None if reason else _record(_tags(block.lines))
        if record is not None:
            reason = fault(record)
        if record is None or reason is not None:
            report.skip(f"{name}:{block.number}", reason or NO_START)
        else:
            yield record


def _begins(line: str, block: Block | None) -> bool:
    """Tell whether a reference begins, or what is left of one whose start is lost."""
    rest = OF_A_RECORD.match(line) if block is None else END.match(block.lines[-1])
    return START.match(line) is not None or rest is not None


def _tags(lines: list[str]) -> Tags:
    (tags,) = PARSER.parse("\n".join(["TY  -", *lines[1:], "ER  -"]))[:1]
    return {
        tag: [text for one in values if (text := clean(without_jats(one)))]
        for tag, values in tags.items()
        if tag != "TY"
    }


def _record(tags: Tags) -> Record:
    title, types, notes = first(tags, "TI", "T1", "CT", "BT"), types_of(tags), texts(tags, "N1")
    date, doi, pmid = date_of(tags), doi_of(tags), _pmid(tags)
    retraction = next(filter(None, map(RETRACTED.fullmatch, notes)), None)
    concern = next(filter(None, map(CONCERN.fullmatch, notes)), None)
    stated = {text.lower() for text in (*types, *notes, *texts(tags, "KW"))}
    metadata = Metadata(
        date=date,
        journal=first(tags, "JF", "T2", "JO", "JA", "J2") or None,
        authors=tuple(COMMA.sub(", ", name) for name in tags.get("AU") or tags.get("A1") or ()),
        publication_types=types,
        keywords=tuple(dict.fromkeys(word.removeprefix("*") for word in texts(tags, "KW"))),
        languages=languages_of(tags),
        doi=doi,
        pmcid=next((found[0] for text in texts(tags, "C2", "PM", "AN") if (found := PMCID.fullmatch(text))), None),
        retracted=retraction is not None or not stated.isdisjoint(RETRACTED_TYPES),
        retraction_notice=None if retraction is None else retraction[1],
        expression_of_concern=None if concern is None else concern[1] or "",
        other={} if pmid is None else {"pmid": pmid},
    )
    text = " ".join(tags.get("AB") or tags.get("N2") or ())
    return Record(_id(tags, pmid, doi, title, date), title, "" if text == "NA" else text, metadata)


def _pmid(tags: Tags) -> str | None:
    """Find the PMID. A number without a word on where it comes from is none as far as is known."""
    number, databases = first(tags, "AN"), texts(tags, "DB", "DP")
    if NUMBER.fullmatch(number) and (OURS in databases or OF_PUBMED.search(" ".join(databases))):
        return number
    named = (PMID_STATED.fullmatch(text) for tag in tags if tag not in ("AB", "N2", "TI", "T1") for text in tags[tag])
    linked = (ADDRESS.search(text) for text in texts(tags, "UR", "L2"))
    numbered = (NUMBER.fullmatch(text) for text in texts(tags, "C5", "PM"))  # Embase and Web of Science
    found = next(filter(None, (*named, *linked, *numbered)), None)
    return None if found is None else next(filter(None, found.groups()), found[0])


def _id(tags: Tags, pmid: str | None, doi: str | None, title: str, date: str | None) -> str:
    """
    Give the PMID, else the number that the database gave the record, else the DOI, else a hash of what is said of the paper.

    ``ID`` counts in our own files only: in those of others it is a number within somebody's library, or a citation key. A mere
    number of another database must not pass for a PMID.
    """
    if OURS in texts(tags, "DB") and (own := first(tags, "ID")):
        return own
    number = first(tags, "AN")
    return pmid or ("" if NUMBER.fullmatch(number) else number) or doi or _hash(tags, title, date)


def _hash(tags: Tags, title: str, date: str | None) -> str:
    # many papers bear the title of their column in a journal: "Editorial"
    others = ((date or "")[:4], first(tags, "AU", "A1").split(",")[0], *re.findall("[0-9]+", first(tags, "SP"))[:1])
    words = re.findall(r"\w+", " ".join((title, *others)).casefold())
    return f"ris-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}" if title else ""
