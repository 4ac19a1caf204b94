"""How a user asks: filters, the address, keys, and a search that overtakes another."""

from __future__ import annotations

import threading

from fastapi.responses import JSONResponse

FACTS = [
    {
        "publication_types": ["Journal Article", "Review"],
        "mesh": ["Humans", "Diabetes Mellitus, Type 2"],
        "journal": "A",
    },
    {"publication_types": ["Journal Article"], "mesh": ["Humans"], "journal": "A"},
    {"publication_types": ["Journal Article"], "mesh": ["Mice"], "journal": "B"},
]


def test_filters_reach_the_server_and_the_address_keeps_them(tab, site):
    page = tab.open(site.url, "q=metformin")
    for field, value in {
        "types-add": "Meta-Analysis",
        "mesh-add": "Diabetes Mellitus, Type 2",
        "journals-add": 'The "Lancet" & <others>',
        "languages-add": "German",
        "since": "2015",
        "until": "2020-06",
    }.items():
        with tab.searching():
            page.fill(f"#{field}", value)
            page.press(f"#{field}", "Enter")
    with tab.searching():
        page.fill("#types-add", "Review")
        page.press("#types-add", "Tab")  # what was typed counts when the field is left
    for name in ("major", "retracted"):
        with tab.searching():
            page.check(f"#{name}")
    with tab.searching():
        page.get_by_label("Meaning", exact=True).check()
    with tab.searching():
        page.select_option("#count", "50")
    asked = site.bodies[-1]
    assert asked == {
        "question": "metformin",
        "top_k": 50,
        "mode": "vector",
        "filters": {
            "since": "2015",
            "until": "2020-06",
            "publication_types": ["Meta-Analysis", "Review"],
            "mesh_major": ["Diabetes Mellitus, Type 2"],
            "journal": ['The "Lancet" & <others>'],
            "languages": ["German"],
        },
        "include_retracted": True,
        "format": "json",
    }
    assert page.inner_text("aside summary") == "Filters (7)"
    address = page.url
    page.goto("about:blank")
    tab.open(*address.split("#"))
    assert site.bodies[-1] == asked  # a bookmark asks the same, and the form shows it
    assert page.get_by_role("button", name="Remove Meta-Analysis").inner_text() == "Meta-Analysis"
    assert [page.is_checked(f"#{name}") for name in ("major", "retracted")] == [True, True]
    assert page.input_value("#count") == "50"
    with tab.searching():
        page.get_by_role("button", name="Remove Review").click()
    assert site.bodies[-1]["filters"]["publication_types"] == ["Meta-Analysis"]
    assert page.evaluate("document.activeElement.id") == "types-add"


def test_a_value_chosen_from_a_list_counts_at_once(tab, site):
    page = tab.open(site.url, "q=metformin")
    page.fill("#languages-add", "")
    with tab.searching():
        page.locator("#languages-add").evaluate(
            "field => { field.value = 'French';"
            "field.dispatchEvent(new InputEvent('input', { inputType: 'insertReplacementText', bubbles: true })) }"
        )
    assert site.bodies[-1]["filters"] == {"languages": ["French"]}


def test_the_hits_offer_filters(tab, site):
    site.answers(*({"metadata": facts} for facts in FACTS))
    page = tab.open(site.url, "q=metformin")
    offered = page.locator(".suggested button").all_inner_texts()
    assert offered == ["Journal Article 3", "Review 1", "Humans 2", "A 2"]
    with tab.searching():
        page.get_by_role("button", name="Only Review, 1 of these results").click()
    assert site.bodies[-1]["filters"] == {"publication_types": ["Review"]}
    assert page.locator(".suggested button").all_inner_texts() == ["Journal Article 3", "Humans 2", "A 2"]
    assert page.evaluate("document.activeElement.id") == "results-name"


def test_a_year_that_is_none_is_not_sent(tab, site):
    page = tab.open(site.url, "q=metformin")
    page.fill("#since", "last year")
    page.press("#since", "Enter")
    assert page.locator("#since:invalid").count() == 1
    assert len(site.bodies) == 1


def test_an_address_that_says_nonsense_asks_as_usual(tab, site):
    page = tab.open(site.url, "q=metformin&top=-3&mode=magic&retracted=1&other=2&type=&type=A&type=A")
    assert site.bodies[-1] == {
        "question": "metformin",
        "top_k": 10,
        "mode": "hybrid",
        "filters": {"publication_types": ["A"]},
        "include_retracted": False,
        "format": "json",
    }
    tab.open(site.url, "q=metformin&top=33")
    assert (site.bodies[-1]["top_k"], page.input_value("#count")) == (33, "33")


def test_questions_stay_out_of_the_addresses_that_the_server_sees(tab, site):
    page = tab.open(site.url, "q=private+question&mesh=Private")
    with tab.searching():
        page.fill("#question", "another private question")
        page.keyboard.press("Enter")
    assert len(site.bodies) == 2
    assert not [url for url in tab.requests if "rivate" in url.partition("#")[0]]
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]


def test_a_later_search_overtakes_an_earlier_one(tab, site):
    arrived, release, usual = threading.Event(), threading.Event(), site.answer

    def answer(body):
        if body["question"] == "slow":
            arrived.set()
            release.wait(30)
        return usual(body)

    site.answer = answer
    page = tab.open(site.url)
    page.fill("#question", "slow")
    page.keyboard.press("Enter")
    assert arrived.wait(30)
    assert page.get_attribute("main", "aria-busy") == "true"
    with page.expect_event("requestfailed") as given_up:
        page.fill("#question", "quick")
        page.keyboard.press("Enter")
    assert given_up.value.post_data_json["question"] == "slow"
    page.wait_for_selector("main[aria-busy=false]")
    release.set()
    assert page.inner_text("h2") == "Results for “quick”"
    assert page.inner_text("[role=alert]") == ""


def test_an_empty_question_asks_nothing(tab, site):
    page = tab.open(site.url)
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Enter")
    assert page.is_visible("#start")
    assert site.bodies == []
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    with tab.searching():
        page.keyboard.press("Enter")
    assert site.bodies[-1]["question"] == "one\ntwo"
    assert page.is_hidden("#start")


def focused(page):
    """What has the focus, and whether a reader sees that."""
    return page.evaluate(
        "() => { const at = document.activeElement; const style = getComputedStyle(at);"
        "return [at.id || at.getAttribute('aria-label') || at.innerText.trim(),"
        "style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2] }"
    )


def test_all_of_it_works_by_keyboard(tab, site):
    site.answers({"pmid": "1", "metadata": FACTS[0]}, {"pmid": "2"})
    page = tab.open(site.url)
    page.keyboard.type("metformin")
    with tab.searching():
        page.keyboard.press("Enter")
    assert focused(page) == ["results-name", True]
    seen = []
    for _ in range(10):
        page.keyboard.press("Tab")
        seen.append(focused(page))
    assert [name for name, _ in seen] == [
        *("RIS", "CSV", "JSON", "Title 1", "1", "Whole record", "More like this", "Copy citation"),
        *("Title 2", "2"),
    ]
    page.keyboard.press("/")
    assert focused(page) == ["question", True]
    assert page.input_value("#question") == "metformin"
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.append(focused(page))
    assert [name for name, _ in seen[10:]] == [
        *("Search", "", "count", "Filters", "since", "until", "types-add", "Only Journal Article, 1 of these results"),
        *("Only Review, 1 of these results", "mesh-add", "major", "journals-add"),
    ]
    assert all(visible for _, visible in seen)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.wait_for_function("location.hash.includes('major=yes')")


def test_single_keys_go_through_the_results_and_can_be_turned_off(tab, site):
    page = tab.open(site.url, "q=metformin")
    page.locator("#results-name").focus()
    went = []
    for key in ("j", "j", "j", "j", "k", "Control+j"):
        page.keyboard.press(key)
        went.append(page.evaluate("document.activeElement.id"))
    assert went == ["hit-1", "hit-2", "hit-3", "hit-3", "hit-2", "hit-2"]
    page.keyboard.press("/")
    page.keyboard.type("j/")
    assert page.input_value("#question") == "metforminj/"
    page.uncheck("#single-keys")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "single-keys"
    page.reload()
    page.wait_for_selector("main[aria-busy=false]")
    assert page.is_checked("#single-keys") is False


def test_the_first_stop_of_the_keyboard_skips_to_the_results(tab, site):
    page = tab.open(site.url, "q=metformin")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to the results"
    assert page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("[document.activeElement.id, location.hash]") == ["results", "#q=metformin"]


def test_notes_are_announced_and_parts_are_named(tab, site):
    site.answer = lambda _body: JSONResponse({"hits": None})
    page = tab.open(site.url, "q=metformin")
    page.get_by_role("alert").get_by_text("The answer is none of this server's search.").wait_for()
    landmarks = [
        page.get_by_role(role).count() for role in ("banner", "search", "complementary", "main", "contentinfo")
    ]
    assert landmarks == [1, 1, 1, 1, 1]
    assert page.get_by_role("status").count() == 1
