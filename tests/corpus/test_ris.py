"""RIS as different exporters write it: the same facts, an id that stays, and one reference lost for one damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, Metadata, Record, read_corpus
from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.ris import as_ris
from bmretriever_integrations.index import Hit, Hits

ZOTERO = """TY  - JOUR
TI  - A made-up trial
AU  - Muster, Ana
AU  - Beispiel, Bo
T2  - Journal of examples
AB  - Zinc helps.
DA  - 2019/10//undefined
PY  - 2019
DO  - 10.1234/zinc
J2  - J Ex
LA  - en-US
KW  - *Zinc/therapeutic use
KW  - Humans
N1  - PMID: 123
ER  -
"""
ENDNOTE = """
TY  - JOUR
AB  - Zinc helps.
AN  - 123
AU  - Muster, A.
AU  - Muster, A.
DA  - Mar 1
DO  - https://doi.org/10.1234/zinc
DP  - NLM
KW  - *Zinc/therapeutic use
Humans
N1  - 1234-5678
Journal Article
Retracted Publication
Comment in: J Ex. 2020;2(2):2. PMID: 999
PY  - 2019
T2  - J Ex
TI  - A made-up
trial
ID  - 62
ER  -
"""
EMBASE = """TY  - JOUR
M3  - Article
Y1  - 2019
JF  - Journal of examples
JO  - J. Ex.
U2  - L12345
C5  - 123
DB  - Embase
DB  - Medline
DO  - 10.1234/zinc
A1  - Muster A.
T1  - A made-up trial
LA  - English
N2  - Zinc helps.
ER  -
"""
OVID = """1.
ty  - JOUR
id  - 2019-12345-001
an  - 2019-12345-001
t1  - A made-up trial
a1  - Muster, Ana
y1  - 2019//
n2  - Zinc helps.
m3  - Health & Prevention [3300]
jf  - Journal of examples
do  - http://dx.doi.org/10.1234/zinc
er  -
NL  - J Ex

Link to the full text: https://example.org/?id=pmid:&doi=10.1234
"""


def read(folder: Path, text: str | bytes) -> tuple[list[Record], CorpusReport]:
    (folder / "a.ris").write_bytes(text if isinstance(text, bytes) else text.encode())
    report = CorpusReport()
    return list(read_corpus([folder / "a.ris"], report)), report


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("text", "key", "facts"),
    [
        (
            ZOTERO,
            "123",
            {
                "date": "2019-10",
                "journal": "Journal of examples",
                "authors": ("Muster, Ana", "Beispiel, Bo"),
                "keywords": ("Zinc/therapeutic use", "Humans"),
                "languages": ("eng",),
            },
        ),
        (
            ENDNOTE,
            "123",
            {
                "date": "2019-03-01",
                "journal": "J Ex",
                "authors": ("Muster, A.", "Muster, A."),
                "keywords": ("Zinc/therapeutic use", "Humans"),
                "retracted": True,
            },
        ),
        (
            EMBASE,
            "123",
            {
                "date": "2019",
                "journal": "Journal of examples",
                "authors": ("Muster A.",),
                "publication_types": ("Article",),
                "languages": ("eng",),
            },
        ),
        (OVID, "2019-12345-001", {"date": "2019", "journal": "Journal of examples", "authors": ("Muster, Ana",)}),
    ],
    ids=["Zotero", "EndNote", "Embase", "Ovid"],
)
def test_what_each_exporter_writes(tmp_path: Path, text: str, end: str, key: str, facts: dict) -> None:
    records, report = read(tmp_path, (text + text).replace("\n", end))
    metadata = Metadata(doi="10.1234/zinc", **facts, other={"pmid": key} if key == "123" else {})
    assert records == [Record(key, "A made-up trial", "Zinc helps.", metadata)] * 2
    assert report.skipped.total() == 0


@pytest.mark.parametrize(
    ("lines", "key"),
    [
        ("UR  - https://pubmed.ncbi.nlm.nih.gov/123/\nAN  - rayyan-5", "123"),
        ("L2  - http://www.ncbi.nlm.nih.gov/pubmed/123", "123"),
        ("C3  - PUBMED 123,EMBASE 456\nAN  - CN-01", "123"),
        ("U1  - 123[pmid]\nAN  - PMC77", "123"),
        ("L2  - http://ovidsp.ovid.com/ovidweb.cgi?T=JS&PAGE=reference&D=medp&NEWS=N&AN=123\nID  - 123", "123"),
        ("UR  - https://search.ebscohost.com/login.aspx?direct=true&db=mdc&AN=123&site=ehost-live", "123"),
        ("L2  - http://ovidsp.ovid.com/ovidweb.cgi?D=emed20&NEWS=N&AN=2001\nDO  - 10.1/x", "10.1/x"),
        ("AN  - PMC77", "PMC77"),
        ("DB  - Ovid MEDLINE(R)\nAN  - 123", "123"),
        ("AN  - WOS:000298449100001\nDO  - 10.1/x", "WOS:000298449100001"),
        ("AN  - 99128836\nDB  - CINAHL\nDO  - 10.1/x", "10.1/x"),  # such a number would pass for a PMID
        ("M3  - doi: 10.1/x.\nID  - 62", "10.1/x"),
        ("UR  - https://doi.org/10.1/x\nID  - Muster2019", "10.1/x"),
        ("N1  - Comment in: J Ex. 2020;2(2):2. PMID: 999\nDO  - 10.1/x", "10.1/x"),
    ],
)
def test_where_an_id_comes_from(tmp_path: Path, lines: str, key: str) -> None:
    lines = lines.replace("10.1/", "10.1234/")
    records, _ = read(tmp_path, f"TY  - JOUR\nTI  - Zinc\n{lines}\nER  - \n")
    assert [record.id for record in records] == [key.replace("10.1/", "10.1234/")]


def test_without_a_number_the_id_depends_on_what_is_said_of_the_paper_only(tmp_path: Path) -> None:
    made = "TY  - JOUR\nTI  - {}\nAU  - {}\nPY  - {}\nSP  - {}\nID  - {}\nER  - \n"
    papers = [
        ("Zinc: a trial.", "Muster, Ana", 2019, "12-15", 1),
        ("ZINC - a trial", "Muster, A.", 2019, "12", 2),
        ("Zinc: a trial.", "Muster, Ana", 2020, "12-15", 3),
        ("Editorial", "Muster, Ana", 2019, "1", 4),
        ("Editorial", "Muster, Ana", 2019, "99", 5),
        ("Editorial", "Beispiel, Bo", 2019, "1", 6),
    ]
    records, _ = read(tmp_path, "".join(made.format(*one) for one in papers))
    ids = [record.id for record in records]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 5
    assert all(key.startswith("ris-") for key in ids)


def test_elements_of_jats_are_removed(tmp_path: Path) -> None:
    abstract = (
        "<jats:title>Abstract</jats:title><jats:p>10<jats:sup>6</jats:sup> <jats:italic>E. coli</jats:italic>.</jats:p>"
    )
    records, _ = read(tmp_path, f"TY  - JOUR\nTI  - Zinc\nAU  - Muster,Ana\nAB  - {abstract}\nER  - \n")
    assert [record.text for record in records] == ["Abstract 10^6 E. coli."]
    assert records[0].metadata.authors == ("Muster, Ana",)


def test_a_damaged_reference_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    def reference(key: int, title: bytes = b"Zinc") -> bytes:
        return b"TY  - JOUR\nAN  - X%d\nTI  - %b\nER  - \n\n" % (key, title)

    text = (
        reference(1)
        + reference(2, b"\xff \xc3\xa9")
        + reference(3)[12:]  # without TY
        + reference(4).replace(b"ER  - \n", b"")
        + reference(5, b"")
        + reference(6, b"x" * 10_000_001)
        + reference(7, b"Caf\xe9")
    )
    records, report = read(tmp_path, text)
    assert [(record.id, record.title) for record in records] == [("X1", "Zinc"), ("X4", "Zinc"), ("X7", "Café")]
    assert report.examples == [
        "a.ris:6: not UTF-8",
        "a.ris:10: damaged RIS: no line TY",
        "a.ris:19: neither title nor text",
        "a.ris:24: larger than 10 MB",
    ]
    records, report = read(tmp_path, b"A line of an exporter\n\n" + reference(8)[12:] + reference(9))
    assert [record.id for record in records] == ["X9"]
    assert report.examples == ["a.ris:4: damaged RIS: no line TY"]


def test_what_bmretriever_writes_is_read_back(tmp_path: Path) -> None:
    facts = {
        "date": "2015-03-14",
        "journal": "Made-up Journal",
        "authors": ["Muster, Ana", "Muster, Ana", "Group α"],
        "publication_types": ["Journal Article", "Randomized Controlled Trial"],
        "keywords": ["zinc"],
        "languages": ["eng"],
        "doi": "10.1234/zinc",
        "pmcid": "PMC12",
        "version": 1,
        "retracted": True,
        "retraction_notice": "77",
        "expression_of_concern": "",
    }
    hits = Hits(
        [
            Hit(1, 0.5, "27602157", "Zinc", "A text.", facts),
            Hit(2, 0.4, "7", "A note of my own", "Salt.", {"date": "2015"}),
            Hit(3, 0.3, "own/1", "Another", "Salt.", {"journal": "J", "date": "2015-03"}),
        ]
    )
    records, _ = read(tmp_path, as_ris([Answer(Question("q", "zinc"), hits)], several=True))
    assert [(record.id, record.title, record.text) for record in records] == [
        (hit.id, hit.title, hit.text) for hit in hits
    ]
    assert records[0].metadata.facts() == {
        **{key: value for key, value in facts.items() if key != "version"},
        "pmid": "27602157",
    }
    assert [record.metadata.date for record in records[1:]] == ["2015", "2015-03"]
