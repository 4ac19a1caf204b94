"""The forms of files that are read: how each is recognised, and which reader it gets."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path

from bmretriever_integrations.corpus.json_lines import unpacked
from bmretriever_integrations.corpus.records import CorpusReport, DamagedSource, Record, Splitter
from bmretriever_integrations.corpus.refusals import advice_by_content

Reader = Callable[[BufferedReader, str, CorpusReport, int | None, Splitter | None], Iterator[Record]]
"""Gets the unpacked file from its start, its name for the report, the report, the most records that are wanted, and what cuts
long texts. It leaves damaged records out, counts and names them, and raises DamagedSource where it cannot go on."""
BEGINNING = 1 << 16
"""Most bytes of a file by which its form is recognised."""


@dataclass(frozen=True)
class Form:
    """One form of files."""

    name: str
    endings: tuple[str, ...]
    """Endings of its files' names. Each may be followed by ``.gz``."""
    read: Reader
    states_revisions: bool
    """Whether its records say when they were revised. Of the others, the one that is read last counts."""
    roots: tuple[str, ...] = ()
    """Names of the root element, without a namespace, if it is XML."""
    holds: re.Pattern[str] | None = None
    """What is found in the beginning of such a file, if other forms have its endings, too, and it is no XML."""


def _pubmed(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, _splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.pubmed import read_citations

    return read_citations(stream, name, report, limit)


def _europe_pmc(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, _splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.europe_pmc import read_europe_pmc

    return islice(read_europe_pmc(stream, name, report), limit)


def _json_lines(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, _splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.json_records import read_lines

    return islice(read_lines(stream, name, report), limit)


def _medline(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, _splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.medline import read_medline

    return islice(read_medline(stream, name, report), limit)


def _ris(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, _splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.ris import read_ris

    return islice(read_ris(stream, name, report), limit)


def _jats(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.jats.reader import read_articles

    return islice(read_articles(stream, name, report, splitter), limit)


def _jats_package(
    stream: BufferedReader, name: str, report: CorpusReport, limit: int | None, splitter: Splitter | None
) -> Iterator[Record]:
    from bmretriever_integrations.corpus.jats.reader import read_package

    return islice(read_package(stream, name, report, splitter), limit)


TAGGED = (".nbib", ".ris", ".txt")
FORMS = (
    Form("PubMed XML", (".xml",), _pubmed, True, roots=("PubmedArticleSet", "PubmedBookArticleSet")),
    Form("Europe PMC XML", (".xml",), _europe_pmc, True, roots=("responseWrapper",)),
    Form("JATS", (".xml", ".nxml"), _jats, False, roots=("article", "pmc-articleset", "articles", "OAI-PMH")),
    Form("package of JATS", (".tar", ".tgz"), _jats_package, False),
    Form("JSON lines", (".jsonl",), _json_lines, False),
    Form("PubMed's tagged lines", TAGGED, _medline, True, holds=re.compile(r"^(?:PMID|PMC )- *[0-9P]", re.MULTILINE)),
    Form("RIS", TAGGED, _ris, False, holds=re.compile(r"^TY  ?- *\w", re.MULTILINE | re.IGNORECASE)),
)
"""All forms. Of those with the same ending, the content decides."""


def forms_by_ending(path: Path) -> list[Form]:
    """
    Find the forms that a file may have by its name.

    :param path: the file.
    :returns: the forms; empty if none has this ending.
    """
    name = path.name.lower().removesuffix(".gz")
    return [form for form in FORMS if name.endswith(form.endings)]


def form_of(path: Path) -> Form:
    """
    Find the form of a file by its name, and where that leaves a choice by its content.

    :param path: a file with the ending of a form.
    :returns: the form.
    :raises DamagedSource: if the file is empty, or has none of the forms that its ending promises.
    :raises OSError: if it cannot be read. Reading a damaged ``.gz`` file raises EOFError or zlib.error, too.
    """
    forms = forms_by_ending(path)
    with path.open("rb") as raw:
        beginning = unpacked(path, raw).read1(BEGINNING)  # once: a damage further on must not show here
        if not beginning:
            raise DamagedSource(f"{path} is empty")
        text = _decoded(beginning)
        by_root = {root: form for form in forms for root in form.roots}
        if by_root:
            from bmretriever_integrations.corpus.xml_root import root_of

            raw.seek(0)
            root = root_of(unpacked(path, raw), path, text)
            if root not in by_root:
                known = " or ".join(f"<{one}>" for one in by_root)
                raise DamagedSource(f"{path}: its root is <{root}>, not {known}; {advice_by_content(text, root)}")
            return by_root[root]
    found = next((form for form in forms if form.holds is None or form.holds.search(text)), None)
    if found is None:
        names = " or ".join(form.name for form in forms)
        raise DamagedSource(f"{path} holds nothing of the form {names}; {advice_by_content(text)}")
    return found


def states_revisions(path: Path) -> bool:
    """
    Tell whether the records of a source say when they were revised.

    :param path: a source with the ending of a form. One that is damaged has the form that its ending promises first.
    """
    forms = forms_by_ending(path)
    if len({form.states_revisions for form in forms}) > 1:
        try:
            return form_of(path).states_revisions
        except (EOFError, OSError, ValueError):
            pass
    return forms[0].states_revisions


def _decoded(beginning: bytes) -> str:
    wide = beginning.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return beginning.decode("utf-16" if wide else "utf-8-sig", "replace").replace("\r", "\n")
