"""A large answer is sent while later texts are embedded, one that fails has no end, and who hangs up leaves no texts behind."""

from __future__ import annotations

import json
import logging
import socket
import struct
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.serving import answers
from bmretriever_integrations.serving.settings import Limits
from bmretriever_integrations.serving.waiting import BATCH_TEXTS

TEXTS = [f"Passage {number} says that drug {number % 7} works." + " Word" * (number % 40) for number in range(600)]


class Gate:
    """Holds the engine before each batch of passages until it is let through, and fails at one text."""

    def __init__(self, monkeypatch):
        self.batches, self.reached, self.poison = threading.Semaphore(0), threading.Semaphore(0), None
        plain = BMRetrieverEncoder.encode_passages

        def encode(engine, texts, *arguments, **options):
            self.reached.release()
            assert self.batches.acquire(timeout=30)
            if self.poison in texts:
                raise FloatingPointError("a vector holds NaN")
            return plain(engine, texts, *arguments, **options)

        monkeypatch.setattr(BMRetrieverEncoder, "encode_passages", encode)

    def open(self, batches=10_000):
        self.batches.release(batches)

    def wait_for_a_batch(self):
        assert self.reached.acquire(timeout=30)


@pytest.fixture
def gate(monkeypatch, mini):
    gate = Gate(monkeypatch)
    yield gate
    gate.open()


@contextmanager
def asking(server, texts, path="/v1/embeddings"):
    fields = {"model": "mini", "input": texts} if path != "/embed" else {"inputs": texts, "prompt_name": "passage"}
    with server.client.stream("POST", path, json=fields) as answer:
        yield answer


def wait_until(condition):
    while not condition():
        time.sleep(0.005)  # pytest ends a test that waits for ever


def in_a_thread(function):
    """A client that is left waiting; errors of its connection are expected."""

    def run():
        with suppress(httpx.HTTPError):
            function()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_streamed_answer_is_the_same_as_one_at_once(model_server, mini, monkeypatch, encoding, assert_same):
    texts = [*TEXTS, "word " * 600]
    body = {"model": "mini", "input": texts, "encoding_format": encoding, "dimensions": 300}
    streamed = model_server.client.post("/v1/embeddings", json=body)
    monkeypatch.setattr(answers, "STREAMED", len(texts))
    whole = model_server.client.post("/v1/embeddings", json=body)
    assert "content-length" not in streamed.headers
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert streamed.content == whole.content
    answer = streamed.json()
    assert answer["cut_texts"] == [600]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 600 * 15
    if encoding == "float":
        found = np.array([item["embedding"] for item in answer["data"]], np.float32)
        assert_same(found, np.ascontiguousarray(mini.encode_passages(texts)[:, :300]))


def test_a_streamed_answer_in_the_other_form(model_server, mini, assert_same):
    answer = model_server.client.post("/embed", json={"inputs": TEXTS, "prompt_name": "query"})
    assert "content-length" not in answer.headers
    assert_same(np.array(answer.json(), np.float32), mini.encode_queries(TEXTS))


def test_the_first_vectors_are_sent_before_the_last_texts_are_embedded(model_server, gate):
    gate.open(1)
    with asking(model_server, TEXTS) as answer:
        chunks = answer.iter_bytes()
        body = next(chunks)
        while body.count(b'"index"') < BATCH_TEXTS:
            body += next(chunks)
        assert model_server.service.embedder.waiting.texts >= len(TEXTS) - 2 * BATCH_TEXTS
        gate.open()
        assert len(json.loads(body + b"".join(chunks))["data"]) == len(TEXTS)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embed"])
def test_an_answer_that_fails_midway_has_no_end(model_server, gate, caplog, path):
    gate.poison = TEXTS[500]
    gate.open()
    with caplog.at_level(logging.ERROR), asking(model_server, TEXTS, path) as answer:
        assert answer.status_code == 200
        chunks = []
        with pytest.raises(httpx.RemoteProtocolError):
            chunks.extend(answer.iter_bytes())
    assert len(chunks) > 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(b"".join(chunks))
    assert "a vector holds NaN" in caplog.text
    assert model_server.service.embedder.waiting.texts == 0


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:100], TEXTS[:1]])
def test_an_answer_that_fails_at_its_beginning_is_an_error(model_server, gate, caplog, texts):
    gate.poison = TEXTS[0]
    gate.open()
    says = "the server could not answer; its log says why"
    with caplog.at_level(logging.ERROR), asking(model_server, texts) as answer:
        assert answer.status_code == 500
        assert json.loads(answer.read())["error"]["message"] == says
    assert "a vector holds NaN" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.ERROR), asking(model_server, texts, "/embed") as answer:
        assert answer.status_code == 500
        assert json.loads(answer.read()) == {"error": says, "error_type": "Backend"}
    assert "a vector holds NaN" in caplog.text


@contextmanager
def hanging_up(server, texts):
    """A client that has sent its request and closes the connection in the end, in the way that nobody takes for a pause."""
    body = json.dumps({"model": "mini", "input": texts}).encode()
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    with socket.create_connection(("127.0.0.1", server.server.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        yield connection


@pytest.mark.parametrize("texts", [TEXTS, TEXTS[:200]])
def test_who_hangs_up_before_the_answer_leaves_no_texts_behind(model_server, gate, caplog, texts):
    waiting = model_server.service.embedder.waiting
    with hanging_up(model_server, texts):
        gate.wait_for_a_batch()
        assert waiting.texts > 0
    wait_until(lambda: waiting.texts == 0)  # while the engine still holds the first batch
    gate.open()
    assert model_server.client.post("/v1/embeddings", json={"model": "mini", "input": "next"}).status_code == 200
    assert caplog.text == ""


def test_who_hangs_up_during_the_answer_leaves_no_texts_behind(model_server, gate, caplog):
    waiting = model_server.service.embedder.waiting
    gate.open(1)
    with hanging_up(model_server, TEXTS) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert waiting.texts > 0
    wait_until(lambda: waiting.texts == 0)
    gate.open()
    assert model_server.client.post("/v1/embeddings", json={"model": "mini", "input": "next"}).status_code == 200
    assert caplog.text == ""


def test_a_full_server_says_when_to_come_again(serve_model, gate):
    texts = [f"text {number}" for number in range(80)]
    with serve_model(limits=Limits(waiting=100)) as server:
        waiting = server.service.embedder.waiting
        threads = []
        for expected in (80 - BATCH_TEXTS, 160 - BATCH_TEXTS):
            threads.append(
                in_a_thread(lambda: server.client.post("/v1/embeddings", json={"model": "mini", "input": texts}))
            )
            wait_until(lambda most=expected: waiting.texts == most)
        answer = server.client.post("/v1/embeddings", json={"model": "mini-query", "input": texts[:5]})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error"]["type"] == "overloaded_error"
        assert "96 texts are waiting already, of at most 100; try again in 1 s" in answer.json()["error"]["message"]
        answer = server.client.post("/embed", json={"inputs": TEXTS, "prompt_name": "query"})  # no stream has begun
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert answer.json()["error_type"] == "Overloaded"
        gate.open()
        for thread in threads:
            thread.join()
