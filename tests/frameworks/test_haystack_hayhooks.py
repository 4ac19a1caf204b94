"""A pipeline over an index, served by hayhooks as the example says, asked over HTTP."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lancedb")
pytest.importorskip("hayhooks")

import httpx

EXAMPLE = Path(__file__).parents[2] / "examples" / "hayhooks" / "papers.yml"


@pytest.fixture
def served(papers, tmp_path):
    """The URL of a server process on a free port, which serves the example over the index, by words alone."""
    yaml = EXAMPLE.read_text(encoding="utf-8")
    assert "index: papers-index\n" in yaml
    words = yaml.replace("index: papers-index\n", f"index: {papers}\n      mode: text\n")  # no model is loaded
    (tmp_path / EXAMPLE.name).write_text(words, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from hayhooks.cli.base import hayhooks_cli; hayhooks_cli()"
    options = ["run", "--host", "127.0.0.1", "--port", str(port), "--pipelines-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-c", code, *options], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        patience = time.monotonic() + 120
        while not _is_up(url):
            assert server.poll() is None, (tmp_path / "log").read_text("utf-8")
            assert time.monotonic() < patience, (tmp_path / "log").read_text("utf-8")
            time.sleep(0.1)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _is_up(url):
    try:
        return httpx.get(f"{url}/status").json()["pipelines"] == ["papers"]
    except httpx.TransportError:
        return False


def test_a_served_pipeline_answers_with_the_documents_of_the_index(served, opened):
    def ask(**body):
        return httpx.post(f"{served}/papers/run", json=body, timeout=60)

    hits = opened.search("insulin", 5, mode="text")
    found = ask(query="insulin", filters=None).json()["result"]["retriever"]
    assert [(one["id"], one["content"]) for one in found["documents"]] == [(hit.id, hit.text) for hit in hits]
    assert found["retracted_left_out"] == hits.retracted_left_out
    for filters in ({"since": 2018}, {"field": "meta.date", "operator": ">=", "value": "2018"}):
        late = ask(query="insulin", filters=filters).json()["result"]["retriever"]["documents"]
        assert [one["id"] for one in late] == [
            hit.id for hit in opened.search("insulin", 5, mode="text", filters=filters)
        ]
        assert min(one["meta"]["date"] for one in late) == "2018"
    refused = ask(query="insulin", filters={"sinc": 2018})
    assert refused.status_code == 500
    assert "filters have no field 'sinc'" in refused.json()["detail"]
