"""Whom the server answers: by key, by name, by the web page that asks, and by the type of what is sent."""

from __future__ import annotations

import socket

import pytest

from bmretriever_integrations.serving.settings import ServerSettings

JSON = "Content-Type: application/json"
QUESTION = b'{"question": "insulin", "mode": "text"}'
SEARCH = (JSON, f"Content-Length: {len(QUESTION)}")


@pytest.fixture(scope="module")
def locked(serve_model):
    with serve_model(ServerSettings(api_key="se cret-Ω")) as server:
        yield server


@pytest.fixture(scope="module")
def known(serve_model):
    """A server that has a further name, and lets the page of one other site use it."""
    settings = ServerSettings(hosts=("Papers.example.org", "box:8443"), origins=("https://app.example.org",))
    with serve_model(settings) as server:
        yield server


def test_a_key_is_wanted_everywhere_but_for_the_pages_and_the_health(locked):
    for path in ("/", "/health", "/page/page.css", "/openapi.json", "/docs/start.js"):
        assert locked.client.get(path).status_code == 200
    assert locked.client.get("/docs").status_code != 401
    for path in ("/index", "/metrics", "/mcp", "/v1/models", "/nothing", "/health/", "/openapi.json/", "/docsx"):
        answer = locked.client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "missing_api_key"
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        assert locked.client.request(method, "/search", json={}).status_code == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("Bearer se cret-Ω", 200),
        ("bearer  se cret-Ω", 200),
        ("Bearer se cret-", 401),
        ("Bearer se cret-Ωx", 401),
        ("Bearer", 401),
        ("se cret-Ω", 401),
        ("Basic se cret-Ω", 401),
        ("Bearer SE CRET-Ω", 401),
        ("", 401),
    ],
)
def test_which_keys_fit(locked, given, status):
    answer = locked.client.get("/v1/models", headers={"Authorization": given.encode()})
    assert answer.status_code == status
    assert "cret" not in answer.text


def test_a_refused_body_is_not_waited_for(locked, wire):
    line = wire(locked)
    answer = line.ask("POST /search HTTP/1.1", JSON, "Content-Length: 1000000", body=b"{")
    assert (answer.status, answer.headers["connection"]) == (401, "close")


def test_with_a_key_every_name_leads_here(locked):
    assert locked.client.get("/health", headers={"Host": "bmretriever.local"}).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1", "10.1.2.3:80", "[::1]:8080", "[fe80::1]"])
def test_names_of_this_server(server, host):
    assert server.client.get("/health", headers={"Host": host}).status_code == 200
    assert server.client.get("/health", headers={"Host": socket.gethostname()}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost@evil.example", "[", "x y"],
)
def test_a_name_that_somebody_else_made_lead_here_is_refused(server, host):
    answer = server.client.get("/health", headers={"Host": host})
    assert answer.status_code == 421
    assert "--allow-host" in answer.json()["error"]["message"]


def test_further_names(known):
    for host, status in {
        "papers.example.org": 200,
        "PAPERS.EXAMPLE.ORG:9": 200,
        "box:8443": 200,
        "box:80": 421,
    }.items():
        assert known.client.get("/health", headers={"Host": host}).status_code == status


def test_a_request_names_the_server_once(server, wire):
    answer = wire(server).ask("GET /health HTTP/1.1", "Host: 127.0.0.1")
    assert (answer.status, answer.message) == (400, "the request has the header Host twice")
    line = wire(server)
    line.socket.sendall(b"GET /health HTTP/1.1\r\n\r\n")
    assert line.answer().message == "the request has no header Host"
    line = wire(server)
    line.socket.sendall(b"GET /health HTTP/1.0\r\n\r\n")
    assert line.answer().status == 200
    assert line.ended()


def test_the_page_of_another_site_cannot_use_the_server(server, wire):
    host = wire(server).host
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1",
        "http://evil.example:80",
    ):
        for method, path in (("GET", "/health"), ("POST", "/search"), ("OPTIONS", "/search")):
            answer = server.client.request(method, path, headers={"Origin": origin, "Host": host})
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
    own = wire(server).ask("POST /search HTTP/1.1", f"Origin: http://{host}", *SEARCH, body=QUESTION)
    assert own.status == 200


def test_a_site_that_makes_its_name_lead_here_is_refused_as_well(server):
    headers = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
    assert server.client.post("/search", json={"question": "insulin"}, headers=headers).status_code == 421


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),  # <img src="http://localhost:8080/...">
        ("same-site", "cors", 403),  # a page of another port
        ("cross-site", "navigate", 200),  # a link
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),  # typed by the user
    ],
)
def test_what_browsers_say_of_requests_without_an_origin(server, site, mode, status):
    answer = server.client.get("/health", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode})
    assert answer.status_code == status


def test_a_site_that_was_allowed(known):
    allowed = {"Origin": "https://app.example.org"}
    answer = known.client.get("/health", headers=allowed)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://app.example.org"
    told = set(answer.headers["access-control-expose-headers"].split(", "))
    assert told == {"Retry-After", "Content-Disposition", "X-Retracted-Left-Out", "X-Notes"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
    answer = known.client.options("/search", headers=allowed | asked)
    assert answer.status_code == 200
    assert "POST" in answer.headers["access-control-allow-methods"]
    refused = known.client.post("/search", content=b"{}", headers=allowed)
    assert refused.status_code == 415
    assert refused.headers["access-control-allow-origin"] == "https://app.example.org"  # its scripts read why
    for other in ("https://evil.example", "http://app.example.org", "https://app.example.org.evil.example", "null"):
        answer = known.client.get("/health", headers={"Origin": other})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


def test_the_page_behind_a_proxy_that_passes_on_its_own_name(known):
    answer = known.client.get("/health", headers={"Origin": "https://papers.example.org", "Host": "127.0.0.1:8080"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "", "\xff"]
)
def test_a_form_of_another_site_cannot_post(server, kind):
    answer = server.client.post("/search", content=QUESTION, headers={"Content-Type": kind.encode("latin-1")})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


def test_methods_that_no_route_has_are_not_asked_for_a_type(server):
    for method in ("PUT", "PATCH"):
        for path in ("/search", "/v1/embeddings", "/embed", "/mcp"):
            assert server.client.request(method, path, content=b"x").status_code == 405, (method, path)
        assert server.client.request(method, "/nothing", content=b"x").status_code == 404


def test_errors_of_the_head_have_a_code(server, wire):
    answer = wire(server).ask("GET /health HTTP/1.1", "Host: 127.0.0.1")
    assert answer.code == "invalid_value"
    line = wire(server)
    line.socket.sendall(b"GET /health HTTP/1.1\r\n\r\n")
    assert line.answer().code == "missing_required_parameter"


def test_json_may_name_its_characters(server):
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        answer = server.client.post("/search", content=QUESTION, headers={"Content-Type": kind})
        assert answer.status_code == 200


def test_every_answer_says_what_a_browser_may_do_with_it(server):
    answers = [
        server.client.get("/health"),
        server.client.get("/nothing"),
        server.client.get("/health", headers={"Host": "evil.example"}),
        server.client.post("/search", content=b"{", headers={"Content-Type": "application/json"}),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 421, 400]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in answer.headers
