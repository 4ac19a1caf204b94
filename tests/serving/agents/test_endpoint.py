"""The tools over HTTP: clients of both forms of the protocol, no sessions, and what the guard and the log see."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from mcp import Client

METFORMIN = "Does metformin lower the risk of cancer?"
HEADERS = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def message(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_client_finds_what_a_search_finds(server, mode):
    async with Client(f"{server.url}/mcp", mode=mode) as client:
        assert client.server_info.name == "bmretriever"
        assert len((await client.list_tools()).tools) == 3
        result = await client.call_tool("search_literature", {"question": METFORMIN, "top_k": 4})
        assert (await client.call_tool("get_record", {"id": "nobody"})).is_error
    async with httpx.AsyncClient(base_url=server.url) as plain:
        answer = (await plain.post("/search", json={"question": METFORMIN, "top_k": 4})).json()
    assert [(one["id"], one["score"]) for one in result.structured_content["records"]] == [
        (hit["id"], round(hit["score"], 4)) for hit in answer["hits"]
    ]


def test_each_request_stands_for_itself_and_is_answered_in_json(server):
    call = message("tools/call", name="get_record", arguments={"id": "33419958"})
    answer = server.client.post("/mcp", json=call, headers=HEADERS)  # without a greeting before
    assert answer.headers["content-type"] == "application/json"
    assert "mcp-session-id" not in answer.headers
    assert answer.json()["result"]["structuredContent"]["pmid"] == "33419958"
    for method in ("GET", "DELETE"):
        assert server.client.request(method, "/mcp", headers=HEADERS).status_code == 405


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b'{"jsonrpc": "2.0", "id": 1, "method": "x" }', b"\xff"]
)
def test_what_is_no_message_is_refused(server, body):
    answer = server.client.post("/mcp", content=body, headers=HEADERS)
    assert "error" in answer.json()
    assert "Traceback" not in answer.text
    assert server.client.get("/health").status_code == 200


async def test_many_clients_at_a_time_get_their_own_answers(server):
    async def ask(client, number):
        call = message("tools/call", number, name="search_literature", arguments={"question": f"finding {number}"})
        answer = (await client.post("/mcp", json=call, headers=HEADERS)).json()
        assert answer["id"] == number
        return answer["result"]["structuredContent"]["records"][0]["id"]

    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        found = await asyncio.gather(*(ask(client, number) for number in range(40)))
    assert found == [f"case-{number}" for number in range(40)]


def test_without_an_index_there_are_no_tools(serve_model):
    with serve_model() as embeddings_alone:
        answer = embeddings_alone.client.post("/mcp", json=message("tools/list"), headers=HEADERS)
        assert answer.status_code == 404
        assert "embeddings only" in answer.json()["error"]["message"]


def test_a_server_can_be_started_again(serve_index):
    for _ in range(2):
        with serve_index() as again:
            answer = again.client.post("/mcp", json=message("tools/list"), headers=HEADERS)
            assert len(answer.json()["result"]["tools"]) == 3
