"""What the page says when the server does not answer as hoped."""

from __future__ import annotations

import pytest
from fastapi.responses import JSONResponse, PlainTextResponse

REFUSED = "Failed to load resource: the server responded with a status of "
"""What the browser itself writes of every such answer."""


def error(status, message, **headers):
    return JSONResponse({"error": {"message": message, "type": "x", "param": None, "code": None}}, status, headers)


def alert(page):
    page.wait_for_selector("#problem:not(:empty)")
    return page.get_by_role("alert").inner_text().split("\n\n")


def of_browser(tab, status):
    """Take out of the console what the browser itself writes of such a status."""
    own = [line for line in tab.console if line.startswith(f"{REFUSED}{status}")]
    tab.console[:] = [line for line in tab.console if line not in own]
    return len(own)


def test_an_error_is_shown_as_text_in_place_of_the_results(tab, site):
    page = tab.open(site.url, "q=metformin")
    usual = site.answer
    site.answer = lambda _body: error(400, "since is <b>'x'</b>; \u202eit may be a year")
    with tab.searching():
        page.fill("#question", "other")
        page.keyboard.press("Enter")
    assert alert(page) == ["since is <b>'x'</b>; \N{REPLACEMENT CHARACTER}it may be a year"]
    assert page.locator(".hit").count() == 0
    assert page.inner_text("h2") == page.inner_text("[role=status]") == ""
    assert page.evaluate("document.activeElement.id") == "question"
    site.answer = usual
    with tab.searching():
        page.keyboard.press("Enter")
    assert page.inner_text("[role=alert]") == ""
    assert page.locator(".hit").count() == 3
    assert of_browser(tab, 400) == 1


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (
            error(503, "256 searches are waiting; try again in 1 s"),
            "The server is busy: 256 searches are waiting; try again in 1 s",
        ),
        (
            PlainTextResponse("<html>", 503, {"Retry-After": "7"}),
            "The server is busy: The server answered with status 503. Try again in 7 s.",
        ),
        (
            PlainTextResponse("", 503, {"Retry-After": "Wed, 21 Oct"}),
            "The server is busy: The server answered with status 503. Try again in a moment.",
        ),
    ],
)
def test_a_busy_server_says_to_try_again_and_a_button_does(tab, site, reply, said):
    usual = site.answer
    site.answer = lambda _body: reply
    page = tab.open(site.url, "q=metformin")
    assert alert(page) == [said, "Try again"]
    site.answer = usual
    with tab.searching():
        page.get_by_role("button", name="Try again").click()
    assert page.locator(".hit").count() == 3
    assert page.inner_text("[role=alert]") == ""
    assert of_browser(tab, 503) == 1


@pytest.mark.parametrize(
    "reply", [PlainTextResponse("Oops", 500), JSONResponse([1], 500), JSONResponse({"error": 5}, 500)]
)
def test_an_error_without_a_message_is_named_by_its_status(tab, site, reply):
    site.answer = lambda _body: reply
    page = tab.open(site.url, "q=metformin")
    assert alert(page) == ["The server answered with status 500."]
    assert of_browser(tab, 500) == 1


def test_a_server_that_is_gone(tab, site):
    page = tab.open(site.url)
    page.route("**/search", lambda route: route.abort("connectionrefused"))
    page.fill("#question", "metformin")
    page.keyboard.press("Enter")
    assert alert(page)[0].startswith("The server did not answer.")
    page.unroute("**/search")
    with tab.searching():
        page.get_by_role("button", name="Try again").click()
    assert page.locator(".hit").count() == 3
    assert [line for line in tab.console if "ERR_CONNECTION_REFUSED" in line] == tab.console
    tab.console.clear()


def test_a_key_is_asked_for_kept_for_the_tab_and_sent(tab, site, new_tab):
    usual = site.answer
    refusal = error(401, "send the key as Authorization: Bearer KEY")

    def answer(body):
        return usual(body) if site.keys[-1] == "Bearer right" else refusal

    site.answer, site.about = answer, refusal
    page = tab.open(site.url, "q=metformin")
    assert alert(page) == ["This server asks for an API key."]
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("wrong")
    with tab.searching():
        page.keyboard.press("Enter")
    page.get_by_text("The server refused the API key.").wait_for()
    assert (page.input_value("#key"), site.keys[-1]) == ("", "Bearer wrong")
    site.about = None
    page.keyboard.type("right")
    with tab.searching():
        page.keyboard.press("Enter")
    assert page.locator(".hit").count() == 3
    assert page.is_hidden("#key-form")
    page.wait_for_selector("#index-facts:not(:empty)")
    page.reload()
    page.wait_for_selector(".hit")
    assert site.keys[-1] == "Bearer right"
    assert "right" not in page.url
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.get_by_role("button", name="Forget the API key").click()
    page.wait_for_selector("#key-form:not([hidden])")
    assert site.keys[-1] == ""
    assert of_browser(tab, 401) >= 3


def test_a_key_that_no_header_can_hold_is_not_sent(tab, site):
    site.answer = lambda _body: error(401, "a key, please")
    page = tab.open(site.url, "q=metformin")
    page.wait_for_selector("#key-form:not([hidden])")
    page.fill("#key", "kéy\u0100")
    page.press("#key", "Enter")
    assert page.locator("#key:invalid").count() == 1
    assert site.keys == [""]
    assert of_browser(tab, 401) == 1


def test_a_file_that_cannot_be_saved(tab, site):
    page = tab.open(site.url, "q=metformin")
    site.answer = lambda _body: error(400, "no such format")
    page.get_by_role("button", name="RIS").click()
    assert alert(page) == ["no such format"]
    assert page.locator(".hit").count() == 3
    assert of_browser(tab, 400) == 1


def test_a_browser_that_keeps_nothing(tab, site):
    refuse = "get() { throw new DOMException('blocked', 'SecurityError') }"
    for name in ("localStorage", "sessionStorage"):
        tab.page.add_init_script(f"Object.defineProperty(window, '{name}', {{ {refuse} }})")
    usual = site.answer
    site.answer = lambda body: usual(body) if site.keys[-1] == "Bearer right" else error(401, "a key, please")
    page = tab.open(site.url, "q=metformin")
    page.wait_for_selector("#key-form:not([hidden])")
    page.fill("#key", "right")
    with tab.searching():
        page.press("#key", "Enter")
    assert page.locator(".hit").count() == 3
    page.uncheck("#single-keys")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "single-keys"
    assert of_browser(tab, 401) == 1


def test_without_scripts_the_page_says_so(new_tab, site):
    page = new_tab(java_script_enabled=False).page
    page.goto(site.url)
    assert "This page needs JavaScript" in page.inner_text("noscript")
    assert page.is_hidden("#ask")
    assert page.is_hidden("main")
