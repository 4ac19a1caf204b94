"""An index on S3, as moto's server on this machine speaks it: the same rows and hits as in a folder, and one writer at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus import Record
from bmretriever_integrations.index import (
    DamagedIndex,
    Filters,
    SearchIndex,
    build_index,
    delete_records,
    index_table,
    tune_index,
)
from bmretriever_integrations.index.ingest.job_rows import MadeBy, job_rows
from bmretriever_integrations.index.places.access import file_system_of
from bmretriever_integrations.index.places.database import connect
from bmretriever_integrations.index.places.urls import Url
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.table import open_table
from bmretriever_integrations.versions import OF_VECTORS, versions_of

SECRET = "wJalrXUtnFEMI"
URL = "s3://papers/a/index"
SCRIPT = """
import sys, time
from bmretriever_integrations.index import build_index
from bmretriever_integrations.index.ingest import build
sys.path.insert(0, sys.argv[3])
from conftest import PortionEngines

build.portion_size = lambda width, batch_tokens: 10

class Slow(PortionEngines):
    def submit_passages(self, calls, batch_tokens, done):
        if len(self.texts) >= 40:
            time.sleep(60)
        return super().submit_passages(calls, batch_tokens, done)

build_index(Slow(), [sys.argv[2]], sys.argv[1])
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Any]:
    """boto3's client of a server that has the bucket "papers"; the environment names the server."""
    server_of = pytest.importorskip("moto.server").ThreadedMotoServer
    boto3 = pytest.importorskip("boto3")
    server = server_of(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        address, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{address}:{port}")
        patch.setenv("AWS_ALLOW_HTTP", "true")
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        client = boto3.client("s3")
        client.create_bucket(Bucket="papers")
        yield client
    server.stop()


def lines(numbers: Iterator[int] | range, word: str = "aspirin") -> str:
    rows = ({"_id": f"r{n}", "title": f"Title {n}", "text": f"{word} {n % 7}", "year": 2000 + n % 9} for n in numbers)
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "c.jsonl"
    path.write_text(lines(range(60)))
    return path


@pytest.fixture(scope="module")
def killed(store: Any, source: Path) -> str:
    """What a second writer is told while another process writes, which is then killed."""
    words = [sys.executable, "-c", SCRIPT, URL, str(source), str(Path(__file__).parent)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while (table := open_table(URL)) is None or table.count_rows() < 10:
            assert process.poll() is None, process.communicate()
            time.sleep(0.2)
        with pytest.raises(BlockingIOError) as refused:
            delete_records(URL, ["r1"])
    finally:
        process.kill()
        process.communicate()
    return str(refused.value)


@pytest.fixture(scope="module")
def engines(portion_engines: type) -> Any:
    return portion_engines()


@pytest.fixture(scope="module")
def remote(killed: str, engines: Any, source: Path) -> str:
    """The index that the killed process began, finished after its right to write has ended."""
    with pytest.raises(BlockingIOError):
        build_index(engines, [source], URL)
    connect(place_of(URL)).open_table("lock").update(values={"until": time.time() - 1})
    build_index(engines, [source], URL)
    return URL


@pytest.fixture(scope="module")
def local(engines: Any, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same index, made at once in a folder."""
    folder = tmp_path_factory.mktemp("local") / "i"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bmretriever_integrations.index.ingest.build.portion_size", lambda _width, _tokens: 10)
        build_index(engines, [source], folder)
    return folder


def test_a_second_writer_is_told_who_writes_and_until_when(killed: str) -> None:
    assert killed.startswith(f"{URL} is being written by another process (")
    assert "wait for its end. If it was killed, run the same command again after " in killed


def test_a_killed_run_goes_on_and_ends_with_the_rows_of_a_folder(remote: str, local: Path, rows_in) -> None:
    rows = rows_in(remote)
    assert len(rows) == 60
    assert rows == rows_in(local)


def test_hits_are_those_of_a_folder(remote: str, local: Path) -> None:
    vector = np.ones(16, np.float32)
    with SearchIndex.open(remote) as there, SearchIndex.open(local) as here:
        assert (there.folder, len(there)) == (remote, 60)
        for ask in (
            lambda index: index.search(vector, 7),
            lambda index: index.search("aspirin 3", 7, mode="text"),
            lambda index: index.search(vector, 7, filters=Filters(since="2005")),
            lambda index: index.more_like("r5", 7),
        ):
            assert list(ask(there)) == list(ask(here)) != []


def test_an_open_index_sees_updates_and_deletions(remote: str, engines: Any, tmp_path: Path) -> None:
    update = tmp_path / "update.jsonl"
    update.write_text(lines(range(58, 63), "warfarin"))
    with SearchIndex.open(remote) as index:
        report = build_index(engines, [update], remote)
        assert (report.embedded, report.records, len(index)) == (5, 63, 63)
        assert {hit.id for hit in index.search("warfarin", 9, mode="text")} == {"r58", "r59", "r60", "r61", "r62"}
        assert delete_records(remote, ["r60", "none"]).deleted == ["r60"]
        assert {hit.id for hit in index.search("warfarin", 9, mode="text")} == {"r58", "r59", "r61", "r62"}


def test_tuned_searches(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bmretriever_integrations.index.tune.FEWEST_ROWS", 50)
    monkeypatch.setattr("bmretriever_integrations.index.tune.SAMPLE", 3)
    monkeypatch.setattr("bmretriever_integrations.index.tune.PROBES", (5,))
    monkeypatch.setattr("bmretriever_integrations.index.tune.SPREAD_OF_LENGTHS", 1)
    chosen = tune_index(remote, 0.5).chosen
    with SearchIndex.open(remote) as index:
        assert index.tuned
        assert index.manifest.tuned["nprobes"] == chosen.nprobes
        assert len(index.search(np.ones(16, np.float32), 5)) == 5


def test_info_counts_and_finds_a_changed_object(remote: str, store: Any, capsys) -> None:
    assert main(["info", remote, "--format", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["index"], said["complete"]) == (remote, True)
    assert said["records"] == len(open_table(remote).to_arrow())
    name = next(name for name, _size in place_of(remote).files("records.lance/data"))
    at = {"Bucket": "papers", "Key": f"a/index/{name}"}
    content = store.get_object(**at)["Body"].read()
    store.put_object(**at, Body=content[:-9] + b"X" + content[-8:])
    try:
        SearchIndex.open(remote).close()  # compares the sizes
        assert main(["info", remote, "--verify"]) == 1
        lines = capsys.readouterr().out.splitlines()
        damaged = [line for line in lines if line.startswith("damaged:")]
        assert damaged == [f"damaged: {name} has changed since it was written"]
        assert f" --to {remote}-2 " in lines[-1]
        store.put_object(**at, Body=content[:-9])
        with pytest.raises(DamagedIndex, match=f"{name} has "):
            SearchIndex.open(remote)
    finally:
        store.put_object(**at, Body=content)


def test_a_writer_that_lost_its_right_is_stopped(store: Any, engines: Any, source: Path, monkeypatch) -> None:
    monkeypatch.setattr("bmretriever_integrations.index.places.lease.SECONDS", 4.0)
    place = place_of("s3://papers/lost")
    with place.only_writer():
        place.write("x", b"1")
        connect(place).open_table("lock").update(values={"token": "other's"})
        error = None
        while error is None:
            try:
                place.write("x", b"2")
            except BlockingIOError as raised:
                error = raised
    assert "could not keep its right to write to s3://papers/lost" in str(error)


def test_other_objects_are_left_alone(store: Any, engines: Any, source: Path) -> None:
    store.put_object(Bucket="papers", Key="photos/one.jpg", Body=b"x")
    with pytest.raises(DamagedIndex, match=r"s3://papers/photos holds other files \(one\.jpg\)"):
        build_index(engines, [source], "s3://papers/photos")
    with pytest.raises(FileNotFoundError, match=r"s3://papers/none holds no index .* --to s3://papers/none"):
        SearchIndex.open("s3://papers/none")


def test_a_missing_bucket_is_named(store: Any, engines: Any, source: Path, capsys) -> None:
    assert main(["info", "s3://other/index"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: s3://other/index cannot be used: there is no bucket 'other'; make it first")
    assert said.endswith("(NoSuchBucket)\n")
    assert said.count("\n") == 1
    with pytest.raises(ConnectionError, match="there is no bucket 'other'"):
        build_index(engines, [source], "s3://other/index")


def test_no_object_holds_a_secret(remote: str, store: Any) -> None:
    found = [one["Key"] for one in store.list_objects_v2(Bucket="papers")["Contents"]]
    names = [name for name in found if "/data/" in name or name.endswith(".json")]
    assert {"a/index/manifest.json", "lock.lance/data"} <= {*names, *("/".join(name.split("/")[2:4]) for name in names)}
    assert not [name for name in names if SECRET.encode() in store.get_object(Bucket="papers", Key=name)["Body"].read()]


class Refusing(BaseHTTPRequestHandler):
    """A store that answers every request with its refusal, and repeats what it was sent."""

    def do_GET(self) -> None:
        body = f"<Error><Code>AccessDenied</Code><StringToSign>{SECRET}</StringToSign></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_PUT = do_POST = do_GET

    def log_message(self, *_words: object) -> None: ...


@pytest.fixture
def refusing(store: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def test_refused_credentials_are_told_without_what_the_store_repeats(refusing: None) -> None:
    with pytest.raises(ConnectionError, match=f"{URL} cannot be used: the store refuses the credentials") as refused:
        SearchIndex.open(URL)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_what_lancedb_says_is_told_without_the_address_that_it_asked() -> None:
    said = f'IO {{ source: Generic {{ store: "S3", uri: Some(https://b/i?sig={SECRET}), inner: Status {{ status: 403 }} }} }}'
    with pytest.raises(ConnectionError, match=r"refuses the credentials, .* \(403\)") as refused:
        raise_explained(ValueError(said))
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(ValueError, match="no such column"):
        raise_explained(ValueError("no such column"))


def raise_explained(error: Exception) -> None:
    with place_of(URL).explained():
        raise error


def test_a_store_that_does_not_answer(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="the store does not answer; check AWS_ENDPOINT_URL and AWS_REGION"):
        SearchIndex.open(URL)


def test_plain_http_must_be_allowed(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(ValueError, match="give https://, or set AWS_ALLOW_HTTP=true"):
        SearchIndex.open(URL)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("http://host/index", "at s3://, gs://, az://, not at http://"),
        ("s3a://bucket/index", "not at s3a://"),
        ("hdfs://host/index", "not at hdfs://"),
        ("file:///data/index", "named by its path, without file://"),
        ("s3://bucket", "has a bucket and a folder in it"),
        (f"s3://key:{SECRET}@bucket/index", "has a bucket and a folder in it"),
        (f"s3://bucket/index?secret_key={SECRET}", "has a bucket and a folder in it"),
        ("s3://bucket/../index", "has a bucket and a folder in it"),
        (Path("s3://bucket/index"), "give it as text"),
    ],
)
def test_a_url_where_no_index_can_be_is_refused(given: str | Path, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        SearchIndex.open(given)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("given", ["C:/data/index", "C:\\data\\index", "index", "./s3", "a:b"])
def test_other_names_are_folders(given: str) -> None:
    assert place_of(given).given == Path(given)


@pytest.mark.parametrize(
    ("given", "url"), [("S3://b/i/", "s3://b/i"), ("gs://b/a/i", "gs://b/a/i"), ("az://c/i", "az://c/i")]
)
def test_urls(given: str, url: str) -> None:
    assert place_of(given).given == str(place_of(given)) == url


def test_other_stores_are_opened_with_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of theirs runs here."""
    pytest.importorskip("pyarrow")
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "example")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert [file_system_of(Url(scheme, "b", "b/i")).type_name for scheme in ("gs", "az")] == ["gcs", "abfs"]
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    with pytest.raises(ValueError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        file_system_of(Url("az", "b", "b/i"))


def test_a_table_that_a_job_wrote_becomes_an_index(store: Any, encoder: Any) -> None:
    lance = pytest.importorskip("lance", reason="pylance is not installed")
    records = [Record(f"r{n}", f"Title {n}", "aspirin") for n in range(9)]
    vectors = encoder.encode_passages([one.text for one in records], [one.title for one in records])
    by = MadeBy(encoder.identity(), versions_of(OF_VECTORS), 512, "float16", 0.0)
    rows = job_rows(records, vectors, ["c"] * 9, range(9), by)
    lance.write_dataset(rows, "s3://papers/job/records.lance")
    assert index_table("s3://papers/job", device="cpu").records == 9
    assert main(["info", "s3://papers/job", "--verify"]) == 0
    with SearchIndex.open("s3://papers/job") as index:
        assert index.search(vectors[4], 1, mode="vector")[0].id == "r4"
