"""kill -9 and Ctrl-C at any moment: the same call ends with an undisturbed run's rows, and no search sees half of anything."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.index.table import open_table

SCRIPT = """
import sys, time
from concurrent.futures import Future
from hashlib import blake2b
import numpy as np
from bmretriever_integrations.index import build_index
from bmretriever_integrations.index.ingest import build, writing

build.portion_size = lambda width, batch_tokens: 20
writing.ROWS_UNTIL_OPTIMIZE = 60

class Engines:
    width, batch_tokens, slots, cut_texts = 16, 64, 1, 0
    def identity(self):
        plain = {"max_length": 512, "dtype": "float32", "width": 16, "normalize": False}
        return {"model": "made up", "revision": None, "files_sha256": "0" * 64, **plain}
    def submit_passages(self, calls, batch_tokens, done):
        seed = int.from_bytes(blake2b(repr(calls).encode(), digest_size=8).digest(), "little")
        future = Future()
        shape = sum(len(texts) for texts, _titles in calls), 16
        future.set_result(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))
        time.sleep(.005)
        return future

print("begun", flush=True)
build_index(Engines(), sys.argv[2:], sys.argv[1])
"""
# more than the suite has time for: BMRETRIEVER_KILLS=30
KILLS = int(os.environ.get("BMRETRIEVER_KILLS", "2"))


def start(folder: Path, sources: list[Path]) -> subprocess.Popen[str]:
    """Start to index, and wait until everything is imported."""
    words = [sys.executable, "-c", SCRIPT, str(folder), *map(str, sources)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n", process.communicate()
    return process


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[Path]:
    """A baseline of 300 citations, and an update that changes 40, adds 60, rewrites the metadata of 30 and withdraws 20."""
    home = tmp_path_factory.mktemp("kill")

    def citation(pmid: int, title: str, day: str) -> str:
        year, month, of_month = day.split("-")
        revised = f"<DateRevised><Year>{year}</Year><Month>{month}</Month><Day>{of_month}</Day></DateRevised>"
        article = f"<Article><ArticleTitle>{title} {pmid}</ArticleTitle></Article>"
        return (
            f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID>{revised}{article}'
            "</MedlineCitation></PubmedArticle>"
        )

    base = [citation(pmid, "old", "2020-01-01") for pmid in range(300)]
    update = [citation(pmid, "new", "2021-01-01") for pmid in [*range(40), *range(300, 360)]]
    update += [citation(pmid, "old", "2021-01-01") for pmid in range(100, 130)]
    gone = "".join(f"<PMID>{pmid}</PMID>" for pmid in range(200, 220))
    for name, content in (("base", base), ("update", [*update, f"<DeleteCitation>{gone}</DeleteCitation>"])):
        (home / f"{name}.xml").write_text(f"<PubmedArticleSet>{''.join(content)}</PubmedArticleSet>", encoding="utf-8")
    return [home / "base.xml", home / "update.xml"]


def titles(folder: Path) -> dict[str, str]:
    table = open_table(folder)
    rows = [] if table is None else table.search().select(["id", "title"]).limit(1000).to_list()
    assert len(rows) == len({row["id"] for row in rows})
    return {row["id"]: row["title"] for row in rows}


def look(folder: Path, seen: list[int]) -> None:
    """Whatever a run is doing, a search finds every record once, and none that is half written."""
    if open_table(folder) is None:
        return
    with SearchIndex.open(folder) as index:
        hits = index.search(np.ones(16, np.float32), 1000, mode="vector")
        assert len({hit.id for hit in hits}) == len(hits)
        assert all(hit.title in (f"old {hit.id}", f"new {hit.id}") for hit in hits)
        seen.append(len(hits))


def commits(folder: Path) -> int:
    """Changes of the table that were begun so far."""
    return len(list((folder / "records.lance" / "_transactions").glob("*")))


def test_killed_at_any_moment_and_run_again_gives_the_same_rows(tmp_path, sources, rows_in) -> None:
    assert start(tmp_path / "once", sources).communicate()[1] == ""
    expected, seen, killed = rows_in(tmp_path / "once"), [], 0
    assert len(expected) == 340
    for kill in range(KILLS):
        folder, draw = tmp_path / str(kill), random.Random(kill)
        for part in (0.5, 1.0):
            moment = commits(folder) + draw.uniform(0, part) * (commits(tmp_path / "once") - commits(folder))
            process = start(folder, sources)
            while commits(folder) < moment and process.poll() is None:
                look(folder, seen)
            time.sleep(draw.uniform(0, 0.02))
            killed += process.poll() is None
            process.kill()
            process.communicate()
            look(folder, seen)
        assert start(folder, sources).communicate()[1] == ""
        assert rows_in(folder) == expected
    assert killed
    assert len(set(seen)) > 1  # some were looked at while they grew


def test_of_two_writers_at_once_one_goes_on_and_one_is_told(tmp_path, sources) -> None:
    both = [start(tmp_path / "i", sources) for _ in range(2)]
    ends = [(process.communicate()[1], process.returncode) for process in both]
    assert len(titles(tmp_path / "i")) == 340
    for error, status in ends:  # the one that is told, if it did not begin after the other's end
        assert status == 0 or "is being written by another process; wait for its end" in error
    assert [status for _error, status in ends].count(0) >= 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_says_what_is_safe_and_how_to_go_on(tmp_path, tiny, write_jsonl) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 20_000)  # it must not end before the signal comes
    folder = tmp_path / "i"
    words = ["index", str(source), "--to", str(folder), "--model", str(tiny("llama")), "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bmretriever_integrations", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not titles(folder):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    safe = len(open_table(folder).to_arrow())
    assert (process.returncode, out) == (130, "")
    assert err == f"interrupted: {safe:,} records are safe in {folder}; run the same command to continue\n"
    assert 0 < safe < 20_000
