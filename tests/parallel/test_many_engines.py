"""An index made with several engines: the rows of one engine's run, also when one is lost, and the command's flags."""

from __future__ import annotations

import gzip
import json
import os
import signal
import warnings
from pathlib import Path

import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus import DamagedSource
from bmretriever_integrations.index import build_index
from bmretriever_integrations.parallel.worker_group import WorkerLostWarning

WORDS = ["aspirin", "stroke", "insulin", "glucose", "tumour", "biopsy", "enzyme", "receptor", "placebo", "cohort"]
RECORDS, PORTION = 400, 25


def write_corpus(path: Path, count: int) -> Path:
    texts = (" ".join(WORDS[(i * 7 + j * j) % 10] for j in range(3 + i % 37)) for i in range(count))
    lines = (json.dumps({"_id": f"r{i}", "title": f"Study {i}", "text": text}) for i, text in enumerate(texts))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a worker has, so that sums are added up in the same order
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def undisturbed(tmp_path, checkpoint, portion, rows_in) -> tuple[Path, dict]:
    """A corpus, and the rows of an index that one engine made of it."""
    source = write_corpus(tmp_path / "c.jsonl", RECORDS)
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], tmp_path / "undisturbed")
    return source, rows_in(tmp_path / "undisturbed")


def test_rows_are_one_engines_from_the_first_run_and_from_any_later_one(tmp_path, pool, undisturbed, rows_in) -> None:
    source, expected = undisturbed
    report = build_index(pool, [source], tmp_path / "once")
    assert report.embedded == RECORDS
    assert rows_in(tmp_path / "once") == expected
    grown = tmp_path / "grown"
    assert build_index(pool, [source], grown, limit=200).embedded == 200
    report = build_index(pool, [source], grown)
    assert (report.embedded, report.unchanged) == (RECORDS - 200, 200)
    assert rows_in(grown) == expected


def test_an_index_of_one_engine_is_gone_on_with_by_many(tmp_path, checkpoint, pool, undisturbed, rows_in) -> None:
    source, expected = undisturbed
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder:
        build_index(encoder, [source], tmp_path / "i", limit=100)
    assert build_index(pool, [source], tmp_path / "i").embedded == RECORDS - 100
    assert rows_in(tmp_path / "i") == expected


def test_portions_are_committed_in_order_and_an_error_leaves_the_first_ones(
    tmp_path, pool, undisturbed, rows_in
) -> None:
    source, expected = undisturbed
    lines = source.read_text().splitlines()
    lines[160] = json.dumps({"_id": "r160", "title": "", "text": "bell \x07"})  # NaN, in portion 6
    (tmp_path / "nan.jsonl").write_text("\n".join(lines))
    with pytest.raises(FloatingPointError):
        build_index(pool, [tmp_path / "nan.jsonl"], tmp_path / "i")
    assert rows_in(tmp_path / "i") == {f"r{number}": expected[f"r{number}"] for number in range(6 * PORTION)}
    assert not json.loads((tmp_path / "i" / "manifest.json").read_text())["complete"]


def test_a_source_that_breaks_off_leaves_what_one_engine_would(
    tmp_path, checkpoint, pool, undisturbed, rows_in
) -> None:
    whole = gzip.compress(undisturbed[0].read_bytes(), mtime=0)
    source = tmp_path / "c.jsonl.gz"
    source.write_bytes(whole[: len(whole) // 2])
    with BMRetrieverEncoder(checkpoint, dtype="float32", device="cpu") as encoder, pytest.raises(DamagedSource):
        build_index(encoder, [source], tmp_path / "one", strict=True)
    with pytest.raises(DamagedSource):
        build_index(pool, [source], tmp_path / "many", strict=True)
    rows = rows_in(tmp_path / "many")
    assert rows == rows_in(tmp_path / "one")
    assert len(rows) > 4 * PORTION


def test_the_command_with_a_worker_killed_ends_with_the_same_rows_and_says_so(
    tmp_path, checkpoint, undisturbed, rows_in, when_committed, monkeypatch, capsys, workers
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    source, expected = undisturbed
    folder, killed = tmp_path / "i", []

    def kill() -> None:
        killed.append(workers[0].pid)
        os.kill(killed[0], signal.SIGKILL)

    when_committed(folder, 2, kill)
    flags = ["--model", str(checkpoint), "--dtype", "float32", "--devices", "cpu, cpu"]
    assert main(["index", str(source), "--to", str(folder), *flags]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder}: {RECORDS} records; {RECORDS} embedded now\n"
    assert rows_in(folder) == expected
    (line,) = err.splitlines()
    assert line.startswith(f"warning: the worker on cpu (process {killed[0]}) ended by SIGKILL")
    assert line.endswith("the others do its part")


def test_quantised_weights_make_an_index_of_their_own(tmp_path, checkpoint) -> None:
    source = write_corpus(tmp_path / "c.jsonl", 20)
    command = ["index", str(source), "--model", str(checkpoint), "--device", "cpu"]
    assert main([*command, "--to", str(tmp_path / "i"), "--quantization", "int8"]) == 0
    assert json.loads((tmp_path / "i" / "manifest.json").read_text())["encoder"]["quantization"] in ("int8", "int7")
    assert main([*command, "--to", str(tmp_path / "plain")]) == 0
    assert main([*command, "--to", str(tmp_path / "plain"), "--quantization", "int8"]) == 2


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
def test_flags_that_would_be_passed_over_are_refused(tmp_path, capsys, flags, words) -> None:
    source = write_corpus(tmp_path / "c.jsonl", 5)
    assert main(["index", str(source), "--to", str(tmp_path / "i"), *flags]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "i").exists()


def test_other_warnings_stay_what_they_are(tmp_path, checkpoint, monkeypatch, capsys) -> None:
    def build(*_arguments, **_named):
        warnings.warn("something else", UserWarning, stacklevel=1)
        warnings.warn("one is lost", WorkerLostWarning, stacklevel=1)
        raise KeyboardInterrupt

    monkeypatch.setattr("bmretriever_integrations.index.build_index", build)
    source = write_corpus(tmp_path / "c.jsonl", 5)
    command = ["index", str(source), "--to", str(tmp_path / "i"), "--model", str(checkpoint), "--device", "cpu"]
    with pytest.warns(UserWarning, match="something else") as raised:
        assert main(command) == 130
    assert len(raised) == 1
    assert "warning: one is lost\n" in capsys.readouterr().err
