"""Tuning: the wanted recall is reached on rows that are held back, what is shown is exact, and narrow filters go exact."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.files import only_writer
from bmretriever_integrations.index import SearchIndex, build_index, delete_records
from bmretriever_integrations.index.checksums import find_damage
from bmretriever_integrations.index.manifest import read_manifest
from bmretriever_integrations.index.schema import table_of
from bmretriever_integrations.index.table import open_table, optimize
from bmretriever_integrations.index.tune import after_update, drop_approximate_index, tune_index

ROWS, WIDTH = 6_000, 64
SMALLER = {
    "tune.FEWEST_ROWS": 3_000,
    "tune.SAMPLE": 40,
    "tune.SAMPLE_AFTER_UPDATE": 40,
    "tune.REFINE": (10, 20),
    "search.candidates.NARROW": 2_000,
}
"""Bounds for a table that is made in a second."""


@pytest.fixture(scope="module", autouse=True)
def _smaller() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALLER.items():
            patch.setattr(f"bmretriever_integrations.index.{name}", value)
        yield


def clusters(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((200, WIDTH), np.float32)
    vectors = centres[rng.integers(0, 200, rows)] + rng.standard_normal((rows, WIDTH), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, write_index):
    """A large index that is not tuned."""
    records = [
        Record(
            str(number),
            f"Study {number % 997}",
            "text",
            Metadata(journal=f"J{number % 500}", retracted=number % 50 == 0),
        )
        for number in range(ROWS)
    ]
    return write_index(tmp_path_factory.mktemp("plain") / "i", records, clusters(ROWS, 0))


@pytest.fixture(scope="module")
def tuned(plain, tmp_path_factory):
    """The same index, tuned, and the report."""
    folder = shutil.copytree(plain.folder, tmp_path_factory.mktemp("tuned") / "i")
    return replace(plain, folder=folder), tune_index(folder, 0.9)


@pytest.fixture
def copy(plain, tmp_path: Path) -> Path:
    return shutil.copytree(plain.folder, tmp_path / "i")


def best(stored, question, count: int, allowed=lambda _record: True) -> list[str]:
    scores = stored.scores(question)
    ids = [record.id for record in stored.records if allowed(record)]
    return sorted(ids, key=lambda one: (-scores[one], one))[:count]


def test_it_finds_the_wanted_share_of_the_best_and_scores_them_exactly(tuned) -> None:
    stored, report = tuned
    questions = clusters(100, 5)
    with SearchIndex.open(stored.folder) as index:
        assert index.tuned
        found = [index.search(question, 10, include_retracted=True) for question in questions]
    shares = []
    for question, hits in zip(questions, found, strict=True):
        scores = stored.scores(question)
        np.testing.assert_allclose([hit.score for hit in hits], [scores[hit.id] for hit in hits], rtol=1e-6)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        shares.append(len({hit.id for hit in hits} & set(best(stored, question, 10))) / 10)
    assert np.mean(shares) > 0.85
    assert report.chosen.recall >= 0.9


def test_the_choice_is_kept_with_what_was_measured(tuned) -> None:
    stored, report = tuned
    manifest = read_manifest(stored.folder)
    assert manifest.tuned == asdict(report.chosen)
    assert (report.chosen.wanted, report.chosen.rows, report.chosen.questions) == (0.9, ROWS, 80)
    assert find_damage(stored.folder, manifest) == []
    on_disk = {path.name for path in (stored.folder / "records.lance" / "_indices").iterdir()}
    listed = {name.split("/")[2] for name in manifest.checksums if "/_indices/" in name}
    assert on_disk == listed
    exact, *tried = report.trials
    assert exact.measured.recall == 1
    assert [one for one in tried if one.measured.recall >= 0.9]


def test_the_approximate_index_is_what_searches_read(tuned, plain) -> None:
    """Fewer probes would not find all, so hits differ from the exact ones for some question."""
    stored, _ = tuned
    manifest = read_manifest(stored.folder)
    replace(manifest, tuned={**manifest.tuned, "nprobes": 1, "refine_factor": 1}).write(stored.folder)
    questions = clusters(60, 6)
    with SearchIndex.open(stored.folder) as index, SearchIndex.open(plain.folder) as exact:
        few = [[hit.id for hit in index.search(question, 10)] for question in questions]
        manifest.write(stored.folder)  # an open index follows the manifest
        many = [[hit.id for hit in index.search(question, 10)] for question in questions]
        right = [[hit.id for hit in exact.search(question, 10)] for question in questions]

    def found(lists) -> int:
        return sum(len(set(one) & set(other)) for one, other in zip(lists, right, strict=True))

    assert found(few) < found(many) <= 600


def test_narrow_filters_and_long_lists_are_exact(tuned) -> None:
    stored, _ = tuned
    with SearchIndex.open(stored.folder) as index:
        for question in clusters(5, 7):
            hits = index.search(question, 9, filters="journal = 'J7'", include_retracted=True)
            assert [hit.id for hit in hits] == best(stored, question, 9, lambda one: one.metadata.journal == "J7")
            hits = index.search(question, 5, filters="journal = 'J7'")
            assert len(hits) == 5
            hits = index.search(question, 1010, include_retracted=True)
            assert [hit.id for hit in hits] == best(stored, question, 1010)


@pytest.mark.parametrize("options", [{}, {"filters": "journal < 'J6'"}, {"include_retracted": True}])
def test_many_questions_are_answered_as_one_by_one(tuned, options) -> None:
    stored, _ = tuned
    questions = clusters(12, 8)
    with SearchIndex.open(stored.folder) as index:
        many = index.search_many(questions, 6, **options)
        for question, hits in zip(questions, many, strict=True):
            single = index.search(question, 6, **options)
            assert [(hit.id, hit.score) for hit in hits] == [(hit.id, hit.score) for hit in single]


def test_what_cannot_be_tuned_is_refused_and_left_as_it_was(stored, copy: Path, write_index, tmp_path) -> None:
    with pytest.raises(ValueError, match=r"recall must be from 0\.5 to below 1, got 1"):
        tune_index(copy, 1)
    with pytest.raises(ValueError, match=r"has 600 records: below 3,000 the exact search is fast"):
        tune_index(stored.folder)
    with pytest.raises(FileNotFoundError, match="holds no index"):
        tune_index(tmp_path)
    assert not (tmp_path / ".lock").exists()
    with only_writer(copy), pytest.raises(BlockingIOError):
        tune_index(copy)
    lengths = np.random.default_rng(0).lognormal(0, 0.5, (3_500, 1)).astype(np.float32)
    records = [Record(str(number), "t", "", Metadata()) for number in range(3_500)]
    skewed = write_index(tmp_path / "skewed", records, clusters(3_500, 1) * lengths)
    with pytest.raises(ValueError, match=r"the lengths of the vectors vary by 5\d%"):
        tune_index(skewed.folder)
    for folder in (stored.folder, copy, skewed.folder):
        assert read_manifest(folder).tuned is None
        assert all("vector" not in index.columns for index in open_table(folder).list_indices())


def test_a_recall_that_is_not_reached_leaves_searches_exact(copy: Path, monkeypatch) -> None:
    monkeypatch.setattr("bmretriever_integrations.index.tune.PROBES", (1,))
    monkeypatch.setattr("bmretriever_integrations.index.tune.REFINE", (1,))
    with pytest.raises(ValueError, match=r"no setting reached a recall of 99\.9%"):
        tune_index(copy, 0.999)
    manifest = read_manifest(copy)
    assert (manifest.tuned, find_damage(copy, manifest)) == (None, [])
    with SearchIndex.open(copy) as index:
        assert not index.tuned
        assert index.search(np.ones(WIDTH), 3)


def test_an_update_measures_the_recall_again_and_trains_anew_where_it_fell(tuned, tmp_path: Path) -> None:
    folder = shutil.copytree(tuned[0].folder, tmp_path / "i")
    manifest, table = read_manifest(folder), open_table(folder)
    records = [Record(f"new{number}", "t", "", Metadata()) for number in range(700)]
    table.add(table_of(records, clusters(700, 2), ["d.jsonl"] * 700, "float16"))
    optimize(table)
    said: list[str] = []
    after_update(folder, table, manifest, said.append)
    assert (manifest.tuned["rows"], said) == (ROWS + 700, [])
    manifest.tuned = {**manifest.tuned, "nprobes": 1, "refine_factor": 1}  # as good as an index that no longer fits
    after_update(folder, table, manifest, said.append)
    assert "training the approximate index anew" in said[0]
    assert manifest.tuned["recall"] >= 0.9
    assert manifest.tuned["nprobes"] > 1
    manifest.tuned = None
    after_update(folder, table, manifest, said.append)
    assert manifest.tuned is None


KILLED = """
import os, signal, sys
from bmretriever_integrations.index import tune

tune.FEWEST_ROWS, tune.SAMPLE = 3_000, 40

def stop(line):
    if line.startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

tune.tune_index(sys.argv[1], 0.9, say=stop)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", ["training", "measuring"])
def test_a_tune_that_was_killed_leaves_searches_exact_and_can_be_run_again(tuned, tmp_path: Path, moment) -> None:
    stored, _ = tuned
    folder = shutil.copytree(stored.folder, tmp_path / "i")
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment], check=False, timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert find_damage(folder, read_manifest(folder)) == []
    question = clusters(1, 9)[0]
    with SearchIndex.open(folder) as index:
        assert not index.tuned
        hits = index.search(question, 10, include_retracted=True)
        assert [hit.id for hit in hits] == best(stored, question, 10)
    assert tune_index(folder, 0.9).chosen.recall >= 0.9


def test_the_command_prints_what_it_tried_and_chose(copy: Path, tmp_path: Path, tiny, capsys, monkeypatch) -> None:
    # the tiny model's vectors lie far from the rows', so only a refinement of most rows is sure to reach the recall
    monkeypatch.setattr("bmretriever_integrations.index.tune.REFINE", (10, 20, 400))
    manifest = read_manifest(copy)
    questions = tmp_path / "questions.jsonl"
    lines = [json.dumps({"_id": str(number), "text": f"study {number}"}) for number in range(4)]
    questions.write_text("\n".join(lines))
    command = ["tune", str(copy), "--recall", "0.8", "--questions", str(questions)]
    assert main([*command, "--model", str(tiny("llama")), "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["probes", "refinement", "recall@10", "median", "ms"]
    assert lines[1].split()[:3] == ["exact", "search", "100.0%"]
    assert sum("<- chosen" in line for line in lines) == 1
    assert "measured with 84 questions over 6,000 records" in lines[-1]
    assert "training the approximate index over 6,000 vectors" in err
    assert re.search(r"^measuring 5 probes, refinement 10\nrecall \d+\.\d%, \d+\.\d ms$", err, re.MULTILINE)
    assert read_manifest(copy).tuned["questions"] == 84
    assert manifest.tuned is None
    assert main(["tune", str(tmp_path)]) == 2
    assert "holds no index" in capsys.readouterr().err


def test_a_run_of_index_and_a_delete_measure_the_recall_of_a_tuned_index(encoder, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("bmretriever_integrations.index.tune.FEWEST_ROWS", 300)

    def write(name: str, first: int, last: int) -> Path:
        lines = [json.dumps({"_id": str(number), "text": f"study {number}"}) for number in range(first, last)]
        (tmp_path / name).write_text("\n".join(lines))
        return tmp_path / name

    folder = tmp_path / "i"
    build_index(encoder, [write("1.jsonl", 0, 400)], folder)
    tune_index(folder, 0.8)
    build_index(encoder, [write("2.jsonl", 400, 500)], folder)
    assert read_manifest(folder).tuned["rows"] == 500
    delete_records(folder, ["3", "4"])
    manifest = read_manifest(folder)
    assert manifest.tuned["rows"] == 498
    assert find_damage(folder, manifest) == []
    with SearchIndex.open(folder) as index:
        assert index.tuned


def test_vectors_that_need_another_type_let_searches_be_exact_again(copy: Path) -> None:
    tune_index(copy, 0.8)
    manifest = read_manifest(copy)
    drop_approximate_index(copy, open_table(copy), manifest)
    with SearchIndex.open(copy) as index:
        assert not index.tuned
    assert all("vector" not in index.columns for index in open_table(copy).list_indices())
