"""A local Ray cluster: the index's bytes are one engine's, also when an actor is killed; and the batches of Ray Data."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
from inspect import signature
from typing import ClassVar

import numpy as np
import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.index import build_index
from bmretriever_integrations.parallel.jobs import Facts
from bmretriever_integrations.parallel.ray_workers import RayEngines, RayWorker
from bmretriever_integrations.parallel.worker_group import WorkerLostWarning
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.ray_data import BMRetrieverBatchEmbedder
from bmretriever_integrations.settings import EncoderSettings
from bmretriever_integrations.testing import reference_encode
from bmretriever_integrations.versions import OF_VECTORS, versions_of

RECORDS = 600
TEXTS = ["aspirin prevents stroke", "", "insulin " * 30, "a cohort of 12"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as an actor with one core has
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def undisturbed(tmp_path, checkpoint, portion, rows_in):
    """A corpus, and the rows of an index that one engine made of it."""
    source = tmp_path / "c.jsonl"
    words = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]
    texts = (" ".join(words[(i * 7 + j * j) % 10] for j in range(3 + i % 37)) for i in range(RECORDS))
    source.write_text(
        "\n".join(json.dumps({"_id": f"r{i}", "title": f"T {i}", "text": text}) for i, text in enumerate(texts))
    )
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], tmp_path / "undisturbed")
    return source, rows_in(tmp_path / "undisturbed")


@pytest.fixture
def facts(monkeypatch):
    """What the actors of this test say once they have loaded."""
    said, plain = [], RayWorker.load
    monkeypatch.setattr(RayWorker, "load", lambda self: said.append(plain(self)) or said[-1])
    return said


def test_an_index_begun_here_is_ended_there_though_an_actor_is_killed(
    cluster, checkpoint, undisturbed, tmp_path, facts, rows_in, when_committed
) -> None:
    source, expected = undisturbed
    folder = tmp_path / "i"
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], folder, limit=50)
        identity = encoder.identity()
    with RayEngines(EncoderSettings(model=str(checkpoint), dtype="float32", device="cpu"), workers=2) as engines:
        assert engines.identity() == identity
        assert engines.at_work == "2 of 2"
        pids = {of_one.pid for of_one in facts}
        assert len(pids | {os.getpid()}) == 3
        when_committed(folder, 3, lambda: os.kill(min(pids), signal.SIGKILL))
        with pytest.warns(WorkerLostWarning, match=r"Ray worker \d ended: .*; the others do its part"):
            report = build_index(engines, [source], folder)
        assert report.embedded == RECORDS - 50
        assert rows_in(folder) == expected
        with pytest.raises(FloatingPointError, match="NaN or infinity") as caught:
            engines.submit_passages(((["bell \x07"], [""]),), 64, lambda _: None).result(timeout=60)
        assert "Raised in Ray worker" in caught.value.__notes__[-1]
    assert cluster.is_initialized()  # the caller's connection is the caller's


def test_the_command_on_a_cluster(cluster, checkpoint, undisturbed, tmp_path, capfd, rows_in) -> None:
    source, expected = undisturbed
    flags = ["--model", str(checkpoint), "--dtype", "float32", "--device", "cpu"]
    command = ["index", str(source), "--to", str(tmp_path / "i"), *flags, "--engine", "ray"]
    assert main([*command, "--workers", "3"]) == 2
    assert "3 workers need a core each, and the cluster has 2: ask for fewer" in capfd.readouterr().err
    assert main(command) == 0  # one worker, for there is one machine
    out, err = capfd.readouterr()
    assert (out, err) == (f"{tmp_path / 'i'}: {RECORDS} records; {RECORDS} embedded now\n", "")
    assert rows_in(tmp_path / "i") == expected


def test_a_batch_of_passages(checkpoint) -> None:
    embed = BMRetrieverBatchEmbedder(str(checkpoint), text_column="abstract", title_column="title", dtype="float32")
    titles = [None if i % 2 else f"T {i}" for i in range(12)]
    found = embed({"abstract": np.array(TEXTS * 3), "title": np.array(titles, object), "id": np.arange(12)})
    assert found["vector"].dtype == np.float32
    expected = reference_encode(checkpoint, list(map(passage_prompt, TEXTS * 3, titles)))
    errors = np.linalg.norm(found["vector"] - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert errors.max() <= 1e-5


def test_a_batch_of_queries(checkpoint) -> None:
    embed = BMRetrieverBatchEmbedder(
        str(checkpoint), kind="queries", text_column="q", output_column="v", instruction="scifact", dtype="float32"
    )
    batch = {"q": np.array(TEXTS), "id": np.arange(4)}
    found = embed(batch)
    assert list(found) == ["q", "id", "v"]
    assert "v" not in batch
    expected = reference_encode(checkpoint, [query_prompt(embed.instruction, text) for text in TEXTS])
    assert np.abs(found["v"] - expected).max() <= 1e-5 * np.abs(expected).max()
    copy = pickle.dumps(embed)
    assert len(copy) < 2000  # no weights
    assert np.array_equal(pickle.loads(copy)(batch)["v"], found["v"])
    assert repr(embed) == f"BMRetrieverBatchEmbedder({str(checkpoint)!r}, queries of 'q' -> 'v')"
    assert embed({"q": np.array([], object)})["v"].shape == (0, 64)


def test_nothing_is_loaded_before_the_first_batch(tmp_path) -> None:
    embed = BMRetrieverBatchEmbedder(str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere"):
        embed({"text": ["a"]})


def test_null_titles_of_arrow_and_pandas_are_none(checkpoint) -> None:
    embed = BMRetrieverBatchEmbedder(str(checkpoint), title_column="title", dtype="float32")
    titles = np.array([None, float("nan"), "", "T"], object)
    vectors = embed({"text": ["a"] * 4, "title": titles})["vector"]
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[3])


@pytest.mark.parametrize(
    ("settings", "batch", "kind", "words"),
    [
        ({"kind": "documents"}, None, ValueError, "kind must be one of passages, queries"),
        ({"kind": "queries", "title_column": "t"}, None, ValueError, "queries have no titles"),
        ({"instruction": "scifact"}, None, ValueError, "passages take no instruction"),
        ({"dtype": "int4"}, None, ValueError, "dtype must be one of"),
        ({}, [["a"]], TypeError, "batch_format='numpy'"),
        ({}, {"body": ["a"]}, KeyError, "no column 'text'; it has 'body'"),
        ({}, {"text": ["a"], "vector": [0]}, ValueError, "has a column 'vector' already"),
        ({}, {"text": ["a", None]}, TypeError, "row 1 of column 'text' is None"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings, batch, kind, words) -> None:
    with pytest.raises(kind, match=words):
        BMRetrieverBatchEmbedder("410M", **settings)(batch)


def test_its_settings_are_the_encoders() -> None:
    own = {"kind", "text_column", "title_column", "output_column"}
    one, batch = signature(BMRetrieverEncoder).parameters, signature(BMRetrieverBatchEmbedder).parameters
    assert set(batch) - own == set(one) - {"progress"}
    for name in set(batch) - own - {"model"}:
        assert batch[name].default == one[name].default


class Cluster:
    """Machines, as Ray tells of them."""

    def __init__(self, *machines):
        self.machines = machines

    def is_initialized(self):
        return True

    def nodes(self):
        return [{"Alive": bool(machine), "Resources": machine} for machine in self.machines]


class Planned:
    """A worker that is only asked for."""

    options: ClassVar[list] = []

    def __init__(self, _ray, name, settings, options):
        self.name, self.settings = name, settings
        self.options.append(options)

    def load(self):
        return Facts(
            64, 4096, {"model": self.settings.model, "files_sha256": "0", "max_length": 512}, versions_of(OF_VECTORS), 0
        )

    def close(self):
        pass


@pytest.fixture
def plan(monkeypatch):
    """A function: machines, device, number of workers -> how many were made, and what each needs of its machine."""

    def make(machines, device, workers):
        monkeypatch.setitem(sys.modules, "ray", Cluster(*machines))
        monkeypatch.setattr("bmretriever_integrations.parallel.ray_workers.RayWorker", Planned)
        monkeypatch.setattr(Planned, "options", [])
        with RayEngines(EncoderSettings(device=device), workers=workers):
            pass
        (options,) = {tuple(each.items()) for each in Planned.options}
        return len(Planned.options), dict(options)

    return make


@pytest.mark.parametrize(
    ("machines", "device", "workers", "expected"),
    [
        ([{"CPU": 8, "GPU": 4}, {"CPU": 8, "GPU": 2}, {}], None, None, (6, {"num_gpus": 1})),
        ([{"CPU": 8, "GPU": 4}], None, 3, (3, {"num_gpus": 1})),
        ([{"CPU": 8, "GPU": 4}], "cpu", None, (1, {"num_cpus": 8})),
        ([{"CPU": 8}, {"CPU": 4}], None, None, (2, {"num_cpus": 4})),
        ([{"CPU": 8}, {"CPU": 4}], None, 3, (3, {"num_cpus": 4})),
        ([{"CPU": 8}, {"CPU": 4}], None, 5, (5, {"num_cpus": 2})),
    ],
)
def test_workers_are_fitted_to_the_machines(plan, machines, device, workers, expected) -> None:
    assert plan(machines, device, workers) == expected


def test_more_workers_than_there_is_room_for_are_refused(plan) -> None:
    with pytest.raises(ValueError, match="5 workers need a GPU each, and the cluster has 4"):
        plan([{"CPU": 8, "GPU": 4}], None, 5)
    with pytest.raises(ValueError, match="13 workers need a core each, and the cluster has 12"):
        plan([{"CPU": 8}, {"CPU": 4}], None, 13)


def test_a_cluster_that_was_entered_is_left_again(monkeypatch) -> None:
    class Empty(Cluster):
        said: ClassVar[list] = []

        def is_initialized(self):
            return False

        def init(self, **named):
            self.said.append(named)

        def shutdown(self):
            self.said.append("left")

    monkeypatch.setitem(sys.modules, "ray", Empty())
    with pytest.raises(ValueError, match="2 workers need a core each, and the cluster has 0"):
        RayEngines(EncoderSettings(), workers=2, address="ray://head:10001")
    entered, left = Empty.said
    assert entered["address"] == "ray://head:10001"
    assert (entered["log_to_driver"], entered["include_dashboard"]) == (False, False)
    assert left == "left"


def test_without_ray_the_command_says_what_to_install(undisturbed, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["index", str(undisturbed[0]), "--to", str(tmp_path / "i"), "--engine", "ray"]) == 2
    assert 'pip install "bmretriever-integrations[ray]"' in capsys.readouterr().err
