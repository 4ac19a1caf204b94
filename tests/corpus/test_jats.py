"""Full texts in JATS: which passages an article gives, how they read, and what is known of the article."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bmretriever_integrations.corpus import CorpusReport, Record, read_corpus

META = """<article-id pub-id-type="pmid">21810267</article-id><article-id pub-id-type="pmc">3166277</article-id>
<article-id pub-id-type="doi">10.1186/x-174</article-id>
<article-categories><subj-group subj-group-type="heading"><subject>Case Reports</subject></subj-group>
<subj-group subj-group-type="Discipline"><subject>Biology</subject></subj-group></article-categories>
<title-group><article-title>Lysis of <italic>E. coli</italic><xref ref-type="fn" rid="f">*</xref></article-title>
<subtitle>a study</subtitle></title-group>"""
Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function: inner XML of article-meta, body, what follows it, attributes -> the records of an article."""

    def records(meta: str = META, body: str = "", after: str = "", attributes: str = "") -> list[Record]:
        journal = "<journal-meta><journal-title>BMC Microbiology</journal-title></journal-meta>"
        text = f"<front>{journal}<article-meta>{meta}</article-meta></front><body>{body}</body>{after}"
        kind = '<!DOCTYPE article SYSTEM "archivearticle.dtd">'
        path = tmp_path / "a.nxml"
        start = f'{kind}<article xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}>'
        path.write_text(f"{start}{text}</article>", encoding="utf-8")
        return list(read_corpus([path]))

    return records


@pytest.fixture
def plain(read: Read) -> Callable[[str], str]:
    """A function: inner XML of a paragraph -> its text."""
    return lambda paragraph: read(body=f"<p>{paragraph}</p>")[0].text


def cited(number: object) -> str:
    return f'<xref ref-type="bibr" rid="B1">{number}</xref>'


def test_sections_come_in_reading_order_each_with_its_path_and_a_readable_id(read: Read) -> None:
    meta = f"""{META}<abstract><sec><title>Background:</title><p>Why.</p></sec>
    <sec><title>Results</title><p>What.</p></sec></abstract>
    <abstract abstract-type="summary"><object-id>10.1/x.2</object-id><title>Author Summary</title><p>Plainly.</p></abstract>
    <trans-abstract xml:lang="es"><p>Por qu\u00e9.</p></trans-abstract>"""
    body = """<p>Before.</p><sec><title>Results</title>
    <sec><label>2.1</label><title>Growth</title><p>One.</p><p>Two.</p></sec>
    <sec><title>Death.</title><p>Three.<fig><label>Figure 1.</label><caption><title>Curves.</title>
    <p>Of <italic>E. coli</italic>.</p>
    </caption></fig></p><table-wrap><label>Table 1</label><caption><p>Numbers.</p></caption><table><tr><td>7</td></tr></table>
    </table-wrap></sec></sec><sec><title>Results</title><p>More.</p><boxed-text><caption><title>Key points</title></caption>
    <p>In a box.</p></boxed-text></sec><sec><title>Competing interests</title><p>None.</p></sec>
    <sec sec-type="supplementary-material"><title>Files</title><p>S1.</p></sec>"""
    after = """<back><ack><p>We thank.</p></ack><app-group><app><title>Appendix A</title><p>Proof.</p></app></app-group>
    <ref-list><title>References</title><ref><p>Old.</p></ref></ref-list></back>
    <floats-group><fig><label>Figure 2</label><caption><p>At the end.</p></caption></fig></floats-group>
    <sub-article><body><p>A letter.</p></body></sub-article>"""
    records = read(meta, body, after)
    found = [(r.id.removeprefix("PMC3166277#"), r.metadata.other["section"], r.text) for r in records]
    assert found == [
        ("abstract/1", "Abstract", "Background: Why. Results: What."),
        ("abstract-summary/1", "Author Summary", "Plainly."),
        ("body/1", "Body", "Before."),
        ("results.1/1", "Results > Growth", "Growth: One.\n\nTwo."),
        ("results.2/1", "Results > Death", "Death: Three."),
        ("fig.1/1", "Results > Death > Figure 1", "Figure 1: Curves. Of E. coli."),
        ("table.1/1", "Results > Death > Table 1", "Table 1: Numbers."),
        ("results-2/1", "Results", "Results: More."),
        ("box.1/1", "Results > Key points", "Key points: In a box."),
        ("appendix-a/1", "Appendix A", "Appendix A: Proof."),
        ("fig.2/1", "Figure 2", "Figure 2: At the end."),
    ]
    assert {record.title for record in records} == {"Lysis of E. coli: a study"}
    assert {record.article for record in records} == {"PMC3166277"}


@pytest.mark.parametrize(
    ("title", "heading"),
    [
        ("2.1. Patients", "Patients"),
        ("3. Results", "Results"),
        ("IV. DISCUSSION", "DISCUSSION"),
        ("2.5 mg of zinc", "2.5 mg of zinc"),
        ("30 patients", "30 patients"),
        ("", "Section"),
    ],
)
def test_a_heading_is_without_its_number(read: Read, title: str, heading: str) -> None:
    (record,) = read(body=f"<sec><title>{title}</title><p>a</p></sec>")
    assert record.metadata.other["headings"] == [heading]
    assert record.text == (f"{heading}: a" if title else "a")


@pytest.mark.parametrize(
    ("paragraph", "expected"),
    [
        (f"As shown [{cited(1)},{cited(2)}]. Then", "As shown. Then"),
        (f"Amir et al. [{cited(22)}].", "Amir et al."),
        (f"cells<sup>{cited('12,13')}</sup> and 10<sup>6</sup> more", "cells and 10^6 more"),
        (f"cells<sup>{cited(1)}</sup><sup>,</sup><sup>{cited(3)}</sup>\u2013<sup>{cited(5)}</sup>.", "cells."),
        (f"({cited('Smith et al., 2008')}) and Doe ({cited(2008)})", "(Smith et al., 2008) and Doe (2008)"),
        (f"known (see refs. {cited(3)} and {cited(4)}) here", "known here"),
        (f"known (Fig. 1, {cited(3)}) and ({cited(3)}; but see Doe)", "known (Fig. 1) and (but see Doe)"),
        ('in <xref ref-type="fig" rid="f">Figure 1</xref><xref ref-type="fn" rid="n">*</xref>', "in Figure 1"),
        ("CO<sub>2</sub> of <italic>all</italic>mice<fn><p>Not these.</p></fn>", "CO2 of all mice"),
        ("a<list><list-item><label>1.</label><p>b</p></list-item><list-item><p>c</p></list-item></list>d", "a b c d"),
        (
            '<inline-formula><alternatives><tex-math>\\frac{1}{2}</tex-math><m:math xmlns:m="http://www.w3.org/1998/Math/MathML">'
            "<m:semantics><m:mfrac><m:mi>a</m:mi><m:mi>b</m:mi></m:mfrac><m:annotation>TeX</m:annotation></m:semantics></m:math>"
            "</alternatives></inline-formula> holds",
            "a/b holds",
        ),
        ("only<inline-formula><tex-math>x</tex-math></inline-formula> TeX", "only TeX"),
        ("&alpha;-helix &unknown; &#x3b2;", "\u03b1-helix &unknown; \u03b2"),
    ],
)
def test_inline_markup_reads_as_text(plain: Callable[[str], str], paragraph: str, expected: str) -> None:
    assert plain(paragraph) == expected


class Words:
    """Cuts after every three words, and takes titles of no more than eight."""

    def split(self, text: str, title: str | None = None) -> list[str]:
        if len((title or "").split()) > 8:
            raise ValueError("too long")
        words = text.split()
        return [" ".join(words[start : start + 3]) for start in range(0, len(words), 3)]

    def shortened_title(self, title: str) -> str:
        return " ".join(title.split()[:8])


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        (
            "Growth",
            [("1", "Growth: a b c", "Lysis of E. coli: a study"), ("2", "Growth: d", "Lysis of E. coli: a study")],
        ),
        (
            "Growth of every cell here",
            [("1", "a b c", "Lysis of E. coli: a study"), ("2", "d", "Lysis of E. coli: a study")],
        ),
    ],
)
def test_a_splitter_cuts_sections_whose_heading_stands_before_each_passage(
    read: Read, tmp_path: Path, heading: str, expected: list[tuple[str, str, str]]
) -> None:
    read(body=f"<sec><title>{heading}</title><p>a b c d</p></sec>")
    records = list(read_corpus([tmp_path / "a.nxml"], splitter=Words()))
    assert [(record.id.rpartition("/")[2], record.text, record.title) for record in records] == expected
    assert {record.metadata.other["section"] for record in records} == {heading}


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("<article-version>3</article-version>", 3),
        ("<article-version>1.2</article-version>", None),
        (f"<article-version>{'9' * 5000}</article-version>", None),
        (
            '<article-version-alternatives><article-version vocab="JAV">3</article-version>'
            '<article-version article-version-type="pmc-version">2</article-version></article-version-alternatives>',
            2,
        ),
    ],
)
def test_the_version_is_a_number_and_the_one_of_pubmed_central_counts(
    read: Read, stated: str, expected: int | None
) -> None:
    (record,) = read(META + stated, "<p>Text.</p>")
    assert record.metadata.version == expected


def test_the_facts_of_an_article(read: Read) -> None:
    meta = f"""{META}<article-id pub-id-type="pmcid-ver">PMC3166277.2</article-id>
    <contrib-group><contrib contrib-type="author"><name><surname>Dennehy</surname><given-names>John J</given-names>
    <suffix>Jr</suffix></name></contrib><contrib contrib-type="author"><collab>The Phage Group<contrib-group><contrib><name>
    <surname>Hidden</surname></name></contrib></contrib-group></collab></contrib>
    <contrib contrib-type="editor"><name><surname>Editor</surname></name></contrib></contrib-group>
    <pub-date pub-type="collection"><year>2011</year></pub-date>
    <pub-date pub-type="epub"><day>2</day><month>8</month><year>2011</year></pub-date>
    <pub-date pub-type="pmc-release"><day>9</day><month>9</month><year>2011</year></pub-date>
    <pub-history><event event-type="pmc-last-change">
    <date><day>02</day><month>02</month><year>2024</year></date></event></pub-history>
    <permissions><license xlink:href="https://creativecommons.org/licenses/by/2.0"/></permissions>
    <kwd-group><kwd>phage &#x3bb;</kwd><kwd>lysis</kwd></kwd-group>
    <kwd-group kwd-group-type="abbreviations"><kwd>KCN</kwd></kwd-group>"""
    (record,) = read(meta, "<p>Text.</p>", attributes='article-type="research-article" xml:lang="fr"')
    assert record.metadata.facts() == {
        "date": "2011-08-02",
        "journal": "BMC Microbiology",
        "authors": ["Dennehy, John J Jr", "The Phage Group"],
        "publication_types": ["Journal Article", "Case Reports"],
        "keywords": ["phage \u03bb", "lysis"],
        "languages": ["fre"],
        "doi": "10.1186/x-174",
        "pmcid": "PMC3166277",
        "version": 2,
        "revised": "2024-02-02",
        "pmid": "21810267",
        "article_type": "research-article",
        "subjects": ["Case Reports"],
        "licence": "https://creativecommons.org/licenses/by/2.0",
        "section": "Body",
        "headings": ["Body"],
    }


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (
            '<pub-date pub-type="epub"><year>2008</year><month>8</month></pub-date>'
            '<pub-date pub-type="ppub"><year>2009</year></pub-date>',
            "2009",
        ),
        (
            '<pub-date date-type="pub" publication-format="electronic"><day>3</day><month>May</month><year>2020</year></pub-date>'
            '<pub-date date-type="collection" publication-format="print"><year>2019</year></pub-date>',
            "2020-05-03",
        ),
        ('<pub-date pub-type="pmc-release"><year>2010</year></pub-date>', "2010"),
        ("<pub-date><string-date>2007 Spring</string-date></pub-date>", "2007"),
        ("", None),
    ],
)
def test_the_date_is_that_of_the_issue_in_print_else_online_else_of_the_volume(
    read: Read, dates: str, expected: str | None
) -> None:
    assert read(META + dates, "<p>a</p>")[0].metadata.date == expected


RELATED = (
    '<related-article related-article-type="{}" ext-link-type="doi" xlink:href="10.1234/notice">{}</related-article>'
)


@pytest.mark.parametrize(
    ("kind", "title", "related", "expected"),
    [
        ("research-article", "Zinc", RELATED.format("retraction-forward", ""), (True, "10.1234/notice", None)),
        (
            "research-article",
            "Zinc",
            RELATED.format("retraction-forward", '<pub-id pub-id-type="pmid">37744561</pub-id>'),
            (True, "37744561", None),
        ),
        ("research-article", "[Retracted] Zinc", "", (True, None, None)),
        ("research-article", "RETRACTED ARTICLE: Zinc", "", (True, None, None)),
        ("research-article", "Retracted potential: a study", "", (False, None, None)),
        ("research-article", "Zinc", RELATED.format("concern-forward", ""), (False, None, "10.1234/notice")),
        ("research-article", "Zinc", RELATED.format("partial-retraction", ""), (False, None, None)),
        ("retraction", "Retracted: Zinc", RELATED.format("retracted-article", ""), (False, None, None)),
        ("correction", "Zinc", RELATED.format("corrected-article", ""), (False, None, None)),
    ],
)
def test_a_retracted_paper_is_marked_and_its_notice_is_not(
    read: Read, kind: str, title: str, related: str, expected: tuple[bool, str | None, str | None]
) -> None:
    meta = f'<article-id pub-id-type="pmcid">PMC1</article-id><title-group><article-title>{title}</article-title></title-group>'
    facts = read(meta + related, "<p>a</p>", attributes=f'article-type="{kind}"')[0].metadata
    assert (facts.retracted, facts.retraction_notice, facts.expression_of_concern) == expected
    assert ("Retraction of Publication" in facts.publication_types) == (kind == "retraction")


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ('<article-id pub-id-type="pmcid">PMC12</article-id>', "PMC12#title/1"),
        ('<article-id pub-id-type="pmid">34</article-id><article-id pub-id-type="pmcaid">5</article-id>', "34#title/1"),
        ('<article-id pub-id-type="doi">https://doi.org/10.1234/x#y</article-id>', "10.1234/x#y#title/1"),
    ],
)
def test_an_article_without_text_is_its_title_and_named_by_the_best_of_its_ids(
    read: Read, ids: str, expected: str
) -> None:
    (record,) = read(f"{ids}<title-group><article-title>Zinc</article-title></title-group>")
    assert (record.id, record.title, record.text) == (expected, "Zinc", "")


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ('<article-id pub-id-type="publisher-id">x-1</article-id>', "a.nxml: the article x-1: no PMCID, PMID or DOI"),
        ('<article-id pub-id-type="pmcid">PMC7</article-id>', "a.nxml: the article PMC7: neither title nor text"),
    ],
)
def test_an_article_that_cannot_be_named_or_says_nothing_is_counted(
    read: Read, tmp_path: Path, meta: str, reason: str
) -> None:
    assert read(meta) == []
    report = CorpusReport()
    list(read_corpus([tmp_path / "a.nxml"], report))
    assert report.examples == [reason]
