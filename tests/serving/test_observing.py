"""What the log and the counts tell of requests, and what they keep to themselves."""

from __future__ import annotations

import logging
import re
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.serving.settings import Limits, ServerSettings

SECRET = 'Does secretin\n\x1b[2J\u202e\u2028 "cure" patients?'


@pytest.fixture
def lines(caplog):
    """A function: a number -> so many lines of the access log; the last one comes after its answer."""
    caplog.set_level(logging.INFO, logger="bmretriever_integrations.serving")

    def first(count):
        while len(caplog.records) < count:
            time.sleep(0.01)
        return [record.getMessage() for record in caplog.records]

    return first


@pytest.fixture
def numbers():
    """A function: a server -> its numbers, by their names and labels."""

    def read(server):
        answer = server.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        found = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found[(sample.name, *(value for _, value in sorted(sample.labels.items())))] = sample.value
        return found

    return read


def test_a_line_for_each_request_without_what_was_asked(server, lines):
    question = {"question": SECRET, "filters": {"journal": "secret-journal"}}
    assert server.client.post("/search", json=question).status_code == 200
    assert server.client.get("/records/case-1?secret=1").status_code == 200
    assert server.client.get("/secret?secret=2", headers={"Authorization": "Bearer secret"}).status_code == 404
    assert server.client.post("/search", content=b"secret", headers={"Content-Type": "secret"}).status_code == 415
    found = lines(4)
    assert [re.sub(r"[\d.]+ ms", "TIME", line) for line in found] == [
        "POST /search 200 in TIME, 1 text",
        "GET /records/{record_id:path} 200 in TIME",
        "GET none 404 in TIME",
        "POST none 415 in TIME",
    ]
    assert "secret" not in "".join(found)


def test_texts_in_the_log_cannot_control_who_reads_it(serve_index, lines):
    with serve_index(ServerSettings(log_texts=True)) as server:
        server.client.post("/search", json={"question": SECRET, "mode": "text"})
        many = ["a" * 2_000, *("next" for _ in range(20))]
        server.client.post("/search/batch", json={"questions": many, "mode": "text"})
        one, several = lines(2)
    assert one.endswith(r'1 text ["Does secretin\n\u001b[2J\u202e\u2028 \"cure\" patients?"]')
    assert several.endswith('a...", ' + ", ".join(['"next"'] * 9) + "] and 11 more")
    assert len(several) < 1_200


def test_an_error_of_the_server_is_explained_in_its_log_alone(server, monkeypatch, caplog):
    def fail(*_asked, **_options):
        raise ZeroDivisionError("the reason")

    monkeypatch.setattr(SearchIndex, "get", fail)
    assert server.client.get("/records/case-1").status_code == 500
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "GET /records/{record_id:path} was not answered"
    assert str(record.exc_info[1]) == "the reason"


def test_a_client_that_hangs_up_is_noted(serve_index, wire, lines):
    with serve_index() as server:
        line = wire(server)
        line.send("POST /search HTTP/1.1", "Content-Type: application/json", "Content-Length: 5", body=b"{")
        line.close()
        (found,) = lines(1)
    assert found.startswith("POST none 499 ")


def test_requests_and_batches_are_counted(serve_index, numbers):
    with serve_index() as server:
        assert ("bmretriever_batch_texts_count", "query") not in numbers(server)
        server.client.post("/search/batch", json={"questions": ["insulin", "statins", "word " * 600]})
        server.client.get("/records/case-1")
        server.client.get("/records/case-2")
        server.client.get("/records/none")
        server.client.get("/none")
        server.client.get("/mcp")
        found = numbers(server)
    count = "bmretriever_requests_total"
    assert found[(count, "POST", "/search/batch", "200")] == 1
    assert found[(count, "GET", "/records/{record_id:path}", "200")] == 2
    assert found[(count, "GET", "/records/{record_id:path}", "404")] == 1
    assert found[(count, "GET", "none", "404")] == 1
    assert found[(count, "GET", "/mcp", "405")] == 1
    assert found[("bmretriever_request_seconds_count", "/records/{record_id:path}")] == 3
    assert found[("bmretriever_batch_texts_sum", "query")] == 3
    assert found[("bmretriever_batch_tokens_sum", "query")] > 512
    assert found[("bmretriever_batch_seconds_count", "query")] >= 1
    assert found[("bmretriever_cut_texts_total",)] == 1
    assert found[("bmretriever_refused_requests_total",)] == 0
    assert found[("bmretriever_waiting_texts",)] == found[("bmretriever_searches",)] == 0


def test_what_waits_is_looked_at_when_it_is_asked_for(serve_index, numbers, monkeypatch):
    begun, go_on, plain = threading.Event(), threading.Event(), SearchIndex.get

    def get(self, ids):
        begun.set()
        assert go_on.wait(60)
        return plain(self, ids)

    monkeypatch.setattr(SearchIndex, "get", get)
    with serve_index(limits=Limits(searches=1)) as server:
        asking = threading.Thread(target=server.client.get, args=("/records/case-1",))
        asking.start()
        assert begun.wait(60)
        busy = numbers(server)
        assert server.client.get("/records/case-2").status_code == 503
        go_on.set()
        asking.join()
        free = numbers(server)
    assert (busy[("bmretriever_searches",)], free[("bmretriever_searches",)]) == (1, 0)
    assert free[("bmretriever_refused_requests_total",)] == 1


def test_two_servers_count_for_themselves(serve_index, serve_model, numbers):
    with serve_index() as one, serve_model() as other:
        one.client.get("/none")
        key = ("bmretriever_requests_total", "GET", "none", "404")
        assert numbers(one)[key] == 1
        assert key not in numbers(other)
        assert ("bmretriever_searches",) not in numbers(other)


def test_openmetrics_for_those_who_ask(server):
    answer = server.client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
