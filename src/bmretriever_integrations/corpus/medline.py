"""Read the tagged lines in which PubMed saves records: ``.nbib`` files and the format "PubMed"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader

from rispy import RisParser

from bmretriever_integrations.corpus.dates import first_date, iso_date
from bmretriever_integrations.corpus.markup import clean
from bmretriever_integrations.corpus.metadata import DOI, PMCID, Metadata
from bmretriever_integrations.corpus.pubmed_metadata import RETRACTED
from bmretriever_integrations.corpus.records import CorpusReport, Record, fault
from bmretriever_integrations.corpus.tagged_lines import Block, read_blocks

DAMAGED = "damaged lines: two records in one, or none"
TAG = re.compile(r"(?:[A-Z]{4}|[A-Z]{3} |[A-Z]{2}  )-(?: |$)")
NUMBER = re.compile(r"\d{1,6}[:.]?\s*")
"""E-utilities once wrote this line before each record."""
PMID = re.compile(r"PMID: ?([0-9]{1,9})")
OTHER_ABSTRACT = re.compile(r"(?:AAMC|AIDS|KIE|PIP|NASA|Publisher|plain-language-summary): ?")
"""Says who wrote an abstract that is not the journal's."""
NO_ABSTRACT = "Abstract available from the publisher."
USED = (
    *("PMID", "PMC", "TI", "TT", "BTI", "AB", "OAB", "OABL", "DP", "DEP", "CTDT", "JT", "TA"),
    *("AU", "PT", "MH", "OT", "LA", "LID", "AID", "LR", "RIN", "RRI", "ECI"),
)
AUTHORS = {"FAU": "authors", "CN": "authors"}
"""One list for people and groups, because their order counts."""


class _Lines(RisParser):  # type: ignore[misc]
    """Reads tags of four characters."""

    def parse_line(self, line: str) -> tuple[str, str] | tuple[None, str]:
        """
        Divide a line.

        :param line: a tag with its whole value.
        """
        return line[:4].rstrip(), line[5:].strip()


PARSER = _Lines(
    mapping={tag: tag for tag in ("TY", *USED)} | AUTHORS,
    list_tags=[*USED, *AUTHORS],
    delimiter_tags_mapping={},
    skip_unknown_tags=True,
)


def read_medline(stream: BufferedReader, name: str, report: CorpusReport) -> Iterator[Record]:
    """
    Read the records of one file, as the reader of PubMed's XML reads the same citations, as far as the lines state them.

    :param stream: the unpacked file, from its start.
    :param name: the name of the file, for the report.
    :param report: counts the records that are left out.
    :raises DamagedSource: if the file cannot be decoded.
    """
    for block in read_blocks(stream, _begins):
        tags = tags_of(block.lines)
        place = f"PMID {pmid}" if (pmid := _number(tags)) else f"the record in line {block.number}"
        record = None if block.fault else _record(tags)
        reason = block.fault or (DAMAGED if record is None else fault(record))
        if record is None or reason is not None:
            report.skip(f"{name}: {place}", reason or DAMAGED)
        else:
            yield record


def _begins(line: str, block: Block | None) -> bool:
    """Tell whether a record begins: with any tag behind an empty line, or with a second PMID."""
    if not TAG.match(line):
        return False
    if block is None or block.lines[-1:] == [""]:  # spaces are a paragraph within a value
        return True
    return line.startswith("PMID-") and any(other.startswith("PMID-") for other in block.lines)


def tags_of(lines: list[str]) -> dict[str, list[str]]:
    """
    Read the values of one record.

    :param lines: its lines. One without a tag continues the value before it.
    :returns: the values of each tag. People and groups are together under ``authors``.
    """
    whole: list[str] = []
    empty = False
    for line in lines:
        if TAG.match(line):
            whole.append(line.strip())
        elif whole and not (empty and NUMBER.fullmatch(line)):
            whole[-1] = f"{whole[-1]} {line.strip()}".rstrip()
        empty = not line
    whole = [line for line in whole if not line.startswith(("TY  -", "ER  -"))]  # the parser's own marks of a record
    (tags,) = PARSER.parse("\n".join(["TY  -", *whole, "ER  -"]))
    return {tag: [one for one in values if one] for tag, values in tags.items() if tag != "TY"}


def _record(tags: dict[str, list[str]]) -> Record | None:
    if any(len(tags.get(once, ())) > 1 for once in ("PMID", "TI", "BTI", "DP")):
        return None
    pmcid = next((f"PMC{found[1]}" for text in tags.get("PMC", ()) if (found := PMCID.fullmatch(text))), None)
    title = _first(tags, "TI", "BTI")
    if title.strip("[]. ").lower() in ("", "not available"):
        title = _first(tags, "TT")
    types = _texts(tags, "PT")
    mesh, major = _mesh(tags)
    retraction, concern = (tags.get("RIN", []) + tags.get("RRI", [])), tags.get("ECI")
    metadata = Metadata(
        date=_date(tags),
        journal=_first(tags, "BTI", "JT", "TA") or None,
        authors=tuple(filter(None, map(clean, tags.get("authors") or tags.get("AU") or ()))),
        publication_types=types,
        mesh=mesh,
        mesh_major=major,
        keywords=tuple(dict.fromkeys(word.removeprefix("*") for word in _texts(tags, "OT"))),
        languages=_texts(tags, "LA"),
        doi=next((found[0] for tag in ("LID", "AID") for text in tags.get(tag, ()) if (found := _doi(text))), None),
        pmcid=pmcid,
        revised=_compact(_first(tags, "LR")),
        retracted=bool(retraction) or RETRACTED in types,
        retraction_notice=next((found[1] for text in retraction if (found := PMID.search(text))), None),
        expression_of_concern=_concern(concern) if concern else None,
    )
    return Record(_number(tags) or pmcid or "", title, _abstract(tags), metadata)


def _number(tags: dict[str, list[str]]) -> str:
    found = re.match(r"[0-9]{1,9}\b", _first(tags, "PMID"))
    return found[0] if found else ""


def _first(tags: dict[str, list[str]], *names: str) -> str:
    """Give the first value of the first of these tags that has one."""
    return next((text for name in names for value in tags.get(name, ()) if (text := clean(value))), "")


def _texts(tags: dict[str, list[str]], name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(clean, tags.get(name, ())))))


def _abstract(tags: dict[str, list[str]]) -> str:
    """Give the abstract, or else the first English one of another provider."""
    languages = [*tags.get("OABL", ()), *["eng"] * len(tags.get("OAB", ()))]
    others = [text for text, language in zip(tags.get("OAB", ()), languages, strict=False) if language == "eng"]
    texts = (*tags.get("AB", ()), *(OTHER_ABSTRACT.sub("", other, count=1) for other in others))
    return next((text for one in texts if (text := clean(one)) and text != NO_ABSTRACT), "")


def _date(tags: dict[str, list[str]]) -> str | None:
    own = _compact(_first(tags, "CTDT")) if "BTI" in tags else None
    return own or first_date(_first(tags, "DP")) or _compact(_first(tags, "DEP"))


def _compact(text: str) -> str | None:
    found = re.match(r"([0-9]{4})/?([0-9]{2})?/?([0-9]{2})?", text)
    return None if found is None else iso_date(found[1], found[2] or "", found[3] or "")


def _doi(text: str) -> re.Match[str] | None:
    return DOI.match(text) if text.endswith("[doi]") else None


def _mesh(tags: dict[str, list[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give all descriptors, and those that have a star, or one of whose qualifiers has one."""
    names: dict[str, bool] = {}
    for heading in _texts(tags, "MH"):
        name = heading.split("/")[0].removeprefix("*")
        names[name] = names.get(name, False) or "*" in heading
    return tuple(names), tuple(name for name, major in names.items() if major)


def _concern(texts: list[str]) -> str:
    found = PMID.search(texts[0])
    return found[1] if found else clean(texts[0])
