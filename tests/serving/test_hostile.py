"""Bodies, paths and numbers of requests that are meant to break something: each is refused, and the next one is served."""

from __future__ import annotations

import json
import random
import re

import pytest

from bmretriever_integrations.serving.settings import Limits

JSON = "Content-Type: application/json"
HEALTH = "GET /health HTTP/1.1"
MACHINE = re.compile(r"/work|/tmp|/root|/home|site-packages|python|uvicorn|starlette|pydantic|Traceback|File \"", re.I)
"""What tells of the machine, of its programs or of where their code lies."""


@pytest.fixture(scope="module")
def hasty(serve_index):
    """A server that waits for nobody."""
    with serve_index(limits=Limits(header_seconds=0.1, body_seconds=0.1)) as server:
        yield server


def refused(server, body):
    """Send a body to a search, and return the message of its refusal."""
    answer = server.client.post("/search", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert not MACHINE.search(answer.text + str(answer.headers))
    message = answer.json()["error"]["message"]
    assert len(message) < 1_000
    assert server.client.get("/health").status_code == 200
    return message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no valid JSON"),
        (b" \n", "no valid JSON"),
        (b"{", "no valid JSON"),
        (b"nothing", "no valid JSON"),
        (b'{"question": "a"} x', "no valid JSON"),
        (b'{"question": "a",}', "no valid JSON"),
        (b"{'question': 'a'}", "no valid JSON"),
        (b'{"question": "\xff\xfe"}', "no valid JSON"),
        (b'\xef\xbb\xbf{"question": "a"}', "no valid JSON"),
        ('{"question": "a"}'.encode("utf-16"), "no valid JSON"),
        (b'{"question": "\\ud800"}', "no valid JSON"),
        (b'{"question": "\\udc00\\ud800"}', "no valid JSON"),
        (b'{"question": "a\x00b"}', "no valid JSON"),
        (b'{"question": "a", "filters": {"other": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "no valid JSON"),
        (b'{"question": "a", "filters": ' + b'{"other": ' * 100_000 + b"1" + b"}" * 100_001, "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b'{"question": "a", "top_k": NaN}', "top_k"),
        (b'{"question": "a", "top_k": Infinity}', "top_k"),
        (b'{"question": "a", "filters": {"other": {"size": NaN}}}', "NaN"),
        (b'{"question": "a", "filters": {"other": {"size": -Infinity}}}', "-Infinity"),
        (b'{"question": "a", "filters": {"other": {"size": 1e999}}}', "too large"),
        (b'{"question": "a", "top_k": ' + b"9" * 10_000 + b"}", "number out of range"),
        (b'{"question": "a", "filters": {"other": {"size": ' + b"9" * 10_000 + b"}}}", ""),
        (b'{"question": "a", "top_k": 99999999999999999999}', "top_k"),
        (b'{"question": "a", "top_k": 1e400}', "top_k"),
        (b'{"question": "a", "top_k": -1}', "top_k"),
        (b'{"question": "a", "top_k": 1.5}', "top_k"),
        (b'{"question": "a", "top_k": true}', "top_k"),
        (b'{"question": "a", "top_k": "5"}', "top_k"),
        (b'{"question": "a", "question": "b"}', "'question' is given twice"),
        (b'{"question": "a", "filters": {"since": 1, "since": 2}}', "'since' is given twice"),
        (b'{"question": ["a"]}', "question"),
        (b'{"question": null}', "question"),
        (b'{"question": 1}', "question"),
        (b'{"question": ""}', "question"),
        (b"[]", "the body"),
        (b"null", "the body"),
        (b'"question"', "the body"),
        (b'{"question": "a", "' + b"x" * 100_000 + b'": 1}', "there is no field"),
        (b'{"question": "a", "filters": {"where": "1 = 1"}}', "where"),
        (b'{"question": "a", "filters": []}', "filters"),
    ],
)
def test_bodies_that_are_refused(server, body, says):
    assert says in refused(server, body)


@pytest.mark.parametrize("path", ["/mcp", "/v1/embeddings", "/embed", "/search/batch"])
def test_no_other_route_breaks_either(server, path):
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    for body in (
        b"",
        b"{",
        b"\xff",
        deep,
        b"[" * 100_000,
        b'{"a": NaN}',
        b"null",
        b"[]",
        b'{"id": 1e999}',
        b'"\\ud800"',
    ):
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        answer = server.client.post(path, content=body, headers=headers)
        assert 400 <= answer.status_code < 500, (body[:100], answer.text)
        assert not MACHINE.search(answer.text + str(answer.headers))
    assert server.client.get("/health").status_code == 200


def test_text_of_any_kind_is_a_question(server):
    for text in ("\x00", "\u202e\u2028\ufeff", "a" * 8_000, "'; DROP TABLE records; --", "😀" * 100, '"*:(a AND)'):
        answer = server.client.post("/search", json={"question": text})
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "//health",
        "/../health",
        "/./health",
        "/page/../../settings.py",
        "/page/..%2f..%2fsettings.py",
        "/page/%2e%2e/%2e%2e/settings.py",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/health%00",
        "/%00",
        "/page/%00",
        "/%ff%fe",
        "/%",
        "/%zz",
        "/records/%00",
        "/records/..%2f..%2f..%2fetc%2fpasswd",
        "/records/../../../etc/passwd",
        "/records/%ff",
        "/records/'%20OR%201=1--",
        "/records/" + "a" * 20_000,
        "/health;a=b",
        "*",
        "/\\..\\..\\windows",
        "http://evil.example/nothing",
    ],
)
def test_paths_that_lead_nowhere(server, wire, path):
    line = wire(server)
    answer = line.ask(f"GET {path} HTTP/1.1")
    assert answer.status in (400, 404)
    assert answer.message
    assert not MACHINE.search(answer.content.decode() + str(answer.headers))
    assert line.ask(HEALTH).status == 200 if answer.status == 404 else line.ended()


def test_methods_that_nothing_has(server, wire):
    for method in ("TRACE", "PROPFIND", "DELETE", "PURGE", "M-SEARCH"):
        answer = wire(server).ask(f"{method} /health HTTP/1.1")
        assert answer.status == 405
        assert not MACHINE.search(answer.content.decode() + str(answer.headers))


NAMES = ("question", "questions", "like", "top_k", "filters", "since", "other", "model", "input", "inputs", "x", "")
PATHS = ("/search", "/search/batch", "/v1/embeddings", "/embed", "/mcp")


def broken(draw):
    """Return a body that may or may not be right: JSON whose parts were drawn, with bytes that were changed."""

    def value(depth):
        kind = draw.randrange(11 if depth < 4 else 8)
        if kind >= 8:
            inner = [value(depth + 1) for _ in range(draw.randrange(4))]
            return inner if kind == 8 else {name(): one for one in inner}
        return (None, True, draw.randrange(-5, 5), 10**30, 1.5, "", chr(draw.randrange(0x2FFF)), "insulin")[kind]

    def name():
        return draw.choice(NAMES)

    body = {name(): value(0) for _ in range(draw.randrange(4))}
    if draw.randrange(2):
        body |= draw.choice(({"question": "insulin"}, {"model": "mini", "input": "insulin"}, {"inputs": ["insulin"]}))
    written = bytearray(json.dumps(body).encode())
    for _ in range(draw.choice((0, 0, 1, 3))):
        written[draw.randrange(len(written))] = draw.randrange(256)
    return bytes(written)


def test_no_body_is_an_error_of_the_server(server):
    draw, statuses = random.Random(20), set()
    for _ in range(600):
        body = broken(draw)
        headers = {"Content-Type": "application/json"}
        answer = server.client.post(draw.choice(PATHS), content=body, headers=headers)
        assert answer.status_code in (200, 400, 404, 406, 413, 422), (body, answer.text)
        if answer.status_code != 200:
            assert not MACHINE.search(answer.text)
        statuses.add(answer.status_code)
    assert statuses >= {200, 400}


def test_no_head_is_an_error_of_the_server(hasty, wire):
    draw, statuses = random.Random(30), set()
    right = f"POST /search HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: 38\r\n\r\n".encode()
    for _ in range(300):
        sent = bytearray(right + b'{"question": "insulin","mode":"text"} ')
        for _ in range(draw.randrange(4)):
            sent[draw.randrange(len(right) - 4)] = draw.choice(b"\r\n\x00 :,1\xffaA")
        line = wire(hasty)
        line.socket.sendall(bytes(sent))
        answer = line.answer()
        assert answer.status in (200, 400, 404, 405, 408, 413, 415, 421), bytes(sent)
        assert not MACHINE.search(str(answer))
        statuses.add(answer.status)
        line.close()
    assert statuses >= {200, 400, 421}
    assert hasty.client.get("/health").status_code == 200
