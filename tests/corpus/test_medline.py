"""PubMed's tagged lines: the same record as the XML of the same citation gives, and one lost for one damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, Metadata, Record, read_corpus

STATM = Path("/proc/self/statm")
WHOLE = """
PMID- 123
OWN - NLM
STAT- MEDLINE
LR  - 20210304
DP  - 2020 Dec-2021 Jan
TI  - [A made-up trial of zinc
      in adults].
LID - S1 [pii]
LID - 10.1234/made.up [doi]
AB  - BACKGROUND: Zinc &amp; salt. METHODS: 10(6) cells,
      P<0.05.
{empty}
      CONCLUSIONS: None.
FAU - Muster, Ana B
AU  - Muster AB
AD  - Somewhere,
      PMID- not a tag here.
CN  - A Long Name of a Made-up Study
      Group
FAU - Beispiel, Bo Jr
AU  - Beispiel B Jr
LA  - ger
LA  - eng
PT  - Journal Article
PT  - Retracted Publication
DEP - 20201101
TT  - Zinkstudie.
TA  - J Ex
JT  - Journal of examples
RIN - J Ex. 2022;1(1):1. doi: 10.1/y. PMID:
      777
ECI - J Ex. 2021;1(1):1.
CIN - J Ex. 2021;9(9):9. PMID: 888
MH  - *Zinc
MH  - Neoplasms/drug
      therapy/*genetics
MH  - Humans
PMC - PMC99
OT  - *zinc
OT  - salt
AID - 10.1234/other [doi]
SO  - J Ex. 2020 Dec;1(1):1.
"""
RECORD = Record(
    "123",
    "[A made-up trial of zinc in adults].",
    "BACKGROUND: Zinc & salt. METHODS: 10(6) cells, P<0.05. CONCLUSIONS: None.",
    Metadata(
        date="2020-12",
        journal="Journal of examples",
        authors=("Muster, Ana B", "A Long Name of a Made-up Study Group", "Beispiel, Bo Jr"),
        publication_types=("Journal Article", "Retracted Publication"),
        mesh=("Zinc", "Neoplasms", "Humans"),
        mesh_major=("Zinc", "Neoplasms"),
        keywords=("zinc", "salt"),
        languages=("ger", "eng"),
        doi="10.1234/made.up",
        pmcid="PMC99",
        revised="2021-03-04",
        retracted=True,
        retraction_notice="777",
        expression_of_concern="J Ex. 2021;1(1):1.",
    ),
)


def read(folder: Path, text: str | bytes, name: str = "a.nbib") -> tuple[list[Record], CorpusReport]:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    report = CorpusReport()
    return list(read_corpus([folder / name], report)), report


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_record_with_every_fact(tmp_path: Path, end: str, encoding: str) -> None:
    records, report = read(tmp_path, WHOLE.replace("{empty}", " " * 6).replace("\n", end).encode(encoding))
    assert records == [RECORD]
    assert report.skipped.total() == 0


@pytest.mark.parametrize(
    ("lines", "title", "text", "facts"),
    [
        ("TI  - [Not Available].\nTT  - Zinkstudie.", "Zinkstudie.", "", {}),
        ("BTI - A book\nDP  - 1993", "A book", "", {"journal": "A book", "date": "1993"}),
        (
            "CTDT- 20090630\nDP  - 1993\nTI  - Chapter.\nBTI - A book",
            "Chapter.",
            "",
            {"journal": "A book", "date": "2009-06-30"},
        ),
        ("TI  - T\nDEP - 201003", "T", "", {"date": "2010-03"}),
        ("TI  - T\nDP  - 2000 Spring\nTA  - J Ex", "T", "", {"date": "2000", "journal": "J Ex"}),
        ("TI  - T\nAB  - \nOAB - PIP: Other.\nOABL- eng", "T", "Other.", {}),
        ("TI  - T\nOAB - Publisher: Otro.\nOABL- spa", "T", "", {}),
        ("TI  - T\nOAB - Publisher: Abstract available from the publisher.", "T", "", {}),
        ("TI  - T\nAU  - Muster A\nAU  - Beispiel B", "T", "", {"authors": ("Muster A", "Beispiel B")}),
        ("TI  - T\nFED - Muster, Ed\nED  - Muster E", "T", "", {}),
        ("TI  - T\nRRI - J Ex. PMID: 5", "T", "", {"retracted": True, "retraction_notice": "5"}),
        ("TI  - T\nPRIN- J Ex. PMID: 5\nROF - J Ex. PMID: 6", "T", "", {}),
        ("TI  - T\nECI - J Ex. PMID: 5", "T", "", {"expression_of_concern": "5"}),
        ("TY  - JOUR\nER  - \nTI  - T", "T", "", {}),
        ("TI  - T\nLID - https://x.org/10.1234/no [pii]\nAID - 10.1/no [pii]", "T", "", {}),
    ],
)
def test_what_a_record_may_state_otherwise(tmp_path: Path, lines: str, title: str, text: str, facts: dict) -> None:
    records, _ = read(tmp_path, f"PMID- 1\n{lines}\n")
    assert records == [Record("1", title, text, Metadata(**facts))]


def test_records_are_told_apart_however_they_are_separated(tmp_path: Path) -> None:
    text = (
        "\n1: \nPMID- 1\nTI  - One.\n\n\n2: \nPMID- 2\nTI  - Two.\nPMID- 3\nTI  - Three.\n\n"
        "PMC - PMC4\nPMID- 4\nTI  - Four.\n\nPMC - PMC5\nTI  - Five.\n"
    )
    records, report = read(tmp_path, text, "pubmed-set.txt")
    assert [(record.id, record.title) for record in records] == [
        ("1", "One."),
        ("2", "Two."),
        ("3", "Three."),
        ("4", "Four."),
        ("PMC5", "Five."),
    ]
    assert records[3].metadata.pmcid == "PMC4"
    assert report.skipped.total() == 0


def test_a_damaged_record_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    damaged = [
        b"PMID- 2\nTI  - Zinc \xff and \xc3\xa9.\n\n",
        b"PMID- 3\nTI  - One.\nDP  - 2020\nTI  - Another.\n\n",
        b"PMID- 4\nAB  - " + b"x" * 10_000_001 + b"\n\n",
        b"PMID- 5\nOWN - NLM\n\n",
        b"OWN - NLM\nTI  - No number.\n\n",
    ]
    text = b"PMID- 1\nTI  - One.\n\n" + b"".join(damaged) + b"PMID- 6\nTI  - Caf\xe9.\n"
    records, report = read(tmp_path, text)
    assert [(record.id, record.title) for record in records] == [("1", "One."), ("6", "Café.")]
    assert report.examples == [
        "a.nbib: PMID 2: not UTF-8",
        "a.nbib: PMID 3: damaged lines: two records in one, or none",
        "a.nbib: PMID 4: larger than 10 MB",
        "a.nbib: PMID 5: neither title nor text",
        "a.nbib: the record in line 18: no id",
    ]


@pytest.mark.skipif(not STATM.exists(), reason="reads the process's memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    source = tmp_path / "a.nbib"
    source.write_text("".join(f"PMID- {i}\nTI  - T\nAB  - {'word ' * 2_000}\n\n" for i in range(2_001)))
    resident = [int(STATM.read_text().split()[1]) for i, _ in enumerate(read_corpus([source])) if i in (200, 2_000)]
    assert (resident[1] - resident[0]) * os.sysconf("SC_PAGE_SIZE") < 8e6  # bytes; the text between has 18 MB
