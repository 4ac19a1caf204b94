"""Bodies are read whole, within bounds of size and time; what is refused is refused readably, and the server goes on."""

from __future__ import annotations

import select
import time

import pytest

from bmretriever_integrations.serving.settings import Limits

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"
QUESTION = b'{"question": "insulin", "mode": "text"}'
MIB = bytes(2**20)


@pytest.fixture(scope="module")
def small(serve_index):
    """A server that takes little, and has no patience."""
    with serve_index(limits=Limits(body_bytes=100, body_seconds=0.3)) as server:
        yield server


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


def test_a_body_in_pieces(small, wire):
    line = wire(small)
    line.send("POST /search HTTP/1.1", JSON, f"Content-Length: {len(QUESTION)}", body=QUESTION[:5])
    time.sleep(0.05)  # the server sees a part
    line.socket.sendall(QUESTION[5:])
    assert line.answer().status == 200
    body = chunks(QUESTION[:7], QUESTION[7:8], QUESTION[8:]) + b"0\r\n\r\n"
    assert line.ask("POST /search HTTP/1.1", JSON, CHUNKED, body=body).status == 200  # on the same connection
    assert line.ask("GET /health HTTP/1.1").status == 200


def test_bounds_of_size(small, wire):
    assert wire(small).ask("POST /search HTTP/1.1", JSON, "Content-Length: 100", body=QUESTION.ljust(100)).status == 200
    for headers, body in (
        (("Content-Length: 101",), b""),  # none of it is waited for
        (("Content-Length: 101",), QUESTION.ljust(101)),
        (("Content-Length: 99999999999999999999999999",), b""),
        ((CHUNKED,), chunks(QUESTION, QUESTION, QUESTION)),
    ):
        line = wire(small)
        answer = line.ask("POST /search HTTP/1.1", JSON, *headers, body=body)
        assert answer.status in (400, 413)
        assert answer.headers["connection"] == "close"
        assert line.ended()


def test_a_client_that_asks_before_it_sends_is_told_before(small, wire):
    asks = "Expect: 100-continue"
    assert wire(small).ask("POST /search HTTP/1.1", JSON, "Content-Length: 101", asks).status == 413
    line = wire(small)
    line.send("POST /search HTTP/1.1", JSON, f"Content-Length: {len(QUESTION)}", asks)
    assert line.answer().status == 100
    line.socket.sendall(QUESTION)
    assert line.answer().status == 200


def test_a_slow_body(small, wire):
    for headers in (("Content-Length: 50",), (CHUNKED,)):
        line = wire(small)
        answer = line.ask("POST /search HTTP/1.1", JSON, *headers)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert "0.3 s" in answer.message
        assert line.ended()


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", ""])
def test_a_compressed_body_is_refused_before_it_is_read(small, wire, coding):
    answer = wire(small).ask("POST /search HTTP/1.1", JSON, "Content-Length: 50", f"Content-Encoding: {coding}")
    assert answer.status == 415
    assert answer.headers["accept-encoding"] == "identity"
    assert small.client.post("/search", json={"question": "insulin"}).status_code == 200


def test_a_client_that_leaves_in_the_middle(small, wire):
    line = wire(small)
    line.send("POST /search HTTP/1.1", JSON, "Content-Length: 50", body=b"{")
    line.close()
    assert small.client.get("/health").status_code == 200


def test_many_large_bodies_at_once_are_no_more_than_the_server_holds(serve_index, wire):
    with serve_index(limits=Limits(body_bytes=2**20, body_seconds=30)) as server:
        lines = [wire(server) for _ in range(17)]
        for line in lines[:16]:
            line.send("POST /search HTTP/1.1", JSON, f"Content-Length: {2**20}", body=MIB[1:])
        lines[16].send("POST /search HTTP/1.1", JSON, f"Content-Length: {2**20}", body=MIB[1:])
        answered, _, _ = select.select([line.socket for line in lines], [], [], 30)
        (answer,) = [line.answer() for line in lines if line.socket in answered]
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for line in lines:
            line.close()
        body = QUESTION.ljust(2**20)
        for _ in range(20):  # the bytes of those that are gone or answered do not count any more
            assert server.client.post("/search", content=body, headers={"Content-Type": "application/json"}).is_success


def test_a_hundred_megabytes_are_refused_readably(server, wire):
    for headers in ((f"Content-Length: {100 * 2**20}",), (CHUNKED,)):
        line = wire(server)
        line.send("POST /search HTTP/1.1", JSON, *headers)
        part = MIB if headers != (CHUNKED,) else chunks(MIB)
        for _ in range(100):  # as a client does that reads an answer after it has sent everything
            line.socket.sendall(part)
        answer = line.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert "16,777,216 bytes" in answer.message
        line.close()
        assert server.client.get("/health").status_code == 200
