"""Files that the page saves are those that the server answers with."""

from __future__ import annotations

import json

import pytest

QUESTION = "does metformin lower the risk of cancer"


def open_hits(tab, server):
    return tab.open(
        f"{server.url}/", "q=does+metformin+lower+the+risk+of+cancer&retracted=yes&top=3&type=Journal+Article"
    )


def saved(page, name):
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def asked(server, form):
    body = {"question": QUESTION, "top_k": 3, "include_retracted": True, "format": form}
    answer = server.client.post("/search", json={**body, "filters": {"publication_types": ["Journal Article"]}})
    assert answer.status_code == 200
    return answer


@pytest.mark.parametrize("form", ["ris", "csv"])
def test_the_file_is_that_of_the_server(tab, server, form):
    page = open_hits(tab, server)
    name, content = saved(page, form.upper())
    assert name == f"hits.{form}"
    assert content == asked(server, form).content
    assert b"33419956" in content
    assert b"33419960" in content
    assert b"33419958" not in content  # it passes no filter


def test_json_is_the_whole_answer(tab, server):
    page = open_hits(tab, server)
    name, content = saved(page, "JSON")
    answer, expected = json.loads(content), asked(server, "json").json()
    assert name == "hits.json"
    assert answer.pop("timings").keys() == expected.pop("timings").keys()
    assert answer == expected
    assert [hit["title"] for hit in answer["hits"]] == page.locator("h3").all_inner_texts()


def test_hits_like_a_record_are_saved_as_such(tab, server):
    page = open_hits(tab, server)
    with tab.searching():
        page.locator(".hit").first.get_by_role("button", name="More like this").click()
    _, content = saved(page, "JSON")
    answer = json.loads(content)
    assert answer["question"] == "Metformin and the risk of cancer"
    assert "33419956" not in [hit["id"] for hit in answer["hits"]]
