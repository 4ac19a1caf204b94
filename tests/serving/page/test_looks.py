"""The page on a phone, in light and dark colours, on paper, and for who wants no motion."""

from __future__ import annotations

import threading

import pytest
from fastapi.responses import JSONResponse

WORD = "immunoelectrophoresis"
HIT = {
    "id": "33419956",
    "pmid": "33419956",
    "title": f"Metformin and {WORD * 2}: the risk of cancer",
    "text": "Metformin lowers the risk. " * 30,
    "passage": "... Metformin lowers the risk. " * 4,
    "date": "2020-03-14",
    "marks": ["RETRACTED (notice: 33419961)", "EXPRESSION OF CONCERN"],
    "metadata": {
        "journal": "The journal of gynecology, obstetrics and human reproduction",
        "authors": ["Rossi, Ada", "Chen, Bo"] * 6,
        "publication_types": ["Journal Article", "Meta-Analysis", "Randomized Controlled Trial"],
        "mesh": ["Metformin", "Diabetes Mellitus, Type 2"],
        "doi": "10.1016/j.jogoh.2021.102164-and-a-long-end-without-any-space",
    },
}
PARTS = "q=metformin+risk&type=Review&mesh=Humans&since=2001"

# Every text that is seen -> [text, contrast with what is behind it, as WCAG computes it]
CONTRASTS = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3) return colour;
      if (colour[3] > 0) throw new Error("a colour is mixed: " + getComputedStyle(at).backgroundColor);
    }
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest("datalist, option")) continue;
    found.push([walker.currentNode.data.trim(), ratio(numbers(getComputedStyle(element).color), behind(element))]);
  }
  for (const field of document.querySelectorAll("input, textarea, select")) {
    if (!field.checkVisibility() || field.matches("[type=checkbox], [type=radio]")) continue;
    const style = getComputedStyle(field);
    found.push([field.id, ratio(numbers(style.color), behind(field))]);
    found.push([field.id + " placeholder", ratio(numbers(getComputedStyle(field, "::placeholder").color), behind(field))]);
    found.push([field.id + " edge", 1.5 * ratio(numbers(style.borderColor), behind(field.parentElement))]); // 3 will do
  }
  return found;
}"""


def show_all(tab, site):
    """Open a page on which everything that has a colour is seen."""
    site.answers(HIT, {**HIT, "text": "", "marks": []}, retracted_left_out=3, notes=["a note of the server"])
    page = tab.open(site.url, PARTS)
    page.locator("#filters").evaluate("each => each.open = true")
    page.locator(".hit summary").first.click()
    page.wait_for_selector("#index-facts:not(:empty)")
    return page


def fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_contrast_is_enough_everywhere(new_tab, site, colours):
    tab = new_tab(color_scheme=colours)
    page = show_all(tab, site)
    lightness = page.evaluate("getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)")
    assert (min(lightness) > 240) if colours == "light" else (max(lightness) < 40)
    seen = page.evaluate(CONTRASTS)
    site.answer = lambda _body: JSONResponse({"error": {"message": "a key"}}, 401)
    with tab.searching():
        page.get_by_role("button", name="Search").click()
    page.wait_for_selector("#key-form:not([hidden])")
    seen += page.evaluate(CONTRASTS)
    texts = [text for text, _ in seen]
    for expected in (
        "RETRACTED (notice:",
        "EXPRESSION OF CONCERN",
        "Search",
        "Metformin",
        "No abstract.",
        "key",
        "question edge",
    ):
        assert expected in texts
    assert [(text, round(contrast, 2)) for text, contrast in seen if contrast < 4.5] == []


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_window(new_tab, site, width):
    tab = new_tab(viewport={"width": width, "height": 740})
    page = show_all(tab, site)
    assert fits(page)
    edges = page.locator("body *").evaluate_all(
        "all => all.filter((each) => each.checkVisibility() && !each.closest('.unseen, .asked, .skip, datalist'))"
        ".map((each) => each.getBoundingClientRect().right)"
    )
    assert max(edges) <= width
    first = page.locator(".hit").first
    assert first.locator(".score").bounding_box()["y"] > first.locator(".passage").bounding_box()["y"] or width > 640
    assert tab.console == []


def test_what_is_touched_is_large_enough_on_a_phone(new_tab, site):
    page = show_all(new_tab(viewport={"width": 360, "height": 740}, has_touch=True), site)
    sizes = page.locator("button, select, textarea, summary, input:not([type=checkbox], [type=radio])").evaluate_all(
        "all => all.filter((each) => each.checkVisibility()).map((each) => each.getBoundingClientRect().height)"
    )
    assert len(sizes) > 15
    assert min(sizes) >= 24  # pixels, as WCAG 2.2 asks


def test_filters_are_closed_on_a_phone_and_open_beside_the_results(new_tab, site):
    phone = new_tab(viewport={"width": 360, "height": 740}).open(site.url, PARTS)
    assert phone.inner_text("aside summary") == "Filters (3)"
    assert phone.is_hidden("#since")
    wide = new_tab(viewport={"width": 1280, "height": 740}).open(site.url, PARTS)
    assert wide.is_visible("#since")
    assert wide.locator("aside").bounding_box()["x"] < wide.locator("main").bounding_box()["x"]


@pytest.mark.parametrize(("motion", "animations"), [("no-preference", 2), ("reduce", 0)])
def test_motion_is_left_out_for_who_wants_none(new_tab, site, motion, animations):
    release, usual = threading.Event(), site.answer

    def answer(body):
        release.wait(30)
        return usual(body)

    site.answer = answer
    page = new_tab(reduced_motion=motion).page
    page.goto(f"{site.url}#q=metformin")
    page.wait_for_selector("main[aria-busy=true]")
    count = "document.querySelector('main').getAnimations({ subtree: true }).length"
    page.wait_for_function(f"{count} === {animations}")  # each begins with the next picture of its element
    assert page.evaluate(count) == animations
    release.set()
    page.wait_for_selector("main[aria-busy=false]")
    assert page.evaluate("document.getAnimations().length") == 0


def test_paper_shows_the_question_and_the_hits_alone(new_tab, site):
    page = show_all(new_tab(viewport={"width": 700, "height": 900}), site)
    page.emulate_media(media="print")
    for hidden in ("#ask", "aside", "footer", "#save", ".buttons"):
        assert page.locator(hidden).first.is_hidden(), hidden
    assert page.inner_text("h2") == "Results for “metformin cancer”"
    assert page.locator("h3").first.is_visible()
    assert page.locator(".marks").first.is_visible()
