"""An index made with several engines: the bytes of one engine's run, also when one is lost, and the command's flags."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus import DamagedSource
from bmretriever_integrations.index import build_index
from bmretriever_integrations.parallel import EncoderPool
from bmretriever_integrations.parallel.worker_group import WorkerLostWarning

WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]
RECORDS, SHARD_SIZE = 600, 25


def write_corpus(path: Path, count: int) -> Path:
    texts = (" ".join(WORDS[(i * 7 + j * j) % 10] for j in range(3 + i % 37)) for i in range(count))
    lines = (json.dumps({"_id": f"r{i}", "title": f"Study {i}", "text": text}) for i, text in enumerate(texts))
    path.write_text("\n".join(lines))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has, so that sums are added up in the same order
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, checkpoint, one_thread) -> tuple[Path, dict[str, bytes]]:
    """A corpus, and the files of an index that one engine made of it."""
    home = tmp_path_factory.mktemp("many")
    source = write_corpus(home / "c.jsonl", RECORDS)
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], home / "i", shard_size=SHARD_SIZE)
    return source, contents(home / "i")


def test_bytes_are_one_engines_from_the_first_run_and_from_any_later_one(tmp_path, pool, undisturbed) -> None:
    source, expected = undisturbed
    report = build_index(pool, [source], tmp_path / "once", shard_size=SHARD_SIZE)
    assert report.embedded == RECORDS
    assert contents(tmp_path / "once") == expected
    grown = tmp_path / "grown"
    assert build_index(pool, [source], grown, shard_size=SHARD_SIZE, limit=210).embedded == 210
    (grown / "shard-000003.vectors.npy").write_bytes(b"damaged")
    report = build_index(pool, [source], grown, shard_size=SHARD_SIZE)
    assert report.embedded == RECORDS - 210 + SHARD_SIZE + 10  # the damaged shard and the part-filled one anew
    assert report.rebuilt[0].startswith("shard 3")
    assert contents(grown) == expected


def test_an_index_of_one_engine_is_gone_on_with_by_many(tmp_path, checkpoint, pool, undisturbed) -> None:
    source, expected = undisturbed
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], tmp_path / "i", shard_size=SHARD_SIZE, limit=100)
    assert build_index(pool, [source], tmp_path / "i", shard_size=SHARD_SIZE).embedded == RECORDS - 100
    assert contents(tmp_path / "i") == expected


def test_shards_are_finished_in_order_and_an_error_leaves_the_first_ones(tmp_path, pool, undisturbed) -> None:
    source, _ = undisturbed
    lines = source.read_text().splitlines()
    lines[160] = json.dumps({"_id": "r160", "title": "", "text": "bell \x07"})  # NaN, in shard 6
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    with pytest.raises(FloatingPointError):
        build_index(pool, [tmp_path / "c.jsonl"], tmp_path / "i", shard_size=SHARD_SIZE)
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    assert [shard["records"] for shard in manifest["shards"]] == [SHARD_SIZE] * 6
    assert not manifest["complete"]


def test_a_source_that_breaks_off_leaves_what_one_engine_would(tmp_path, checkpoint, pool, undisturbed) -> None:
    whole = gzip.compress(undisturbed[0].read_bytes(), mtime=0)
    source = tmp_path / "c.jsonl.gz"
    source.write_bytes(whole[: len(whole) // 2])
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder, pytest.raises(DamagedSource):
        build_index(encoder, [source], tmp_path / "one", shard_size=SHARD_SIZE)
    with pytest.raises(DamagedSource):
        build_index(pool, [source], tmp_path / "many", shard_size=SHARD_SIZE)
    shards = [json.loads((tmp_path / name / "manifest.json").read_text())["shards"] for name in ("one", "many")]
    assert len(shards[0]) == len(shards[1]) >= 4


def test_the_command_with_a_worker_killed_ends_with_the_same_bytes_and_says_so(
    tmp_path, checkpoint, undisturbed, monkeypatch, capsys, workers
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    source, expected = undisturbed
    folder, killed = tmp_path / "i", []
    load = EncoderPool.__init__

    def loaded(self, *arguments, **named) -> None:
        load(self, *arguments, **named)

        def kill() -> None:
            while not (folder / "shard-000002.vectors.npy").exists():
                time.sleep(0.001)
            killed.append(workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()

    monkeypatch.setattr(EncoderPool, "__init__", loaded)
    flags = ["--model", str(checkpoint), "--dtype", "float32", "--shard-size", str(SHARD_SIZE), "--devices", "cpu, cpu"]
    assert main(["index", str(source), "--to", str(folder), *flags]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder}: {RECORDS} records, {RECORDS} of them embedded now\n"
    assert contents(folder) == expected
    (line,) = err.splitlines()
    assert line.startswith(f"warning: the worker on cpu (process {killed[0]}) ended by SIGKILL")
    assert line.endswith("the others do its part")


def test_quantised_weights_make_an_index_of_their_own(tmp_path, checkpoint, undisturbed) -> None:
    command = ["index", str(undisturbed[0]), "--to", str(tmp_path / "i"), "--model", str(checkpoint), "--limit", "20"]
    assert main([*command, "--device", "cpu", "--quantization", "int8"]) == 0
    assert json.loads((tmp_path / "i" / "manifest.json").read_text())["encoder"]["quantization"] == "int8"
    assert main([*command, "--device", "cpu"]) == 2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--devices", "cpu,cpu", "--device", "cpu"], "--devices and --device exclude each other"),
        (["--devices", "cpu", "--engine", "ray"], "--devices and --engine ray exclude each other"),
        (["--workers", "2"], "--workers is for a cluster: add --engine ray"),
        (["--ray-address", "auto"], "--ray-address is for a cluster: add --engine ray"),
        (["--devices", ","], "devices must name at least one device"),
    ],
)
def test_flags_that_would_be_passed_over_are_refused(tmp_path, undisturbed, capsys, flags, words) -> None:
    assert main(["index", str(undisturbed[0]), "--to", str(tmp_path / "i"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_other_warnings_stay_what_they_are(tmp_path, checkpoint, undisturbed, monkeypatch, capsys) -> None:
    def build(*_arguments, **_named):
        warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn("one is lost", WorkerLostWarning, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr("bmretriever_integrations.index.build_index", build)
    command = ["index", str(undisturbed[0]), "--to", str(tmp_path / "i"), "--model", str(checkpoint), "--device", "cpu"]
    with pytest.warns(UserWarning, match="something else") as raised:
        assert main(command) == 130
    assert len(raised) == 1
    assert "warning: one is lost\n" in capsys.readouterr().err
