"""The page over the real server and a real index."""

from __future__ import annotations

import json

import pytest

from bmretriever_integrations.index import SearchIndex, build_index
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.settings import ServerSettings
from bmretriever_integrations.terminal.characters import printable

HOSTILE = [
    {
        "_id": "a/../b'\"?#%2f&c=<d>\\",
        "title": "<img src=x onerror=\"document.title='run'\">",
        "text": "</script><script>1</script>",
    },
    {"_id": "i" * 5000, "title": "t" * 100_000, "text": "hostile \u202e\u0000\u001b[31m"},
    {
        "_id": "..",
        "title": "dots",
        "text": "hostile",
        "doi": "javascript:alert(1)",
        "journal": "<b>j</b>",
        "pmid": "javascript:1",
    },
    {"_id": "last", "title": "The last one", "text": "hostile"},
]


def titles(page):
    return page.locator("h3").all_inner_texts()


def titles_of(hits):
    return [printable(hit.title) for hit in hits]


def test_a_question_finds_what_the_index_finds(tab, server, index):
    page = tab.open(f"{server.url}/")
    page.wait_for_selector("#index-facts:not(:empty)")
    assert page.inner_text("h1") == "papers-index"
    assert page.inner_text("#index-facts").startswith(f"{len(index)} records · 1999–2021 · 1 paper retracted · model ")
    page.keyboard.type("does metformin lower the risk of cancer")
    with tab.searching():
        page.keyboard.press("Enter")
    hits = index.search("does metformin lower the risk of cancer", 10)
    assert titles(page) == titles_of(hits)
    assert page.locator(".total").all_inner_texts() == [f"Score\n{hit.score:.2f}" for hit in hits]
    assert page.inner_text("#left-out") == "1 retracted paper left out.\nShow"
    assert page.locator("#notes li").count() == 0
    first = page.locator(".hit").first
    assert first.locator("mark").all_inner_texts()[:3] == ["Metformin", "risk", "cancer"]
    with tab.searching():
        page.get_by_role("button", name="Show", exact=True).click()
    assert page.locator(".hit:has(.retracted) h3").all_inner_texts() == ["Metformin prevents every cancer"]
    assert page.locator(".retracted").inner_text().split("\n")[-1] == "RETRACTED (notice: 33419961)"


def test_filters_narrow_the_results(tab, server, index):
    page = tab.open(
        f"{server.url}/",
        "q=risk&since=2020&until=2020&type=meta-analysis&mesh=Diabetes+Mellitus,+Type+2&journal=diabetes+care&language=English",
    )
    assert titles(page) == ["Metformin and the risk of cancer"]
    page.fill("#since", "2021")
    with tab.searching():
        page.press("#since", "Enter")
    assert page.get_by_role("alert").inner_text() == "since='2021' is after until='2020'; no record can match"
    page.fill("#until", "")
    with tab.searching():
        page.press("#until", "Enter")
    assert page.locator("#notes li").all_inner_texts() == [f"No record found: none of {len(index)} passes the filters"]
    assert len([line for line in tab.console if "400 (Bad Request)" in line]) == len(tab.console) == 1
    tab.console.clear()


@pytest.mark.parametrize("mode", ["vector", "text"])
def test_modes(tab, server, index, mode):
    page = tab.open(f"{server.url}/", f"q=aspirin+stroke&mode={mode}&top=5")
    assert titles(page) == titles_of(index.search("aspirin stroke", 5, mode=mode))
    assert page.locator(".bar").count() == 0


def test_more_like_a_record_whose_id_means_something_in_an_address(tab, server, index):
    page = tab.open(f"{server.url}/", "q=aspirin+stroke")
    with tab.searching():
        page.locator(".hit").first.get_by_role("button", name="More like this").click()
    assert page.inner_text("h2") == "More like “Aspirin lowers the risk of stroke”"
    assert titles(page) == titles_of(index.more_like("PMC7/results 1?x#2", 10))
    with tab.searching():
        page.go_back()
    assert titles(page)[0] == "Aspirin lowers the risk of stroke"


def test_a_key_of_the_server(new_tab, serve_index):
    with serve_index(ServerSettings(api_key="secret-1")) as running:
        tab = new_tab()
        page = tab.open(f"{running.url}/", "q=metformin")
        page.wait_for_selector("#key-form:not([hidden])")
        page.fill("#key", "secret-1")
        with tab.searching():
            page.press("#key", "Enter")
        assert page.locator(".hit").count() == 10
        assert page.is_hidden("#key-form")


def test_a_server_without_an_index_says_so(tab, serve_model):
    with serve_model() as running:
        page = tab.open(f"{running.url}/")
        page.wait_for_selector("#problem:not(:empty)")
        assert "embeddings only and no index" in page.get_by_role("alert").inner_text()
    assert len(tab.console) == 1  # the browser's own line about the status 404
    tab.console.clear()


@pytest.fixture(scope="module")
def hostile_index(mini, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "papers.jsonl").write_text("".join(json.dumps(record) + "\n" for record in HOSTILE), "utf-8")
    build_index(mini, [folder / "papers.jsonl"], folder / "<b>index")
    with SearchIndex.open(folder / "<b>index") as index:
        yield index


def test_hostile_records_of_an_index(tab, hostile_index, index_encoder, run_service):
    settings = ServerSettings()
    service = Service.of_index(hostile_index, index_encoder, settings.limits)
    with run_service(service, settings) as running:
        page = tab.open(f"{running.url}/", "q=hostile")
        page.wait_for_function("document.title === 'hostile – <b>index'")
        shown = titles(page)
        assert sorted(shown) == sorted(["t" * 400 + " …", HOSTILE[0]["title"], "dots", "The last one"])
        for summary in page.locator(".hit summary").all():
            summary.click()
        assert page.locator(".hit a, #hits img, #hits b, #hits script").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        for title in (HOSTILE[0]["title"], "t" * 400 + " …", "dots"):
            with tab.searching():
                hit = page.locator(".hit").filter(has=page.get_by_role("heading", name=title, exact=True))
                hit.get_by_role("button", name="More like this").click()
            assert page.locator(".hit").count() == 3
            assert title not in titles(page)
            with tab.searching():
                page.go_back()
    assert page.title() == "hostile – <b>index"
