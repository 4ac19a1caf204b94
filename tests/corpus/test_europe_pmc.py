"""Europe PMC's search results: the facts of both forms of answer, and one result lost for one damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, DamagedSource, Metadata, Record, read_corpus

STATM = Path("/proc/self/statm")
CORE = """<result><id>123</id><source>MED</source><pmid>123</pmid><pmcid>PMC9</pmcid><doi>10.1234/zinc</doi>
<title>Zinc in &lt;i&gt;mice&lt;/i&gt;.</title><authorString>Muster A, Group.</authorString>
<authorList><author><fullName>Muster AB</fullName><firstName>Ana B</firstName><lastName>Muster</lastName>
<initials>AB</initials><authorId type="ORCID">0000-1</authorId></author>
<author><collectiveName>A Group</collectiveName></author></authorList>
<journalInfo><issue>1</issue><dateOfPublication>2020 Dec-2021 Jan</dateOfPublication>
<monthOfPublication>12</monthOfPublication><yearOfPublication>2020</yearOfPublication>
<printPublicationDate>2020-12-01</printPublicationDate>
<journal><title>Journal of examples</title><ISOAbbreviation>J. Ex.</ISOAbbreviation></journal></journalInfo>
<pubYear>2020</pubYear>
<abstractText>
&lt;h4&gt;Background&lt;/h4&gt;10&lt;sup&gt;6&lt;/sup&gt; cells.&lt;h4&gt;Results&lt;/h4&gt;p &lt; 0.05.</abstractText>
<language>eng</language><pubTypeList><pubType>research-article</pubType><pubType>Retracted Publication</pubType></pubTypeList>
<meshHeadingList><meshHeading><majorTopic_YN>N</majorTopic_YN><descriptorName>Zinc</descriptorName>
<meshQualifierList><meshQualifier><abbreviation>TU</abbreviation><qualifierName>therapeutic use</qualifierName>
<majorTopic_YN>Y</majorTopic_YN></meshQualifier></meshQualifierList></meshHeading>
<meshHeading><majorTopic_YN>N</majorTopic_YN><descriptorName>Mice</descriptorName></meshHeading></meshHeadingList>
<keywordList><keyword>zinc</keyword><keyword>salt</keyword></keywordList>
<commentCorrectionList>
<commentCorrection><id>77</id><source>MED</source><reference>J Ex.</reference><type>Retraction in</type></commentCorrection>
<commentCorrection><id>78</id><source>MED</source><reference>J Ex.</reference><type>Comment in</type></commentCorrection>
<commentCorrection><reference>J Ex. 2021;1</reference><type>Expression of concern in</type></commentCorrection>
</commentCorrectionList>
<dateOfRevision>2021-03-04</dateOfRevision><electronicPublicationDate>2020-11-02</electronicPublicationDate>
<firstPublicationDate>2020-11-02</firstPublicationDate></result>"""
RECORD = Record(
    "123",
    "Zinc in mice.",
    "Background: 10^6 cells. Results: p < 0.05.",
    Metadata(
        date="2020-12",
        journal="Journal of examples",
        authors=("Muster, Ana B", "A Group"),
        publication_types=("research-article", "Retracted Publication"),
        mesh=("Zinc", "Mice"),
        mesh_major=("Zinc",),
        keywords=("zinc", "salt"),
        languages=("eng",),
        doi="10.1234/zinc",
        pmcid="PMC9",
        revised="2021-03-04",
        retracted=True,
        retraction_notice="77",
        expression_of_concern="J Ex. 2021;1",
        other={"pmid": "123"},
    ),
)


def page(*results: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><responseWrapper xmlns:epmc="https://www.europepmc.org/data">'
        f"<version>6.9</version><request><queryString>zinc</queryString></request><resultList>{''.join(results)}"
        "</resultList></responseWrapper>\n"
    )


def result(key: str, title: str = "Zinc.", more: str = "", source: str = "MED") -> str:
    return f"<result><id>{key}</id><source>{source}</source><title>{title}</title>{more}</result>"


def read(folder: Path, text: str | bytes) -> tuple[list[Record], CorpusReport]:
    (folder / "a.xml").write_bytes(text if isinstance(text, bytes) else text.encode())
    report = CorpusReport()
    return list(read_corpus([folder / "a.xml"], report)), report


def test_a_result_with_every_fact(tmp_path: Path) -> None:
    records, report = read(tmp_path, page(CORE))
    assert records == [RECORD]
    assert report.skipped.total() == 0


@pytest.mark.parametrize(
    ("source", "key", "more", "record_id", "facts"),
    [
        ("MED", "5", "<pmid>5</pmid><pubYear>2015</pubYear>", "5", {"date": "2015", "other": {"pmid": "5"}}),
        (
            "PPR",
            "PPR7",
            "<versionNumber>2</versionNumber><firstPublicationDate>2021-03-01</firstPublicationDate>",
            "PPR7",
            {"date": "2021-03-01", "version": 2},
        ),
        ("MED", "5", "<firstPublicationDate>2021-03-01</firstPublicationDate>", "5", {"date": "2021-03"}),
        ("MED", "5", "<firstPublicationDate>2021-01-01</firstPublicationDate>", "5", {"date": "2021"}),
        ("ETH", "327", "", "ETH:327", {}),  # such a number would pass for a PMID
        ("PMC", "PMC8", "<pmcid>PMC8</pmcid>", "PMC8", {"pmcid": "PMC8"}),
        (
            "MED",
            "5",
            "<authorString>Muster AB, Beispiel B.</authorString><journalTitle>J Ex</journalTitle>"
            "<pubType>review; journal article</pubType>",
            "5",
            {
                "authors": ("Muster AB", "Beispiel B"),
                "journal": "J Ex",
                "publication_types": ("review", "journal article"),
            },
        ),
        (
            "MED",
            "5",
            "<pubTypeList><pubType>retracted publication</pubType></pubTypeList>",
            "5",
            {"retracted": True, "publication_types": ("retracted publication",)},
        ),
    ],
)
def test_what_a_result_may_state_otherwise(tmp_path: Path, source, key, more, record_id, facts) -> None:
    records, _ = read(tmp_path, page(result(key, more=more, source=source)))
    assert records == [Record(record_id, "Zinc.", "", Metadata(**facts))]


def test_pages_one_after_another_and_an_empty_one(tmp_path: Path) -> None:
    records, _ = read(tmp_path, page(result("1")) + page() + page(result("2"), result("3")))
    assert [record.id for record in records] == ["1", "2", "3"]


def test_a_damaged_result_is_named_and_the_next_one_read(tmp_path: Path) -> None:
    damaged = [
        result("2", "A & B"),
        result("3").removeprefix("<result>"),
        result("4")[:30],
        result("5", "One.", "<title>Another.</title>"),
        result("6", "x" * 10_200_000),
        result("7", ""),
    ]
    records, report = read(tmp_path, page(result("1"), *damaged, result("8")))
    assert [record.id for record in records] == ["1", "8"]
    assert report.examples == [
        "a.xml: id 2: damaged XML",
        "a.xml: id 3: damaged XML",
        "a.xml: id 4: damaged XML",
        "a.xml: id 5: damaged XML",
        "a.xml: id 6: larger than 10 MB",
        "a.xml: id 7: neither title nor text",
    ]


def test_of_a_file_that_is_cut_short_the_whole_results_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(page(result("1"), result("2"))[:-70])
    got: list[str] = []
    with pytest.raises(DamagedSource, match="breaks off"):
        got.extend(record.id for record in read_corpus([tmp_path / "a.xml"]))
    assert got == ["1"]


@pytest.mark.skipif(not STATM.exists(), reason="reads the process's memory from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    source = tmp_path / "a.xml"
    text = f"<abstractText>{'word ' * 2_000}</abstractText>"
    source.write_text(page(*(result(str(i), more=text) for i in range(2_001))))
    resident = [int(STATM.read_text().split()[1]) for i, _ in enumerate(read_corpus([source])) if i in (200, 2_000)]
    assert (resident[1] - resident[0]) * os.sysconf("SC_PAGE_SIZE") < 8e6  # bytes; the text between has 18 MB
