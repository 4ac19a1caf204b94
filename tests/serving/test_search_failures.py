"""An index that changes or breaks while it is served, and more searches than the server takes."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bmretriever_integrations.index import DamagedIndex, IndexMismatch, SearchIndex, build_index
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.settings import Limits, ServerSettings

INTERNAL = "the server could not answer; its log says why"


@pytest.fixture
def own_index(index_folder, tmp_path):
    """A copy of the index that a test may change."""
    shutil.copytree(index_folder.parent, tmp_path / "own")
    with SearchIndex.open(tmp_path / "own" / index_folder.name) as index:
        yield index


@pytest.fixture
def own_server(own_index, index_encoder, run_service):
    with run_service(Service.of_index(own_index, index_encoder, Limits()), ServerSettings()) as server:
        yield server


def test_an_index_that_changes_is_searched_as_it_is(own_index, own_server, mini):
    client = own_server.client
    asked = {"question": "Do otters hold hands?", "top_k": 1}
    before, counted = client.post("/search", json=asked).json(), client.get("/index").json()
    paper = {"_id": "otters", "title": "Otters hold hands", "text": "Otters that sleep hold hands.", "date": "2026"}
    source = own_index.folder.parent / "more.jsonl"
    source.write_text(json.dumps(paper) + "\n", "utf-8")
    build_index(mini, [source], own_index.folder)
    after = client.post("/search", json=asked).json()
    assert before["hits"][0]["id"] != "otters"
    assert after["hits"][0]["id"] == "otters"
    assert after["records"] == before["records"] + 1
    assert client.get("/records/otters").json()["title"] == paper["title"]
    assert client.get("/index").json() == counted | {"records": counted["records"] + 1, "years": [1999, 2026]}


def test_an_index_that_is_deleted_is_an_error_of_the_server_that_names_no_path(own_index, own_server):
    client = own_server.client
    shutil.rmtree(own_index.folder)
    for answer in (
        client.post("/search", json={"question": "insulin"}),
        client.post("/search", json={"like": "case-1"}),
        client.get("/records/case-1"),
        client.get("/index"),
    ):
        assert answer.status_code == 500
        assert answer.json()["error"] == {"message": INTERNAL, "type": "server_error", "param": None, "code": None}
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "kind", [DamagedIndex, IndexMismatch, FileNotFoundError, ValueError, RuntimeError, MemoryError]
)
def test_what_an_error_of_the_server_says_stays_on_it(server, monkeypatch, kind, caplog):
    def fail(*_asked, **_options):
        raise kind("/srv/secret/papers-index is damaged")

    for name in ("search_many", "more_like", "get"):
        monkeypatch.setattr(SearchIndex, name, fail)
    for answer in (
        server.client.post("/search", json={"question": "insulin"}),
        server.client.post("/search/batch", json={"questions": ["insulin"]}),
        server.client.post("/search", json={"like": "case-1"}),
        server.client.get("/records/case-1"),
    ):
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == INTERNAL
        assert "secret" not in answer.text
    causes = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert causes == ["/srv/secret/papers-index is damaged"] * 4  # the log says why
    assert server.client.get("/health").status_code == 200  # on the same connection


def test_more_searches_than_wait_are_told_to_come_again(serve_index, monkeypatch):
    begun, go_on, plain = threading.Event(), threading.Event(), SearchIndex.search_many

    def search_many(self, *asked, **options):
        begun.set()
        assert go_on.wait(60)
        return plain(self, *asked, **options)

    monkeypatch.setattr(SearchIndex, "search_many", search_many)
    with serve_index(limits=Limits(searches=1)) as small, ThreadPoolExecutor(1) as other:
        first = other.submit(small.client.post, "/search", json={"question": "insulin"})
        assert begun.wait(60)
        try:
            answers = [
                small.client.post("/search", json={"question": "insulin"}),
                small.client.get("/records/case-1"),
                small.client.get("/index"),
            ]
        finally:
            go_on.set()
        for answer in answers:
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["error"]["code"] == "overloaded"
        assert first.result().status_code == 200
        assert small.client.post("/search", json={"question": "insulin"}).status_code == 200
