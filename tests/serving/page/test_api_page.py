"""The page of the routes shows and tries them in a real browser, under its policy and without any other site."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi_offline")


def test_routes_are_shown_and_tried(tab, server):
    page = tab.page
    page.goto(f"{server.url}/docs")
    shown = page.locator(".opblock-summary-path")
    shown.first.wait_for()
    paths = {text.replace("\u200b", "") for text in shown.all_inner_texts()}
    assert {"/search", "/search/batch", "/records/{record_id}", "/index", "/v1/embeddings", "/embed"} <= paths
    page.locator("#operations-search-search .opblock-summary-control").click()
    with page.expect_response(lambda response: response.url.endswith("/search")) as answered:
        page.locator("#operations-search-search button.execute").click()  # with the example
    assert answered.value.status == 200
    assert answered.value.json()["mode"] == "hybrid"
    page.locator("#operations-search-search .live-responses-table").wait_for()
    assert tab.console == []
    assert tab.origins() == {server.url}
