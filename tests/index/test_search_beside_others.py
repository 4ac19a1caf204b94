"""One index, many users: threads, coroutines, a writer in between, a fork, and folders that are not as they were."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.index import DamagedIndex, IndexMismatch, SearchIndex
from bmretriever_integrations.index.checksums import update_checksums
from bmretriever_integrations.index.manifest import read_manifest
from bmretriever_integrations.index.schema import table_of
from bmretriever_integrations.index.table import open_table, optimize

QUESTIONS = ["aspirin and stroke", "insulin", "biopsy of a tumour", "placebo cohort"]


@pytest.fixture
def copy(stored, tmp_path: Path) -> Path:
    return shutil.copytree(stored.folder, tmp_path / "copy")


def ids(hits) -> list[str]:
    return [hit.id for hit in hits]


def test_eight_threads_and_many_coroutines_get_the_right_hits(index) -> None:
    right = {question: ids(index.search(question, 9)) for question in QUESTIONS}
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda question: (question, ids(index.search(question, 9))), QUESTIONS * 10))
    assert all(right[question] == hits for question, hits in found)

    async def ask() -> list:
        return await asyncio.gather(*(asyncio.to_thread(index.search, question, 9) for question in QUESTIONS * 3))

    assert [ids(hits) for hits in asyncio.run(ask())] == [right[question] for question in QUESTIONS * 3]


def test_a_search_inside_a_coroutine(index) -> None:
    async def ask() -> list[str]:
        return ids(index.search(QUESTIONS[0], 9))

    assert asyncio.run(ask()) == ids(index.search(QUESTIONS[0], 9))


def test_every_search_beside_a_writer_sees_one_committed_state(copy: Path, stored) -> None:
    """The writer raises all versions at once: hits of two versions in one answer would be a torn state."""
    vectors = np.abs(stored.vectors[:40])
    done = threading.Event()

    def write() -> None:
        table = open_table(copy)
        try:
            for version in range(1, 12):
                changed = [
                    replace(record, title=f"aspirin {version}", metadata=replace(record.metadata, version=version))
                    for record in stored.records[:40]
                ]
                rows = table_of(changed, vectors, ["c.jsonl"] * 40, "float16")
                merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
                merge.execute(rows)
                if version % 4 == 0:
                    optimize(table)
        finally:
            done.set()

    with SearchIndex.open(copy) as opened:
        writer = threading.Thread(target=write)
        writer.start()
        seen = []
        while not done.is_set():
            hits = opened.search(np.ones(64, np.float32), 20, filters="version > 0", include_retracted=True)
            versions = {hit.metadata["version"] for hit in hits}
            assert len(versions) <= 1
            assert all(hit.title == f"aspirin {hit.metadata['version']}" for hit in hits)
            seen += versions
        writer.join()
        assert seen == sorted(seen)
        assert {hit.metadata["version"] for hit in opened.search("aspirin", 9, filters="version > 0")} == {11}


def test_what_another_process_commits_is_found_by_the_next_search(copy: Path, stored) -> None:
    with SearchIndex.open(copy) as opened, SearchIndex.open(copy) as other:
        assert len(opened) == len(other) == 600
        open_table(copy).delete("id = 'r1'")
        assert len(opened) == 599
        with pytest.raises(ValueError, match="has no record 'r1'"):
            other.get(["r1"])


def _search_in_child(opened: SearchIndex, queue) -> None:
    said = []
    for use in (len, lambda index: index.search("aspirin"), lambda index: SearchIndex.open(index.folder)):
        try:
            use(opened)
        except RuntimeError as error:
            said.append(str(error))
    queue.put(said)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore")  # of Python, LanceDB and PyTorch, about the fork
def test_a_forked_process_is_told_at_once_to_open_the_index_after_the_fork(index) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_search_in_child, args=(index, queue))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    said = queue.get()
    assert len(said) == 3
    assert all("Open the index after the fork" in one for one in said)
    assert index.search("aspirin")  # the parent goes on


def test_its_engine_is_the_one_that_made_the_vectors(index, encoder) -> None:
    with index.open_encoder() as opened:
        assert opened.identity() == encoder.identity()


def test_a_model_that_moved_is_named_and_one_with_other_weights_is_refused(
    copy: Path, tiny, tmp_path: Path, encoder
) -> None:
    manifest = read_manifest(copy)
    moved = shutil.copytree(tiny("llama"), tmp_path / "moved")
    replace(manifest, encoder={**manifest.encoder, "model": str(tmp_path / "gone")}).write(copy)
    with (
        SearchIndex.open(copy) as opened,
        pytest.raises(FileNotFoundError, match=r"gone'.* If it is elsewhere now, name it: --model"),
    ):
        opened.search("aspirin")
    with SearchIndex.open(copy, model=moved, device="cpu") as opened:
        with opened.open_encoder() as engine:
            assert engine.identity() == {**encoder.identity(), "model": str(moved)}
        assert opened.search("aspirin")
    with (
        SearchIndex.open(copy, model=tiny("gpt_neox")) as opened,
        pytest.raises(IndexMismatch, match=r"its vectors would not fit"),
    ):
        opened.search("aspirin")


def test_folders_that_are_no_index_are_told_apart(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no index \(no manifest\.json\); make one with"):
        SearchIndex.open(tmp_path)
    manifest = read_manifest(copy)
    update_checksums(copy, manifest)
    shutil.rmtree(copy / "records.lance")
    with pytest.raises(DamagedIndex, match="has no records yet; index a source that has some"):
        SearchIndex.open(copy)  # no file of a table was ever listed, as where all sources only withdraw records
    replace(manifest, complete=False, checksums={}).write(copy)
    with pytest.raises(DamagedIndex, match="has no records yet; run the index command that began it again"):
        SearchIndex.open(copy)
    replace(manifest, complete=False).write(copy)  # a run was stopped, and then the table went
    with pytest.raises(DamagedIndex, match=r"its table records\.lance is missing"):
        SearchIndex.open(copy)


def test_an_index_of_another_model_in_the_same_place_is_refused(copy: Path) -> None:
    with SearchIndex.open(copy) as opened:
        manifest = read_manifest(copy)
        replace(manifest, encoder={**manifest.encoder, "files_sha256": "0" * 64}).write(copy)
        with pytest.raises(IndexMismatch, match="files_sha256"):
            opened.search(np.ones(64, np.float32))


def test_a_closed_index_opens_again_when_it_is_used(copy: Path) -> None:
    opened = SearchIndex.open(copy)
    right = ids(opened.search("aspirin"))
    opened.close()
    opened.close()
    assert ids(opened.search("aspirin")) == right
    opened.close()


def test_an_index_that_was_deleted_meanwhile_is_told(copy: Path) -> None:
    with SearchIndex.open(copy) as opened:
        opened.search("aspirin", mode="text")
        shutil.rmtree(copy)
        with pytest.raises(FileNotFoundError, match=r"copy holds no index \(no manifest"):
            opened.search("aspirin", mode="text")
