"""What each option of the command changes, what it prints, and how it stops."""

from __future__ import annotations

import base64
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.index import build_index
from bmretriever_integrations.serving.run import Server

HANGS = """
import asyncio, contextlib, fastapi
from bmretriever_integrations.serving import log, run
from bmretriever_integrations.serving.settings import Limits, ServerSettings

@contextlib.asynccontextmanager
async def lifespan(app):
    yield
    await asyncio.Event().wait()

run.GRACE_SECONDS = 0.2
log.log_to_stderr()
settings = ServerSettings(port=0, limits=Limits(stop_seconds=0.1))
say = lambda server: print(server.port, flush=True)
run.server_of(fastapi.FastAPI(lifespan=lifespan), settings, None, say).run()
"""


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A folder with an index of one record, made with mini."""
    folder = tmp_path_factory.mktemp("papers")
    (folder / "papers.jsonl").write_text('{"_id": "1", "text": "Metformin lowered the risk of cancer."}\n')
    with BMRetrieverEncoder("mini", device="cpu") as encoder:
        build_index(encoder, [folder / "papers.jsonl"], folder / "papers-index")
    return folder / "papers-index"


@pytest.fixture
def serve(monkeypatch, capsys):
    """A function: arguments and what to do with a client of the server -> what the command printed, once it has ended."""
    levels = {name: logging.getLogger(name).level for name in ("bmretriever_integrations", "uvicorn.error")}
    plain = Server.run

    def run(words, check):
        def run_and_check(server):
            thread = threading.Thread(target=plain, args=(server,))
            thread.start()
            try:
                while not server.started:
                    assert thread.is_alive()
                    time.sleep(0.01)
                with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
                    check(client)
            finally:
                server.should_exit = True
                thread.join(60)

        monkeypatch.setattr(Server, "run", run_and_check)
        capsys.readouterr()
        assert main(["serve", "--port", "0", *map(str, words)]) == 0
        return capsys.readouterr()

    yield run
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def vector(client, text, **options):
    options = {"model": "mini-query", "encoding_format": "base64"} | options
    answer = client.post("/v1/embeddings", json={"input": text, **options}).raise_for_status().json()
    return np.frombuffer(base64.b64decode(answer["data"][0]["embedding"]), "<f4")


def test_embeddings_alone(serve):
    def check(client):
        assert client.get("/v1/models").json()["data"][0]["id"] == "mini"
        assert client.post("/search", json={"question": "cancer"}).status_code == 404

    out, err = serve(["--model", "mini", "--device", "cpu"], check)
    assert re.fullmatch(
        r"Listening on http://127\.0\.0\.1:\d+ for embeddings: mini \(passages\), mini-query \(queries\)\n", out
    )
    assert "warning" not in err


def test_an_index(serve, papers):
    def check(client):
        assert client.post("/search", json={"question": "cancer"}).json()["hits"][0]["id"] == "1"
        assert client.get("/").status_code == 200

    out, _ = serve([papers], check)
    assert out.startswith("Listening on http://127.0.0.1:")
    assert "for searches of papers-index and embeddings: mini (passages), mini-query (queries)" in out
    assert re.search(r"; search page: http://127\.0\.0\.1:\d+/\n", out)


def test_another_name(serve):
    def check(client):
        assert client.post("/v1/embeddings", json={"model": "bio", "input": "a"}).status_code == 200
        assert client.post("/v1/embeddings", json={"model": "mini", "input": "a"}).status_code == 404

    out, _ = serve(["--model", "mini", "--name", "bio"], check)
    assert "bio (passages), bio-query (queries)" in out


def test_the_engines_own_options(serve):
    found = {}

    def check(client):
        found["plain"] = vector(client, "statin")
        found["asked"] = vector(client, "statin", instruction="nfcorpus")

    serve(["--model", "mini"], check)
    serve(["--model", "mini", "--instruction", "scifact"], lambda client: found.update(set=vector(client, "statin")))
    serve(["--model", "mini", "--quantization", "int8"], lambda client: found.update(small=vector(client, "statin")))
    with BMRetrieverEncoder("mini", instruction="scifact") as encoder:
        np.testing.assert_array_equal(found["set"], encoder.encode_queries(["statin"])[0])
    assert not np.array_equal(found["set"], found["plain"])
    with BMRetrieverEncoder("mini", quantization="int8") as encoder:
        np.testing.assert_array_equal(found["small"], encoder.encode_queries(["statin"])[0])
    assert not np.array_equal(found["small"], found["plain"])


def test_a_key_names_and_sites(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", " secret \n")  # as a file or a shell leaves it

    def check(client):
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200
        for host, status in (("papers.example.org", 200), ("[::1]:80", 200), ("other.example.org", 421)):
            assert client.get("/health", headers={"Host": host}).status_code == status
        for site, status in (("https://app.example.org", 200), ("https://b.example", 200), ("https://c.example", 403)):
            answer = client.get("/health", headers={"Origin": site})
            assert (answer.status_code, answer.headers.get("access-control-allow-origin") == site) == (
                status,
                status == 200,
            )

    names = ["--allow-host", "papers.example.org", "--allow-host", "[::1]"]
    sites = ["--cors-origin", "https://APP.example.org", "--cors-origin", "https://b.example"]
    out, err = serve(["--model", "mini", "--api-key-env", "MY_KEY", *names, *sites], check)
    assert "secret" not in out + err


def test_other_addresses(serve, caplog):
    caplog.set_level(logging.INFO)
    out, err = serve(["--model", "mini", "--host", "localhost"], lambda client: client.get("/health"))
    assert out.startswith("Listening on http://localhost:")
    assert "warning" not in err
    out, err = serve(["--model", "mini", "--host", "0.0.0.0"], lambda client: client.get("/health").raise_for_status())
    assert out.startswith("Listening on http://0.0.0.0:")
    assert err.startswith("warning: 0.0.0.0 is reached from other machines, and there is no key")
    assert "--api-key-env" in err
    assert err.count("\n") == 1


def test_other_bounds(serve):
    def check(client):
        for texts, status in ((3, 200), (4, 413)):
            body = {"model": "mini", "input": ["a"] * texts}
            assert client.post("/v1/embeddings", json=body).status_code == status

    serve(["--model", "mini", "--limit", "texts=2", "--limit", "texts=3", "--limit", "body_seconds=0.5"], check)


def test_texts_in_the_log(serve, caplog):
    def check(client):
        client.post("/v1/embeddings", json={"model": "mini", "input": "a secret"})

    serve(["--model", "mini"], check)
    assert "POST /v1/embeddings 200" in caplog.text
    assert "a secret" not in caplog.text
    serve(["--model", "mini", "--log-texts"], check)
    assert '["a secret"]' in caplog.text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing to serve: name an index, or --model NAME"),
        (["nowhere"], "nowhere"),
        (["--model", "nowhere"], "nowhere"),
        (["--model", "mini", "--device", "nowhere"], "nowhere"),
        (["--model", "mini", "--port", "70000"], "0 to 65535, got '70000'"),
        (["--model", "mini", "--port", "-1"], "--port"),
        (["--model", "mini", "--host", "nowhere.invalid"], "'nowhere.invalid' is no name or address of this machine"),
        (["--model", "mini", "--host", "192.0.2.1"], "this machine has no such address"),
        (["--model", "mini", "--api-key-env", "NOT_SET"], "variable NOT_SET is not set or empty"),
        (["--model", "mini", "--api-key-env", "ODD"], "the key in ODD has characters"),
        (["--model", "mini", "--allow-host", "http://a.example/"], "a name such as papers.example.org, got"),
        (["--model", "mini", "--cors-origin", "*"], "a site such as https://app.example.org, without a path, got '*'"),
        (["--model", "mini", "--cors-origin", "https://a.example/"], "without a path"),
        (["--model", "mini", "--instruction", " "], "instruction"),
        (["--model", "mini", "--name", "biomed-query"], "'biomed-query', and names that end in '-query' promise"),
        (["papers-index", "--instruction", "scifact"], "--instruction is for embeddings alone"),
        (["papers-index", "--quantization", "int8"], "--quantization is for embeddings alone"),
    ],
)
def test_what_is_refused(error_of, monkeypatch, words, says):
    monkeypatch.setenv("ODD", "schlüssel")
    if "--port" not in words:
        words = [*words, "--port", "0"]
    assert says in error_of(["serve", *words])


def test_a_port_that_cannot_be_taken(error_of, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = error_of(["serve", "--model", "mini", "--port", str(port)])
    assert f"cannot listen on 127.0.0.1, port {port}: another program listens there" in said

    def bind(_socket, _address):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", bind)
    said = error_of(["serve", "--model", "mini", "--port", "80"])
    assert "cannot listen on 127.0.0.1, port 80: ports below 1024 are for privileged users" in said


@contextmanager
def process(*words):
    """Run the command as its users do."""
    running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def busy():
    """A server that embeds for eight requests: its process, its address, and what will be answered."""
    words = (sys.executable, "-m", "bmretriever_integrations", "serve", "--model", "mini", "--port", "0")
    texts = [f"Passage {number} says that a drug works. {'Word ' * (number % 50)}" for number in range(200)]
    body = {"model": "mini", "input": texts, "encoding_format": "base64"}
    with process(*words) as running, ThreadPoolExecutor(8) as others:
        address = re.search(r"http://\S+", running.stdout.readline())[0]
        with httpx.Client(base_url=address, timeout=60) as client:
            asked = [others.submit(client.post, "/v1/embeddings", json=body) for _ in range(8)]
            while "bmretriever_waiting_texts 0.0" in (numbers := client.get("/metrics").text):
                assert "/v1/embeddings" not in numbers  # none was answered yet
            yield running, address, asked


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_signal_lets_the_server_finish():
    with busy() as (running, address, asked):
        running.send_signal(signal.SIGTERM)
        assert [one.result().status_code for one in asked] == [200] * 8
        out, log = running.communicate(timeout=60)
    assert (running.returncode, out) == (0, "")
    assert log.count("POST /v1/embeddings 200") == 8
    assert "Stopping: what was accepted is finished" in log
    lines = [re.sub(r"^[\d-]{10} [\d:,]{12} INFO ", "", line) for line in log.splitlines()]
    assert {line.split()[0] for line in lines} == {"POST", "GET", "Stopping:"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/health")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_second_signal_ends_it_at_once():
    with busy() as (running, _, asked):
        running.send_signal(signal.SIGINT)
        while "Stopping" not in running.stderr.readline():
            pass
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert running.returncode == -signal.SIGINT
        assert any(one.exception() for one in asked)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_server_that_cannot_finish_ends_all_the_same():
    with process(sys.executable, "-c", HANGS) as running:
        assert int(running.stdout.readline()) > 0
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "ERROR The server did not stop in time" in log
