"""The description of the routes is valid, and its examples are what the real server takes and gives."""

from __future__ import annotations

import re

import pytest

from bmretriever_integrations.serving.settings import ServerSettings

METHODS = {"get", "post", "put", "delete", "head", "options", "patch", "trace"}
NOT_DESCRIBED = {"/metrics"}
"""Gives text that Prometheus reads."""


@pytest.fixture(scope="module")
def described(server):
    answer = server.client.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def operations(described):
    return [
        (method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_a_valid_description(described):
    """By the parts of OpenAPI 3.1 that are used here; a checker of all of it is used where it is installed."""
    assert described["openapi"].startswith("3.1.")
    assert {"title", "version"} <= set(described["info"])
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(described):
        assert method in METHODS
        assert operation["responses"]
        assert all(answer["description"] for answer in operation["responses"].values())
        in_path = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path" and one["required"]}
        assert in_path == set(re.findall(r"{(\w+)}", path))


def test_a_checker_finds_nothing(described):
    checker = pytest.importorskip("openapi_spec_validator")
    checker.validate(described)


def test_references_lead_somewhere(described):
    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    for reference in references(described):
        place = described
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


def test_every_route_says_what_it_does_with_an_example(described):
    for method, path, operation in operations(described):
        if path in NOT_DESCRIBED:
            continue
        assert operation["description"], path
        assert operation["responses"]["200"]["content"]["application/json"]["example"], path
        assert operation["responses"]["default"]["content"]["application/json"]["example"], path
        if method == "post":
            body = operation["requestBody"]["content"]["application/json"]
            assert body["example"], path
            for name, field in body["schema"]["properties"].items():
                assert field.get("description"), f"{path}: {name}"


def test_the_server_takes_the_examples_and_gives_what_they_show(described, server):
    posts = [path for path, methods in described["paths"].items() if "post" in methods]
    assert {"/search", "/search/batch", "/v1/embeddings", "/embed"} <= set(posts)
    for path in posts:
        operation = described["paths"][path]["post"]
        example = operation["requestBody"]["content"]["application/json"]["example"]
        if "model" in example:
            example |= {"model": server.service.names.passages}
        answer = server.client.post(path, json=example)
        assert answer.status_code == 200, answer.text
        same_keys(answer.json(), operation["responses"]["200"]["content"]["application/json"]["example"])
    for path, asked in (
        ("/records/{record_id}", "/records/33419956"),
        ("/index", "/index"),
        ("/health", "/health"),
    ):
        shown = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]
        same_keys(server.client.get(asked).json(), shown)
    refusal = server.client.get("/records/99000009")
    shown = described["paths"]["/search"]["post"]["responses"]["default"]["content"]["application/json"]["example"]
    assert refusal.json() == shown


def same_keys(given, shown):
    """Compare the keys of two answers, but for the facts of a record, of which each has its own."""
    assert type(given) is type(shown) or {type(given), type(shown)} <= {int, float}
    if isinstance(given, dict):
        assert set(given) == set(shown)
        for name in set(given) - {"metadata", "notes"}:
            same_keys(given[name], shown[name])
    if isinstance(given, list) and given and shown:
        same_keys(given[0], shown[0])


def test_a_key_is_described_where_one_is_needed(serve_model, described):
    assert "securitySchemes" not in described.get("components", {})
    with serve_model(ServerSettings(api_key="secret-of-the-test")) as server:
        answer = server.client.get("/openapi.json")  # without it: a browser has none to send with an address
    described = answer.json()
    assert described["security"] == [{"key": []}]
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert described["paths"]["/health"]["get"]["security"] == []
    assert "/search" not in described["paths"]
    assert "secret" not in answer.text


def test_the_page_loads_nothing_from_elsewhere(server):
    pytest.importorskip("fastapi_offline")
    answer = server.client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "unsafe" not in answer.headers["content-security-policy"]
    named = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(named) == 5
    for name in set(named) - {"data:,"}:
        assert not re.match(r"\w+:|//", name)
        assert server.client.get(f"/{name}").status_code == 200, name
    assert "<script>" not in answer.text
