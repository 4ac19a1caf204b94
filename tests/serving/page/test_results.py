"""What the page shows of an answer."""

from __future__ import annotations

import json

import pytest

METFORMIN = {
    "id": "33419956",
    "pmid": "33419956",
    "title": "Metformin and the risk of cancer",
    "text": "Adults took metformin. They had fewer cancers, and the concern of many was unfounded.\nA second part.",
    "passage": "Adults took metformin. They had fewer cancers, ...",
    "date": "2020-03",
    "score": 0.93,
    "from_vectors": 0.5,
    "from_words": 0.43,
    "metadata": {
        "journal": "Diabetes Care",
        "authors": ["Rossi, Ada Maria", "Chen, Bo", "Okafor, C-D", "Smith, E.", "WHO Group", "Last, Zoë"],
        "publication_types": ["Journal Article", "Meta-Analysis"],
        "mesh": ["Metformin", "Neoplasms"],
        "doi": "10.1000/metformin.(1)#a?b",
        "pmcid": "PMC123",
        "cohort": {"name": "A"},
    },
}


def texts(page, selector):
    """What a reader sees, without where lines break."""
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def test_a_question_and_its_results(tab, site):
    site.answers(METFORMIN, {"text": "", "passage": ""}, notes=["a note of the server"])
    page = tab.open(site.url)
    assert page.evaluate("document.activeElement.id") == "question"
    page.wait_for_selector("#index-facts:not(:empty)")
    assert page.inner_text("#index-facts") == "40 records · 1999–2021 · 1 paper retracted · model mini"
    page.keyboard.type("metformin cancer")
    with tab.searching():
        page.keyboard.press("Enter")
    assert site.bodies == [
        {
            "question": "metformin cancer",
            "top_k": 10,
            "mode": "hybrid",
            "filters": None,
            "include_retracted": False,
            "format": "json",
        }
    ]
    assert page.title() == "metformin cancer – papers"
    assert page.inner_text("h2") == "Results for “metformin cancer”"
    assert page.inner_text("[role=status]") == (
        "2 results of 40 records, by words and meaning · embedding 2.0 ms, search 3.0 ms"
    )
    assert texts(page, "#notes li") == ["A note of the server"]
    assert texts(page, ".rank") == ["Result 1", "Result 2"]
    assert texts(page, "h3") == ["Metformin and the risk of cancer", "Title 2"]
    first = page.locator(".hit").first
    assert texts(page, ".source > *") == [
        "Rossi AM, Chen B, Okafor CD, … Last Z (6 authors)",
        "Diabetes Care",
        "2020-03",
    ]
    assert first.locator(".passage").inner_text() == METFORMIN["passage"]
    assert first.locator("mark").all_inner_texts() == ["Metformin", "cancer", "metformin", "cancers"]
    assert first.locator(".type").all_inner_texts() == ["Journal Article", "Meta-Analysis"]
    assert page.locator(".hit").nth(1).locator(".passage").inner_text() == "No abstract."


def test_links_lead_to_pubmed_to_the_full_text_and_to_the_publisher_and_tell_them_nothing(tab, site):
    site.answers(METFORMIN, {"pmid": None, "id": "own-1"})
    page = tab.open(site.url, "q=metformin")
    links = page.locator(".hit a").evaluate_all("all => all.map((a) => [a.href, a.target, a.rel, a.innerText])")
    pubmed = "https://pubmed.ncbi.nlm.nih.gov/33419956/"
    outside = ["_blank", "noopener noreferrer"]
    assert links == [
        [pubmed, *outside, "Metformin and the risk of cancer"],
        [pubmed, *outside, "33419956"],
        ["https://pmc.ncbi.nlm.nih.gov/articles/PMC123/", *outside, "PMC123"],
        ["https://doi.org/10.1000/metformin.(1)%23a%3Fb", *outside, "10.1000/metformin.(1)#a?b"],
    ]
    assert page.locator(".hit").nth(1).locator(".id").inner_text() == "id own-1"


def test_how_much_of_a_score_came_from_meaning_and_from_words(tab, site):
    site.answers(METFORMIN)
    page = tab.open(site.url, "q=metformin")
    assert texts(page, ".score > p") == ["Score 0.93", "meaning 0.50", "words 0.43"]
    widths = page.locator(".bar > *").evaluate_all("parts => parts.map((part) => part.getBoundingClientRect().width)")
    whole = page.locator(".bar").evaluate("bar => bar.getBoundingClientRect().width")
    assert [round(width / whole, 2) for width in widths] == [0.5, 0.43]
    assert "0.50 from meaning (vectors), 0.43 from words" in page.locator(".score").get_attribute("title")


@pytest.mark.parametrize(("mode", "name"), [("vector", "inner product"), ("text", "BM25")])
def test_a_score_of_one_side_says_what_it_is(tab, site, mode, name):
    site.answers({**METFORMIN, "from_vectors": None, "from_words": None, "score": 12.345}, mode=mode)
    page = tab.open(site.url, "q=metformin")
    assert texts(page, ".score > p") == ["Score 12.35", name]
    assert page.locator(".bar").count() == 0


def test_the_whole_record_opens(tab, site):
    site.answers(METFORMIN)
    page = tab.open(site.url, "q=metformin")
    page.get_by_text("Whole record").click()
    assert page.locator(".text").inner_text() == METFORMIN["text"]
    rows = dict(zip(texts(page, "dt"), texts(page, "dd"), strict=True))
    assert rows["Authors"] == "; ".join(METFORMIN["metadata"]["authors"])
    assert rows["MeSH terms"] == "Metformin; Neoplasms"
    assert json.loads(rows["cohort"]) == {"name": "A"}
    assert rows["Id"] == "33419956"
    page.get_by_text("Whole record").click()
    page.get_by_text("Whole record").click()
    assert page.locator(".text").count() == 1


def test_retracted_papers_are_marked_in_words_and_left_out_ones_can_be_shown(tab, site):
    marks = [["RETRACTED (notice: 33419961)"], ["EXPRESSION OF CONCERN"], []]
    note = "2 retracted papers left out: include_retracted shows them"
    site.answers(*({"marks": each} for each in marks), retracted_left_out=2, notes=[note, "another note"])
    page = tab.open(site.url, "q=metformin")
    assert [texts(page, f".hit:nth-child({n}) .marks li") for n in (1, 2, 3)] == [
        ["! RETRACTED (notice: 33419961)"],
        ["! EXPRESSION OF CONCERN"],
        [],
    ]
    assert page.locator(".marks a").get_attribute("href") == "https://pubmed.ncbi.nlm.nih.gov/33419961/"
    assert page.locator(".retracted").count() == page.locator(".concern").count() == 1
    assert page.inner_text("#left-out").split() == ["2", "retracted", "papers", "left", "out.", "Show"]
    assert texts(page, "#notes li") == ["Another note"]  # the other one is said above, with a button
    with tab.searching():
        page.get_by_role("button", name="Show", exact=True).click()
    assert site.bodies[-1]["include_retracted"] is True
    assert page.is_checked("#retracted")
    with tab.searching():
        page.get_by_role("button", name="Leave them out").click()
    assert site.bodies[-1]["include_retracted"] is False


def test_no_result(tab, site):
    site.answers(notes=["no record found: none of 40 records passes the filters"])
    page = tab.open(site.url, "q=metformin&type=None")
    assert texts(page, "#notes li") == ["No record found: none of 40 records passes the filters"]
    assert page.inner_text("[role=status]").startswith("0 results of 40 records")
    assert page.is_hidden("#save")
    with tab.searching():
        page.get_by_role("button", name="Remove all filters").click()
    assert site.bodies[-1]["filters"] is None
    assert page.evaluate("location.hash") == "#q=metformin"


def test_more_like_this_and_back(tab, site):
    page = tab.open(site.url, "q=metformin&since=2015")
    with tab.searching():
        page.locator(".hit").nth(1).get_by_role("button", name="More like this").click()
    assert site.bodies[-1]["like"] == "r2"
    assert "question" not in site.bodies[-1]
    assert site.bodies[-1]["filters"] == {"since": "2015"}
    assert page.inner_text("h2") == "More like “the title of a record”"
    assert page.input_value("#question") == ""
    assert page.evaluate("document.activeElement.id") == "results-name"
    with tab.searching():
        page.go_back()
    assert (site.bodies[-1]["question"], page.input_value("#question")) == ("metformin", "metformin")
    with tab.searching():
        page.go_forward()
    assert site.bodies[-1]["like"] == "r2"
    page.fill("#question", "another")
    with tab.searching():
        page.keyboard.press("Enter")
    assert site.bodies[-1]["question"] == "another"


def test_a_citation_is_copied(new_tab, site):
    site.answers({**METFORMIN, "marks": ["RETRACTED"]})
    tab = new_tab(permissions=["clipboard-read", "clipboard-write"])
    page = tab.open(site.url, "q=metformin")
    page.get_by_role("button", name="Copy citation").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == (
        "[RETRACTED] Rossi AM, Chen B, Okafor CD, Smith E, WHO Group, Last Z. Metformin and the risk of cancer. "
        "Diabetes Care. 2020-03. doi: 10.1000/metformin.(1)#a?b. PMID: 33419956."
    )
