"""What a PubMed citation says beside its title and text, element by element, with what other elements could be taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bmretriever_integrations.corpus import Metadata, read_corpus

YEAR = "<Year>2015</Year>"


def read(tmp_path: Path, article: str = "", citation: str = "", data: str = "", head: str = "") -> Metadata:
    (tmp_path / "a.xml").write_text(
        f"<PubmedArticleSet><PubmedArticle><MedlineCitation>{head or '<PMID>1</PMID>'}<Article>{article}<ArticleTitle>T"
        f"</ArticleTitle></Article>{citation}</MedlineCitation><PubmedData>{data}</PubmedData></PubmedArticle></PubmedArticleSet>"
    )
    (record,) = read_corpus([tmp_path / "a.xml"])
    return record.metadata


def issue(date: str) -> str:
    return f"<Journal><JournalIssue><PubDate>{date}</PubDate></JournalIssue></Journal>"


def test_a_citation_that_says_nothing_has_no_facts(tmp_path: Path) -> None:
    assert read(tmp_path) == Metadata()
    empty = "<AuthorList/><Language/><PublicationTypeList><PublicationType/></PublicationTypeList><ELocationID/>"
    citation = (
        "<DateRevised/><MeshHeadingList><MeshHeading/></MeshHeadingList><KeywordList><Keyword/></KeywordList>"
        "<CommentsCorrectionsList/><MedlineJournalInfo><MedlineTA/></MedlineJournalInfo>"
    )
    blank = "<Journal><JournalIssue><PubDate/></JournalIssue><Title> </Title></Journal><ArticleDate/>"
    assert read(tmp_path, blank + empty, citation, "<ArticleIdList><ArticleId/></ArticleIdList>") == Metadata()


@pytest.mark.parametrize(
    ("printed", "date"),
    [
        (YEAR, "2015"),
        (f"{YEAR}<Month>Mar</Month>", "2015-03"),
        (f"{YEAR}<Month>03</Month><Day>4</Day>", "2015-03-04"),
        (f"{YEAR}<Month>September</Month><Day>30</Day>", "2015-09-30"),
        (f"{YEAR}<Month>Sept.</Month>", "2015-09"),
        (f"{YEAR}<Month>Jan-Feb</Month>", "2015-01"),
        (f"{YEAR}<Season>Winter</Season>", "2015"),
        (f"{YEAR}<Month>Winter</Month><Day>3</Day>", "2015"),
        (f"{YEAR}<Month>02</Month><Day>30</Day>", "2015-02"),
        ("<Year>2016</Year><Month>Feb</Month><Day>29</Day>", "2016-02-29"),
        (f"{YEAR}<Month>13</Month><Day>1</Day>", "2015"),
        (f"{YEAR}<Month>00</Month><Day>00</Day>", "2015"),
        (f"{YEAR}<Day>7</Day>", "2015"),
        (f"{YEAR}<Month>M</Month>", "2015"),
        ("<Year> 2015\n</Year><Month> Jun </Month>", "2015-06"),
        ("<Year>15</Year><Month>Mar</Month>", None),
        ("<Year>0000</Year>", None),
        ("<Year>\N{ARABIC-INDIC DIGIT TWO}015</Year>", None),
        ("<Month>Mar</Month><Day>1</Day>", None),
        ("<MedlineDate>1998 Dec-1999 Jan</MedlineDate>", "1998-12"),
        ("<MedlineDate>2000 Nov 28-Dec 4</MedlineDate>", "2000-11-28"),
        ("<MedlineDate>1976-1977 Winter</MedlineDate>", "1976"),
        ("<MedlineDate>1978-79</MedlineDate>", "1978"),
        ("<MedlineDate>2001-02</MedlineDate>", "2001"),
        ("<MedlineDate>2000 Spring</MedlineDate>", "2000"),
        ("<MedlineDate>2011 3rd Quarter</MedlineDate>", "2011"),
        ("<MedlineDate>Spring 2000</MedlineDate>", "2000"),
        ("<MedlineDate>2003 Feb 28-31</MedlineDate>", "2003-02-28"),
        ("<MedlineDate>2003 Feb 31</MedlineDate>", "2003-02"),
        ("<MedlineDate>12345</MedlineDate>", None),
        ("<MedlineDate>Winter</MedlineDate>", None),
    ],
)
def test_a_date_is_as_precise_as_it_is_known(tmp_path: Path, printed: str, date: str | None) -> None:
    assert read(tmp_path, issue(printed)).date == date
    electronic = "<ArticleDate><Year>2014</Year><Month>12</Month><Day>05</Day></ArticleDate>"
    assert read(tmp_path, issue(printed) + electronic).date == date or "2014-12-05"
    other = "<History><PubMedPubDate><Year>1999</Year></PubMedPubDate></History>"
    assert read(tmp_path, issue(printed), data=other).date == date


def test_the_journal_is_the_full_name_or_what_there_is(tmp_path: Path) -> None:
    title, iso = "<Title>The Journal of\n Zinc &amp; Salt</Title>", "<ISOAbbreviation>J Zinc</ISOAbbreviation>"
    short = "<MedlineJournalInfo><MedlineTA>J Zn</MedlineTA></MedlineJournalInfo>"
    assert read(tmp_path, f"<Journal>{title}{iso}</Journal>", short).journal == "The Journal of Zinc & Salt"
    assert read(tmp_path, f"<Journal>{iso}</Journal>", short).journal == "J Zinc"
    assert read(tmp_path, citation=short).journal == "J Zn"


def test_authors_are_people_and_groups_in_their_order(tmp_path: Path) -> None:
    authors = (
        "<Author><LastName>O&apos;Hara</LastName><ForeName>Mary  Ann</ForeName><Initials>MA</Initials>"
        "<AffiliationInfo><Affiliation>Town</Affiliation></AffiliationInfo></Author>"
        "<Author><LastName>Ngô</LastName><Initials>B</Initials><Suffix>Jr</Suffix></Author>"
        "<Author><CollectiveName>The <i>Zinc</i> Group</CollectiveName></Author><Author><LastName>Plato</LastName></Author>"
        '<Author ValidYN="N"><LastName>Wrong</LastName></Author><Author/>'
    )
    editors = '<AuthorList Type="editors"><Author><LastName>Editor</LastName></Author></AuthorList>'
    investigators = "<InvestigatorList><Investigator><LastName>Other</LastName></Investigator></InvestigatorList>"
    found = read(tmp_path, f'{editors}<AuthorList CompleteYN="Y">{authors}</AuthorList>', investigators)
    assert found.authors == ("O'Hara, Mary Ann", "Ngô, B Jr", "The Zinc Group", "Plato")


def test_types_languages_and_keywords_are_each_given_once(tmp_path: Path) -> None:
    types = (
        '<PublicationType UI="D1">Journal Article</PublicationType><PublicationType UI="D2">Review</PublicationType>'
    )
    article = f"<Language>eng</Language><Language>fre</Language><PublicationTypeList>{types}</PublicationTypeList>"
    words = (
        '<KeywordList Owner="NOTNLM"><Keyword MajorTopicYN="Y">IL-6</Keyword><Keyword>TNF-<i>α</i></Keyword></KeywordList>'
        '<KeywordList Owner="PIP"><Keyword>Zinc</Keyword><Keyword>IL-6</Keyword><Keyword> </Keyword></KeywordList>'
    )
    found = read(tmp_path, article, words)
    assert found.publication_types == ("Journal Article", "Review")
    assert found.languages == ("eng", "fre")
    assert found.keywords == ("IL-6", "TNF-α", "Zinc")


def test_a_descriptor_is_a_major_topic_by_itself_or_by_a_qualifier(tmp_path: Path) -> None:
    def heading(name: str, major: str, *qualifiers: str) -> str:
        of = "".join(f'<QualifierName MajorTopicYN="{one}">therapy</QualifierName>' for one in qualifiers)
        return f'<MeshHeading><DescriptorName MajorTopicYN="{major}">{name}</DescriptorName>{of}</MeshHeading>'

    headings = (
        heading("Humans", "N") + heading("Zinc", "Y") + heading("Cold", "N", "N", "Y") + heading("Salt", "N", "N")
    )
    found = read(tmp_path, citation=f"<MeshHeadingList>{headings}</MeshHeadingList>")
    assert found.mesh == ("Humans", "Zinc", "Cold", "Salt")
    assert found.mesh_major == ("Zinc", "Cold")


OWN = '<ArticleId IdType="doi">10.1000/own</ArticleId><ArticleId IdType="pmc">PMC11</ArticleId>'
REFERENCES = (
    '<ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.1000/theirs</ArticleId>'
    '<ArticleId IdType="pmc">PMC99</ArticleId></ArticleIdList></Reference></ReferenceList>'
)


def test_ids_are_those_of_the_article_and_not_of_its_references(tmp_path: Path) -> None:
    found = read(tmp_path, data=REFERENCES)
    assert (found.doi, found.pmcid) == (None, None)
    found = read(tmp_path, data=f"{REFERENCES}<ArticleIdList>{OWN}</ArticleIdList>")
    assert (found.doi, found.pmcid) == ("10.1000/own", "PMC11")


def test_the_doi_is_the_valid_one_of_the_article(tmp_path: Path) -> None:
    ids = f"<ArticleIdList>{OWN}</ArticleIdList>"
    first = '<ELocationID EIdType="doi" ValidYN="Y"> 10.1000/First </ELocationID>'
    assert read(tmp_path, first, data=ids).doi == "10.1000/First"
    assert read(tmp_path, first.replace('"Y"', '"N"'), data=ids).doi == "10.1000/own"
    assert read(tmp_path, first.replace('"doi"', '"pii"'), data=ids).doi == "10.1000/own"
    assert read(tmp_path, first.replace("10.1000/First", "see below"), data=ids).doi == "10.1000/own"
    assert read(tmp_path, first.replace("10.1000", "https://doi.org/10.1000")).doi == "10.1000/First"


@pytest.mark.parametrize(("text", "pmcid"), [("PMC123", "PMC123"), ("123", "PMC123"), ("see PMC123", None), ("", None)])
def test_the_pmcid_has_its_letters(tmp_path: Path, text: str, pmcid: str | None) -> None:
    data = f'<ArticleIdList><ArticleId IdType="pmc">{text}</ArticleId></ArticleIdList>'
    assert read(tmp_path, data=data).pmcid == pmcid


@pytest.mark.parametrize(
    ("attribute", "version"), [("", None), ('Version="3"', 3), ('Version="x"', None), ('Version=""', None)]
)
def test_version_and_date_of_revision_say_which_of_two_is_newer(tmp_path: Path, attribute: str, version) -> None:
    completed = "<DateCompleted><Year>1999</Year></DateCompleted>"
    revised = f"{completed}<DateRevised><Year>2021</Year><Month>06</Month><Day>7</Day></DateRevised>"
    found = read(tmp_path, head=f"<PMID {attribute}>1</PMID>{revised}")
    assert (found.version, found.revised) == (version, "2021-06-07")


def corrections(*kinds: str, inside: str = "<RefSource>J. 2020;1:2</RefSource><PMID>77</PMID>") -> str:
    listed = "".join(f'<CommentsCorrections RefType="{kind}">{inside}</CommentsCorrections>' for kind in kinds)
    return f"<CommentsCorrectionsList>{listed}</CommentsCorrectionsList>"


def publication_type(name: str) -> str:
    return f"<PublicationTypeList><PublicationType>{name}</PublicationType></PublicationTypeList>"


def test_a_retracted_paper_is_marked_by_its_type_or_by_its_notice(tmp_path: Path) -> None:
    found = read(tmp_path, publication_type("Retracted Publication"))
    assert (found.retracted, found.retraction_notice) == (True, None)
    for kind in ("RetractionIn", "RetractedandRepublishedIn"):
        found = read(tmp_path, citation=corrections("ErratumIn", kind))
        assert (found.retracted, found.retraction_notice) == (True, "77")
    found = read(tmp_path, citation=corrections("RetractionIn", inside="<RefSource>J. 2020;1:2</RefSource>"))
    assert (found.retracted, found.retraction_notice) == (True, None)


def test_a_notice_and_a_partial_retraction_are_no_retracted_paper(tmp_path: Path) -> None:
    others = ("RetractionOf", "PartialRetractionIn", "PartialRetractionOf", "RetractedandRepublishedFrom", "CommentIn")
    found = read(tmp_path, publication_type("Retraction of Publication"), corrections(*others))
    assert (found.retracted, found.retraction_notice, found.expression_of_concern) == (False, None, None)
    assert found.publication_types == ("Retraction of Publication",)


def test_an_expression_of_concern_is_named_by_number_or_place(tmp_path: Path) -> None:
    concern = "ExpressionOfConcernIn"
    assert read(tmp_path, citation=corrections(concern)).expression_of_concern == "77"
    place = "<RefSource>J. 2020;1:2</RefSource>"
    assert read(tmp_path, citation=corrections(concern, inside=place)).expression_of_concern == "J. 2020;1:2"
    assert read(tmp_path, citation=corrections(concern, inside="")).expression_of_concern == ""
    assert read(tmp_path, citation=corrections("ExpressionOfConcernFor")).expression_of_concern is None


def test_a_chapter_of_a_book_has_its_own_date_and_authors_and_its_books_name(tmp_path: Path) -> None:
    person = "<AuthorList Type='{}'><Author><LastName>{}</LastName></Author></AuthorList>"
    book = (
        f"<Book><BookTitle book='g'>Gene<i>s</i> &amp; us</BookTitle><PubDate><Year>1993</Year></PubDate>"
        f"{person.format('editors', 'Editor')}{person.format('authors', 'Whole')}</Book>"
    )
    chapter = (
        f"<PMID Version='2'>5</PMID><ArticleIdList><ArticleId IdType='doi'>10.1000/b</ArticleId></ArticleIdList>{book}"
        f"<ArticleTitle>BRCA1</ArticleTitle><Language>eng</Language>{person.format('authors', 'Own')}"
        "<PublicationType>Review</PublicationType><KeywordList><Keyword>BRCA1</Keyword></KeywordList><ContributionDate>"
        "<Year>1998</Year><Month>9</Month><Day>4</Day></ContributionDate><DateRevised><Year>2020</Year></DateRevised>"
    )
    content = f"<PubmedBookArticleSet><PubmedBookArticle><BookDocument>{chapter}</BookDocument></PubmedBookArticle>"
    (tmp_path / "a.xml").write_text(f"{content}</PubmedBookArticleSet>")
    (record,) = read_corpus([tmp_path / "a.xml"])
    assert record.metadata == Metadata(
        date="1998-09-04",
        journal="Genes & us",
        authors=("Own",),
        publication_types=("Review",),
        keywords=("BRCA1",),
        languages=("eng",),
        doi="10.1000/b",
        version=2,
        revised="2020",
    )
    whole = content.replace(person.format("authors", "Own"), "").replace("ContributionDate", "Other")
    (tmp_path / "a.xml").write_text(f"{whole}</PubmedBookArticleSet>")
    (record,) = read_corpus([tmp_path / "a.xml"])
    assert (record.metadata.authors, record.metadata.date) == (("Whole",), "1993")
