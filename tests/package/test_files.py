"""What is written is there as a whole or as it was; a folder has one writer at a time."""

from __future__ import annotations

import os

import pytest
from filelock import FileLock

from bmretriever_integrations.files import LOCK, only_writer, whole_file, whole_folder, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_the_new_one_is_on_the_disk(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_whole(path, b"first")
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _handle: seen.append(path.read_bytes()))
    write_whole(path, b"second")
    assert seen == [b"first", b"second"]  # the file before the rename, the folder after it
    assert path.read_bytes() == b"second"
    assert names(tmp_path) == ["a.json"]


def test_a_file_stays_as_it_was_if_the_writing_fails(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, b"first")

    def fill_the_disk():
        with whole_file(path) as draft:
            draft.write_bytes(b"sec")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        fill_the_disk()
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["a.json"]


def test_a_block_that_writes_no_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\.a\.json\.tmp"), whole_file(tmp_path / "a.json"):
        pass


def test_a_folder_is_replaced_as_a_whole_and_its_parents_are_made(tmp_path):
    folder = tmp_path / "parent" / "to"
    for content in (["a", "b"], ["c"]):
        with whole_folder(folder) as draft:
            assert names(draft) == []
            for name in content:
                (draft / name).write_text(name)
        assert names(folder) == content
        assert names(folder.parent) == ["to"]


def test_a_folder_stays_as_it_was_if_the_block_fails(tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()
    (folder / "a").write_text("a")

    def interrupted():
        with whole_folder(folder) as draft:
            (draft / "b").write_text("b")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(folder) == ["a"]
    assert names(tmp_path) == ["to"]


def test_a_second_writer_of_this_process_is_refused_too(tmp_path):
    with only_writer(tmp_path):
        with (
            pytest.raises(BlockingIOError, match="is being written by another process; wait for its end"),
            only_writer(tmp_path),
        ):
            pass
        (tmp_path / "elsewhere").mkdir()
        with only_writer(tmp_path / "elsewhere"):
            pass
    with only_writer(tmp_path):
        pass


def test_the_lock_s_file_stays_unless_the_block_removes_it(tmp_path, monkeypatch):
    release = FileLock.release

    def and_take_away(lock, force=False):
        if lock.is_locked:
            release(lock, force)
            os.unlink(lock.lock_file)

    with only_writer(tmp_path):
        pass
    assert names(tmp_path) == [LOCK]
    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "release", and_take_away)
        with only_writer(tmp_path):
            pass
    assert names(tmp_path) == [LOCK]
    with only_writer(tmp_path):
        (tmp_path / LOCK).unlink()
    assert names(tmp_path) == []
