"""Connections whose bytes come slowly, in odd order or not at all, and requests that are none."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from starlette.responses import JSONResponse, Response

from bmretriever_integrations.serving.app import create_app
from bmretriever_integrations.serving.run import server_of
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.settings import Limits, ServerSettings

JSON = "Content-Type: application/json"
QUESTION = b'{"question": "insulin", "mode": "text"}'
SEARCH = (JSON, f"Content-Length: {len(QUESTION)}")
HEALTH = "GET /health HTTP/1.1"


@pytest.fixture(scope="module")
def hasty(serve_index):
    """A server that waits for nobody."""
    with serve_index(limits=Limits(header_seconds=0.3)) as server:
        yield server


@pytest.fixture(scope="module")
def held():
    """An event for which the answer at /held waits."""
    return threading.Event()


@pytest.fixture(scope="module")
def slow(mini, held):
    """A server that stops a client which does not read, with an address that waits and one whose answer is large."""
    import asyncio

    limits = Limits(stall_seconds=0.3)
    settings = ServerSettings(port=0, limits=limits)
    app = create_app(Service.of_model(mini, limits), settings)

    async def wait():
        await asyncio.to_thread(held.wait, 30)
        return JSONResponse({"waited": True})

    async def large():
        return Response(bytes(64 * 2**20))

    app.add_api_route("/held", wait)
    app.add_api_route("/large", large)
    server = server_of(app, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server
    held.set()
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def opened(server):
    return len(server.server_state.connections)


def wait_until(true):
    until = time.monotonic() + 30
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come(hasty, wire, sent):
    line = wire(hasty)
    line.socket.sendall(sent)
    answer = line.answer()
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert "0.3 s" in answer.message
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert line.ended()


def test_a_head_that_comes_drop_by_drop(hasty, wire):
    line = wire(hasty)
    with contextlib.suppress(OSError):  # the server closes meanwhile
        for letter in b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 50:
            line.socket.sendall(bytes([letter]))
            time.sleep(0.01)
    assert line.answer().status == 408


def test_a_second_head_that_does_not_come(hasty, wire):
    for sent in (b"GET /hea", b"\r\n"):
        line = wire(hasty)
        assert line.ask(HEALTH).status == 200
        line.socket.sendall(sent)
        assert line.answer().status == 408
        assert line.ended()


def test_the_time_for_the_head_is_not_that_for_the_request(hasty, wire):
    line = wire(hasty)
    line.send("POST /search HTTP/1.1", *SEARCH, body=QUESTION[:5])
    time.sleep(0.5)  # longer than a head may take
    line.socket.sendall(QUESTION[5:])
    assert line.answer().status == 200
    time.sleep(0.5)  # nor is it that between requests
    assert line.ask(HEALTH).status == 200


def test_a_client_that_sends_nothing_more_gets_its_answer(server, wire):
    line = wire(server)
    line.send("POST /search HTTP/1.1", *SEARCH, body=QUESTION)
    line.socket.shutdown(socket.SHUT_WR)
    assert line.answer().status == 200
    assert line.ended()


def test_requests_in_a_row_and_then_nothing_more(server, wire):
    line = wire(server)
    for path in ("/health", "/nothing", "/index"):
        line.send(f"GET {path} HTTP/1.1")
    line.socket.shutdown(socket.SHUT_WR)
    assert [line.answer().status for _ in range(3)] == [200, 404, 200]
    assert line.ended()


def test_a_client_that_hangs_up_later_is_gone(slow, held):
    held.clear()
    before = opened(slow)
    with socket.create_connection(("127.0.0.1", slow.port)) as line:
        line.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: opened(slow) == before + 1)
        time.sleep(0.4)
    wait_until(lambda: opened(slow) == before)
    held.set()


def test_a_client_that_does_not_read_is_cut_off(slow):
    before = opened(slow)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", slow.port))
        line.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: opened(slow) == before + 1)
        wait_until(lambda: opened(slow) == before)


def test_a_client_that_reads_slowly_gets_all(slow):
    with socket.create_connection(("127.0.0.1", slow.port), 30) as line:
        line.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        read = 0
        while part := line.recv(2**20):
            read += len(part)
            time.sleep(0.01)  # all of it takes longer than a client may stand still
    assert read > 64 * 2**20


def test_more_connections_than_are_taken(serve_index, wire):
    with serve_index(limits=Limits(connections=3)) as server:
        lines = [wire(server) for _ in range(3)]
        assert [line.ask(HEALTH).status for line in lines] == [200] * 3
        further = wire(server)
        further.send(HEALTH)
        answer = further.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert further.ended()
        many = [wire(server) for _ in range(20)]  # these are closed without a word, or get the same answer
        for line in many:
            with contextlib.suppress(OSError, AssertionError):
                assert line.answer().status == 503
            line.close()
        assert [line.ask(HEALTH).status for line in lines] == [200] * 3
        further.close()
        lines.pop().close()
        wait_until(lambda: opened(server.server) == 2)
        assert server.client.get("/health").status_code == 200
        counted = server.client.get("/metrics").text
        assert 'bmretriever_requests_total{method="none",route="none",status="503"}' in counted


@pytest.mark.parametrize("sizes", [(33_000,), (1_000_000,), (100,) * 400])
def test_a_large_head(server, wire, sizes):
    line = wire(server)
    answer = line.ask(HEALTH, *(f"X-{number}: {'a' * size}" for number, size in enumerate(sizes)))
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert "32,768" in answer.message
    assert wire(server).ask(f"GET /{'a' * 40_000} HTTP/1.1").status == 431
    assert wire(server).ask(HEALTH, f"X-Long: {'a' * 30_000}").status == 200


def test_a_head_without_end(server, wire):
    line = wire(server)
    line.socket.sendall(b"GET /health HTTP/1.1\r\nX-Long: ")
    with contextlib.suppress(OSError):
        for _ in range(100):
            line.socket.sendall(b"a" * 1000)
    assert line.answer().status == 431


def test_what_follows_a_body_is_bounded_and_no_header(serve_model, wire):
    with serve_model(ServerSettings(api_key="key", limits=Limits(body_bytes=1000))) as server:
        head = ("POST /search HTTP/1.1", JSON, "Transfer-Encoding: chunked")
        answer = wire(server).ask(*head, body=b"2\r\n{}\r\n0\r\nAuthorization: Bearer key\r\n\r\n")
        assert answer.status == 401
        line = wire(server)
        line.send(*head, "Authorization: Bearer key", body=b"2\r\n{}\r\n0\r\nX-Long: ")
        with contextlib.suppress(OSError):
            for _ in range(100):
                line.socket.sendall(b"a" * 1000)
        assert line.answer().status == 413


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello of TLS \r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"HELLO\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /health XTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /he\x00alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /he alth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: local\x00host\r\n\r\n",
        b"GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: a\rY: b\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /h\xc3\xa4lth HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1, 2\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n{}",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\n"
        + JSON.encode()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /search HTTP/1.1\r\nHost: localhost\r\n"
        + JSON.encode()
        + b"\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}",
    ],
)
def test_what_is_no_request(server, wire, sent):
    line = wire(server)
    line.socket.sendall(sent)
    answer = line.answer()
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert answer.message
    assert line.ended()
    assert server.client.get("/health").status_code == 200


def test_a_request_of_http_0_9(server, wire):
    line = wire(server)
    line.socket.sendall(b"GET /health\r\n\r\n")
    assert line.answer().status == 400  # in older versions of httptools because of the missing Host


@pytest.mark.parametrize("rubbish", [b"\x00rubbish", b"GET / HTTP/1.1\r\nX-Long: " + b"a" * 40_000])
def test_rubbish_after_a_request_is_no_answer_to_it(slow, held, rubbish):
    held.clear()
    with socket.create_connection(("127.0.0.1", slow.port), 30) as line:
        line.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.1)  # the request is being answered
        line.sendall(rubbish)
        time.sleep(0.1)
        line.sendall(b"and more of it")
        held.set()
        answer = b""
        while part := line.recv(1000):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"waited":true}')


@pytest.mark.parametrize("to", ["h2c", "websocket", "TLS/1.2"])
def test_a_client_that_would_rather_speak_something_else(server, wire, to):
    ask = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {to}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    line = wire(server)
    assert line.ask("POST /search HTTP/1.1", *ask, *SEARCH, body=QUESTION).status == 200
    assert line.ask(HEALTH, *ask).status == 200
    assert line.ask("GET /search HTTP/1.1", *ask, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==").status == 405
    assert line.ask(HEALTH).status == 200


def upgrading(body, *framing):
    """A search that asks for another protocol, as Java's client sends it."""
    lines = ("POST /search HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: h2c", JSON, *framing)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


WHOLE = upgrading(QUESTION, f"Content-Length: {len(QUESTION)}")
CHUNKED = upgrading(b"%x\r\n%s\r\n0\r\nTrailer: x\r\n\r\n" % (len(QUESTION), QUESTION), "Transfer-Encoding: chunked")


@pytest.mark.parametrize("size", [1, 7, 60, 10_000])
@pytest.mark.parametrize("request_", [WHOLE, CHUNKED], ids=["whole", "chunked"])
def test_a_request_that_asks_for_another_protocol_may_come_in_pieces(server, wire, request_, size):
    line = wire(server)
    for place in range(0, len(request_), size):
        line.socket.sendall(request_[place : place + size])
        if size < 60:
            time.sleep(0.001)
    assert line.answer().status == 200
    assert line.ask(HEALTH).status == 200


def test_requests_that_ask_for_another_protocol_may_follow_each_other(server, wire):
    line = wire(server)
    plain = WHOLE.replace(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"")
    line.socket.sendall(plain + WHOLE + CHUNKED + plain + WHOLE)
    assert [line.answer().status for _ in range(5)] == [200] * 5


def test_a_tunnel_is_refused(server, wire):
    assert wire(server).ask("CONNECT localhost:80 HTTP/1.1").status in (400, 404, 405)


def test_http_1_0(server, wire):
    line = wire(server)
    assert line.ask("GET /health HTTP/1.0").status == 200
    assert line.ended()


def test_a_head_is_asked_for_without_its_body(server, wire):
    line = wire(server)
    line.send("HEAD /health HTTP/1.1")
    line.send(HEALTH)
    status = line.socket.recv(10_000)
    assert status.startswith(b"HTTP/1.1 200 OK")
    assert b'{"status":"ok"}' not in status.partition(b"HTTP/1.1 200 OK")[2].partition(b"HTTP/1.1")[0]


def test_answers_are_sent_in_the_order_of_the_requests(server, wire):
    line = wire(server)
    paths = ["/index", "/nothing", "/health"] * 20
    for path in paths:
        line.send(f"GET {path} HTTP/1.1")
    statuses = {"/index": 200, "/nothing": 404, "/health": 200}
    assert [line.answer().status for _ in paths] == [statuses[path] for path in paths]


def test_no_header_of_an_answer_can_be_made_from_outside(server, wire):
    for path in ("/%0d%0aX-Made: 1", "/records/%0d%0aX-Made:%201", "/nothing?a=%0d%0aX-Made:%201"):
        answer = wire(server).ask(f"GET {path.replace(' ', '%20')} HTTP/1.1", "X-Request-Id: %0d%0aX-Made: 1")
        assert answer.status == 404
        assert "x-made" not in answer.headers
