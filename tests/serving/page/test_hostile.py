"""Records that would harm a page that trusts them: all of it is shown as text, and nothing of it runs."""

from __future__ import annotations

MARKUP = "<img src=x onerror=\"document.title='run'\"></script><script>document.title='run'</script><b>&amp;&lt;"
REVERSED = "safe \u202egnirts\u202c \u2066x\u2069 \u200f\u061c"
CONTROLS = "a\x00b\x07c\x1bd\x85e\u2028f\tg\nh\ud800i"
SHOWN_CONTROLS = "a\ufffdb\ufffdc\ufffdd e f g h\ufffdi"
ADDRESS = "javascript:document.title='run'"
ID = "a/../b'\"?#%2f&c=<d>\\ \u202e"


def everywhere(text):
    """A hit that has the text in each of its facts."""
    lists = {name: [text] for name in ("authors", "publication_types", "mesh", "keywords", "journal", "section")}
    ids = dict.fromkeys(("doi", "pmcid", text), text)
    plain = dict.fromkeys(("id", "title", "text", "passage", "pmid", "url", "date"), text)
    return {**plain, "marks": [text, f"RETRACTED (notice: {text})"], "metadata": {**lists, **ids}}


def open_all(page):
    for summary in page.locator(".hit summary").all():
        summary.click()


def is_in_order(page):
    """The title was not changed, nothing was added to the elements of the page, and the last hit stands where it should."""
    assert page.title() == "metformin – papers"
    assert page.locator("#hits img, #hits script, #hits b, #hits style, #hits iframe").count() == 0
    assert page.locator("main .hit").count() == page.locator(".hit").count()
    last = page.locator(".hit").last
    assert last.locator("h3").inner_text() == "The last one"
    box = last.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    cut = "all => all.filter((each) => each.clientWidth && each.scrollWidth > each.clientWidth + 1).map((each) => each.className)"
    assert page.locator("#hits *:not(.unseen)").evaluate_all(cut) == []  # a hit hides what is wider than itself


def test_markup_is_text(tab, site):
    text = " ".join((MARKUP, ADDRESS, "${document.title='run'}{{1+1}}", "'\"><svg/onload=alert(1)>"))
    site.answers(everywhere(text), {"title": "The last one"}, question="metformin", notes=[text], mode=text)
    page = tab.open(site.url, "q=metformin")
    open_all(page)
    page.wait_for_function("document.title.includes('papers')")
    is_in_order(page)
    first = page.locator(".hit").first
    assert first.locator("h3").inner_text() == text
    assert first.locator(".passage").inner_text() == text
    assert first.locator(".text").inner_text() == text
    assert first.locator("dd").all_inner_texts() == [text] * 10
    assert first.locator("a").count() == 0  # nothing of it is an address
    assert page.locator(".suggested button").count() == 1  # of the type; what one hit alone has is not offered
    handlers = page.locator("#hits *").evaluate_all("all => all.flatMap((each) => each.getAttributeNames())")
    assert not [name for name in handlers if name.startswith("on")]


def test_an_address_of_the_server_is_not_trusted_either(tab, site):
    facts = {"pmid": "1/../../evil", "url": "https://evil.example/", "id": "5"}
    site.answers({**facts, "metadata": {"doi": "10.1000/../../evil", "pmcid": "PMC1/x"}}, {"title": "The last one"})
    page = tab.open(site.url, "q=metformin")
    assert page.locator(".hit a").evaluate_all("all => all.map((a) => new URL(a.href).hostname)") == ["doi.org"]


def test_controls_and_marks_of_direction_do_not_reach_the_screen(tab, site):
    hits = [everywhere(CONTROLS), everywhere(REVERSED), {"title": "The last one"}]
    site.answers(*hits, question="metformin", notes=[REVERSED])
    page = tab.open(site.url, "q=metformin")
    open_all(page)
    page.wait_for_function("document.title.includes('papers')")
    is_in_order(page)
    assert page.locator("h3").first.text_content() == SHOWN_CONTROLS
    assert page.locator("h3").nth(1).text_content() == "safe \ufffdgnirts\ufffd \ufffdx\ufffd \ufffd\ufffd"
    found = page.evaluate(
        "document.body.textContent.match(/[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u061c\\u202a-\\u202e\\u2066-\\u2069]/g)"
    )
    assert found is None
    assert page.locator(".hit").first.locator(".text").text_content().count("\n") == 2  # a text keeps its lines
    attributes = page.locator("#hits *, .suggested *").evaluate_all(
        "all => all.flatMap((each) => each.getAttributeNames().map((name) => each.getAttribute(name))).join('')"
    )
    assert "\u202e" not in attributes
    assert "\x1b" not in attributes


def test_writing_from_right_to_left_stays_in_its_place(tab, site):
    arabic = "تأثير الميتفورمين على السرطان"
    site.answers(
        {"title": arabic, "metadata": {"journal": arabic, "authors": [arabic]}, "date": "2020-01"},
        {"title": "Metformin"},
    )
    page = tab.open(site.url, "q=metformin")
    directions = page.locator("h3").evaluate_all("all => all.map((each) => getComputedStyle(each).direction)")
    assert directions == ["rtl", "ltr"]
    right = page.locator(".source > *").evaluate_all("all => all.map((each) => each.getBoundingClientRect().left)")
    assert right == sorted(right)  # authors, journal and date stand in the order of the page


def test_what_is_far_too_long_is_cut_and_whole_in_the_record(new_tab, site):
    long = {"id": "i" * 5000, "title": "t" * 100_000, "text": "word" * 30_000, "passage": "p" * 100_000}
    many = {
        "publication_types": [f"type {n}" for n in range(500)],
        "authors": ["x" * 3000, *("y, z" for _ in range(3000))],
    }
    lists = {**many, "journal": "j" * 5000, "mesh": ["m" * 5000] * 30, "doi": f"10.1000/{'d' * 5000}"}
    site.answers(
        {**long, "metadata": lists, "marks": ["RETRACTED" + "!" * 5000]},
        {"title": "The last one"},
        question="metformin",
    )
    tab = new_tab(viewport={"width": 360, "height": 740})
    page = tab.open(site.url, "q=metformin")
    page.wait_for_function("document.title.includes('papers')")
    is_in_order(page)
    assert page.locator(".hit").first.bounding_box()["height"] < 2500
    assert page.locator("h3").first.inner_text() == "t" * 400 + " …"
    page.locator(".hit summary").first.click()
    whole = page.locator(".hit").first.locator("dl").text_content()
    assert "t" * 100_000 in whole
    assert "i" * 5000 in whole
    assert "type 499" in whole
    is_in_order(page)
    assert tab.console == []


def test_letters_that_pile_up_stay_within_their_hit(tab, site):
    pile = "Z" + "\u0351" * 400
    site.answers({"title": pile, "text": pile, "passage": pile}, {"title": "The last one"}, question="metformin")
    page = tab.open(site.url, "q=metformin")
    page.wait_for_function("document.title.includes('papers')")
    is_in_order(page)
    assert page.locator(".hit").first.evaluate("hit => getComputedStyle(hit).contain") == "paint"


def test_an_id_with_every_sign_of_an_address_finds_its_like(tab, site):
    site.answers({"id": ID}, {"id": "i" * 5000})
    page = tab.open(site.url, "q=metformin")
    with tab.searching():
        page.get_by_role("button", name="More like this").first.click()
    assert site.bodies[-1]["like"] == ID
    page.reload()
    page.wait_for_selector(".hit")
    assert site.bodies[-1]["like"] == ID
    with tab.searching():
        page.get_by_role("button", name="More like this").nth(1).click()
    assert site.bodies[-1]["like"] == "i" * 5000


def test_a_question_is_text_too(tab, site):
    page = tab.open(site.url, "q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E.*(%5B&type=%3Cb%3E&since=%22%3E")
    assert page.input_value("#question") == "<img src=x onerror=alert(1)>.*(["
    assert page.inner_text("h2") == "Results for “<img src=x onerror=alert(1)>.*([”"
    assert page.locator(".chosen button").inner_text() == "<b>"
    assert page.locator("main img, aside b").count() == 0


def test_the_policy_stops_what_would_be_injected(tab, site):
    page = tab.open(site.url, "q=metformin")
    page.evaluate(
        "() => { window.ran = 0; document.querySelector('main').innerHTML ="
        ' \'<img src="x:" onerror="window.ran = 1"><a id="bad" onclick="window.ran = 2">x</a><p style="color: red">y</p>\';'
        " const script = document.createElement('script'); script.textContent = 'window.ran = 3'; document.body.append(script);"
        " document.getElementById('bad').click(); }"
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") == 0
    assert page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')") == "refused"
    assert page.evaluate("getComputedStyle(document.querySelector('main p')).color") != "rgb(255, 0, 0)"
    violations = [line for line in tab.console if "Content Security Policy" in line]
    assert len(violations) >= 5
    tab.console.clear()
    assert not [url for url in tab.requests if ":9/" in url]


def test_no_other_page_shows_this_one_in_a_frame(new_tab, site):
    tab = new_tab()
    outside = f"{site.url}outside"
    tab.page.route(
        outside, lambda route: route.fulfill(body=f"<iframe src={site.url}></iframe>", content_type="text/html")
    )
    with tab.page.expect_console_message(lambda message: "frame-ancestors" in message.text) as told:
        tab.page.goto(outside)
    assert "frame-ancestors 'none'" in told.value.text
    assert tab.page.frames[1].query_selector("#ask") is None
