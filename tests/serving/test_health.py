"""A server that runs says so, and refuses what it does not know in the form of its other errors."""

from __future__ import annotations


def test_health(server):
    assert server.client.get("/health").json() == {"status": "ok"}


def test_unknown_addresses_and_methods(server):
    for method, path, status in (("GET", "/nothing/here", 404), ("DELETE", "/health", 405)):
        answer = server.client.request(method, path)
        assert answer.status_code == status
        assert path in answer.json()["error"]["message"]
