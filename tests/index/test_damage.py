"""Damaged folders: every file of the table is covered by a checksum, and what stopped runs leave is no damage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import DamagedIndex, SearchIndex, build_index, checksums, delete_records
from bmretriever_integrations.index.checksums import check_files, find_damage, update_checksums
from bmretriever_integrations.index.manifest import NAME, FileChecksum, Manifest, SourceRead, read_manifest
from bmretriever_integrations.index.schema import table_of
from bmretriever_integrations.index.table import create_table, open_table, optimize

WIDTH = 16
ENCODER = {"model": "mini", "files_sha256": "0" * 64, "width": WIDTH, "dtype": "float32", "max_length": 512}
KINDS = ["data", "_deletions", "_indices", "_versions", "_transactions"]
HINT = "records.lance/_versions/latest_version_hint.json"


def _rows(first: int, last: int):
    records = [Record(str(n), f"Title {n}", "Text.", Metadata(date="2015")) for n in range(first, last)]
    vectors = np.random.default_rng(first).standard_normal((len(records), WIDTH), np.float32)
    return table_of(records, vectors, ["c.jsonl"] * len(records), "float16")


def _finish(folder: Path) -> None:
    manifest = read_manifest(folder)
    update_checksums(folder, manifest)
    manifest.complete = True
    manifest.write(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "i"
    folder.mkdir()
    table = create_table(folder, WIDTH, "float16")
    table.add(_rows(0, 30))
    table.add(_rows(30, 50))
    optimize(table)
    table.delete("id IN ('7', '8')")
    Manifest(ENCODER, 4096, sources=[SourceRead("c.jsonl", 1, "0", "0")]).write(folder)
    _finish(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "i")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "is missing"),
    "cut": (_cut, "bytes, not "),
    "emptied": (lambda path: path.write_bytes(b""), "has 0 bytes, not "),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), "bytes, not "),
    "one bit": (_flip, "has changed since it was written"),
}


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(path for path in (folder / "records.lance" / kind).rglob("*") if path.suffix not in ("", ".json"))


def test_a_whole_index_is_not_damaged_and_every_kind_of_file_is_listed(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert find_damage(folder, manifest) == []
    check_files(folder, manifest)
    assert {name.split("/")[1] for name in manifest.checksums} == set(KINDS)
    assert len(manifest.checksums) == sum(len(_files(folder, kind)) for kind in KINDS) > 50


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_damaged_file_is_named(folder: Path, kind: str, damage: str) -> None:
    manifest = read_manifest(folder)
    spoil, words = DAMAGES[damage]
    for path in (_files(folder, kind)[0], _files(folder, kind)[-1]):
        before = path.read_bytes()
        spoil(path)
        name = path.relative_to(folder).as_posix()
        found = find_damage(folder, manifest)
        assert [file.name for file in found] == [name]
        assert words in found[0].reason
        with pytest.raises(DamagedIndex, match=rf"is damaged: {name} .*Restore .* bmretriever index c\.jsonl --to"):
            check_files(folder, manifest)
        path.write_bytes(before)
    assert find_damage(folder, manifest) == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_index_is_not_opened(folder: Path, kind: str, damage: str) -> None:
    path = _files(folder, kind)[0]
    DAMAGES[damage][0](path)
    with pytest.raises(DamagedIndex, match=f"is damaged: {path.relative_to(folder).as_posix()} "):
        SearchIndex.open(folder)


def test_a_table_that_is_missing_is_damage(folder: Path) -> None:
    SearchIndex.open(folder).close()
    shutil.rmtree(folder / "records.lance")
    with pytest.raises(DamagedIndex, match=r"is missing, .* and \d+ more files"):
        SearchIndex.open(folder)


def test_swapped_files_are_both_named(folder: Path) -> None:
    one, other = _files(folder, "_versions")[:2]  # indices of empty columns have equal bytes
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert len(find_damage(folder, read_manifest(folder))) == 2


def test_many_damaged_files_are_counted(folder: Path) -> None:
    for path in _files(folder, "_transactions")[:6]:
        _flip(path)
    with pytest.raises(DamagedIndex, match="and 3 more files"):
        check_files(folder, read_manifest(folder))


def test_the_hint_is_no_part_of_it(folder: Path) -> None:
    (folder / HINT).write_bytes(b"damaged")
    assert find_damage(folder, read_manifest(folder)) == []
    assert open_table(folder).count_rows() == 48
    (folder / HINT).unlink()
    assert open_table(folder).count_rows() == 48


def test_a_large_index_is_read_whole_only_if_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "CHECKED_BYTES", 1000)
    manifest = read_manifest(folder)
    _flip(_files(folder, "data")[0])
    check_files(folder, manifest)
    with pytest.raises(DamagedIndex, match="has changed"):
        check_files(folder, manifest, verify=True)
    _cut(_files(folder, "data")[0])
    with pytest.raises(DamagedIndex, match="bytes, not"):
        check_files(folder, manifest)


def test_what_a_stopped_run_leaves_is_no_damage_and_is_covered_by_the_next(folder: Path) -> None:
    manifest = read_manifest(folder)
    manifest.complete = False
    manifest.write(folder)
    table = open_table(folder)
    table.add(_rows(50, 60))
    table.optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)  # old files go
    (folder / "records.lance/data/draft.lance").write_bytes(b"not finished")
    check_files(folder, manifest)
    assert any(not (folder / name).exists() for name in manifest.checksums)
    _finish(folder)
    manifest = read_manifest(folder)
    assert {name for name in manifest.checksums if not (folder / name).is_file()} == set()
    _flip(max(_files(folder, "data"), key=lambda path: path.stat().st_size))
    assert len(find_damage(folder, manifest)) == 1


def test_a_reader_that_has_an_older_manifest_sees_no_damage(folder: Path) -> None:
    """Another process begins a run, deletes old versions and ends, while this one compares the files."""
    older = read_manifest(folder)
    open_table(folder).optimize(cleanup_older_than=timedelta(milliseconds=1), delete_unverified=True)
    assert len(find_damage(folder, older)) > 5  # the manifest on the disk lists them, too
    _finish(folder)
    assert find_damage(folder, older) == []


def test_damage_does_not_become_the_truth(folder: Path) -> None:
    one, other = _files(folder, "data")[:2]
    _flip(one)
    _cut(other)
    _finish(folder)
    assert len(find_damage(folder, read_manifest(folder))) == 2


def test_files_are_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(folder)
    manifest.checksums = {name: FileChecksum(listed.bytes, "kept") for name, listed in manifest.checksums.items()}
    open_table(folder).delete("id = '9'")
    update_checksums(folder, manifest)
    assert sorted(name.split("/")[1] for name, listed in manifest.checksums.items() if listed.sha256 != "kept") == [
        "_deletions",
        "_transactions",
        "_versions",
    ]


def test_notes_of_file_managers_are_no_part_of_it(folder: Path) -> None:
    note = folder / "records.lance/data/.DS_Store"
    note.write_bytes(b"one")
    _finish(folder)
    note.write_bytes(b"another")
    assert find_damage(folder, read_manifest(folder)) == []


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    path = _files(folder, "data")[0]
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    (found,) = find_damage(folder, read_manifest(folder))
    assert "cannot be read" in found.reason


@pytest.mark.parametrize("name", ["with spaces", "quo\"te's", "βλάβη 故障", "n" * 180, "100% #1?"])
def test_a_moved_copied_or_read_only_index_is_whole(folder: Path, tmp_path: Path, name: str) -> None:
    moved = shutil.copytree(folder, tmp_path / "other" / name)
    shutil.rmtree(folder)
    manifest = read_manifest(moved)
    for path in [moved, *moved.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert find_damage(moved, manifest) == []
        assert open_table(moved).count_rows("id IN ('1', '49')") == 2
    finally:
        for path in [moved, *moved.rglob("*")]:
            path.chmod(0o755)
    _flip(_files(moved, "data")[0])
    with pytest.raises(DamagedIndex):
        check_files(moved, manifest)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_manifest_is_found_when_it_is_read(folder: Path, damage: str) -> None:
    DAMAGES[damage][0](folder / NAME)
    if damage == "missing":
        assert read_manifest(folder) is None
        return
    with pytest.raises(DamagedIndex, match=r"manifest\.json is damaged .*Restore the whole index from a copy"):
        read_manifest(folder)


def test_runs_leave_every_file_covered_and_refuse_a_damaged_index(tmp_path: Path, encoder, write_jsonl) -> None:
    """Else joining small files would copy what is damaged into new files, whose checksums are right."""
    folder, source = tmp_path / "i", write_jsonl(tmp_path / "c.jsonl", 12)
    build_index(encoder, [source], folder)
    delete_records(folder, ["r1"])
    manifest = read_manifest(folder)
    assert set(manifest.checksums) == {
        path.relative_to(folder).as_posix() for kind in KINDS for path in _files(folder, kind)
    }
    assert (manifest.complete, find_damage(folder, manifest)) == (True, [])
    _flip(_files(folder, "data")[0])
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for run in (lambda: build_index(encoder, [source], folder), lambda: delete_records(folder, ["r2"])):
        with pytest.raises(DamagedIndex, match="has changed since it was written"):
            run()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_deleting_records_does_not_end_an_unfinished_run(tmp_path: Path, encoder, write_jsonl) -> None:
    folder = tmp_path / "i"
    build_index(encoder, [write_jsonl(tmp_path / "c.jsonl", 3)], folder)
    manifest = read_manifest(folder)
    manifest.complete = False
    manifest.write(folder)
    assert delete_records(folder, ["r1"]).deleted
    assert not read_manifest(folder).complete
