"""The tools over a real pipe: the greeting does not wait for the index, and nothing but the protocol is on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager

from mcp import Client, StdioServerParameters, stdio_client

from bmretriever_integrations.cli import main

GREETING = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
SCRIPT = """
import asyncio, os, pathlib, sys, time
from bmretriever_integrations.serving.agents.stdio import Opening, serve

def load(open_things):
    print("noise of Python", flush=True)
    os.write(1, b"noise of a library\\n")
    os.system("echo noise of a child")
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
    raise FileNotFoundError("/srv/secret/papers-index is missing")

asyncio.run(serve(Opening(load)))
"""


class Process:
    """A server at the other end of a pipe."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.number = 0

    def ask(self, method, **params):
        self.number += 1
        self.tell({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self.number
        return answer["result"]

    def tell(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()


@contextmanager
def running(*arguments):
    one = Process(*arguments)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.communicate()


def test_the_greeting_does_not_wait_and_what_is_printed_goes_to_standard_error(tmp_path):
    with running("-c", SCRIPT, str(tmp_path / "go")) as server:
        assert server.ask("initialize", **GREETING)["serverInfo"]["name"] == "bmretriever"
        server.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert len(server.ask("tools/list")["tools"]) == 3
        (tmp_path / "go").touch()  # until now the index was being loaded
        result = server.ask("tools/call", name="get_record", arguments={"id": "1"})
        assert result["isError"]
        assert result["content"][0]["text"].startswith("the index could not be opened")
        assert "secret" not in json.dumps(result)
        rest, errors = server.process.communicate(timeout=60)  # closes its standard input
        assert rest == b""
        assert server.process.returncode == 0
    for line in (b"noise of Python", b"noise of a library", b"noise of a child", b"error: /srv/secret/papers-index"):
        assert line in errors


async def test_the_command_serves_a_client_until_it_goes(index_folder, index, tmp_path):
    command = ["-m", "bmretriever_integrations", "mcp", str(index_folder), "--device", "cpu"]
    with (tmp_path / "errors").open("w+") as errors:
        transport = stdio_client(
            StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ)), errlog=errors
        )
        async with Client(transport, mode="legacy") as client:
            assert "search_literature" in client.instructions
            asked = {"question": "Does metformin lower the risk of cancer?", "top_k": 3}
            result = await client.call_tool("search_literature", asked)
            hits = index.search(asked["question"], 3)
            assert [one["id"] for one in result.structured_content["records"]] == [hit.id for hit in hits]
            result = await client.call_tool("find_similar", {"id": "case-1", "top_k": 1})
            assert not result.is_error
        errors.seek(0)
        assert errors.read() == ""


def test_an_index_that_is_not_there_is_said_before_the_first_message(tmp_path, capsys):
    assert main(["mcp", str(tmp_path / "nowhere")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "nowhere holds no index" in printed.err
