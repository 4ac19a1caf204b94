"""Damaged folders: found when opened, named, and repaired by the command that made them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bmretriever_integrations.index import DamagedIndex, SearchIndex, build_index


@pytest.fixture(scope="module")
def made(tmp_path_factory, encoder, write_jsonl) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    build_index(encoder, [write_jsonl(folder / "c.jsonl", 25)], folder / "i", shard_size=10)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made / "i", tmp_path / "i")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


DAMAGES = {
    "missing": (Path.unlink, "is missing"),
    "cut": (_cut, "bytes, not"),
    "one bit": (_flip, "has changed since it was written"),
}


@pytest.mark.parametrize("name", ["shard-000001.vectors.npy", "shard-000001.records.jsonl"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_named_and_the_same_command_rebuilds_it_alone(
    made, folder, encoder, contents, name: str, damage: str
) -> None:
    before = contents(folder)
    spoil, words = DAMAGES[damage]
    spoil(folder / name)
    with pytest.raises(DamagedIndex, match=rf"shard 1 of .* is damaged: {name} {words if damage != 'cut' else 'has'}"):
        SearchIndex.open(folder)
    report = build_index(encoder, [made / "c.jsonl"], folder, shard_size=10)
    assert report.embedded == 10
    assert [line.split(":")[0] for line in report.rebuilt] == ["shard 1"]
    assert contents(folder) == before


def test_only_verify_reads_a_large_index_whole(folder, monkeypatch) -> None:
    monkeypatch.setattr("bmretriever_integrations.index.search.CHECKED_BYTES", 100)
    _flip(folder / "shard-000000.vectors.npy")
    SearchIndex.open(folder)
    with pytest.raises(DamagedIndex, match="has changed"):
        SearchIndex.open(folder, verify=True)


def test_a_damaged_list_of_hidden_rows_is_found_and_restored(made, folder, encoder, contents) -> None:
    before = contents(folder)
    _cut(folder / "hidden.npy")
    with pytest.raises(DamagedIndex, match=r"hidden\.npy is missing or has changed"):
        SearchIndex.open(folder)
    build_index(encoder, [made / "c.jsonl"], folder, shard_size=10)
    assert contents(folder) == before


def _edit(**changes):
    def edit(manifest):
        manifest.update(changes)
        return json.dumps(manifest)

    return edit


MANIFESTS = {
    "no JSON": (lambda _: "{", "is damaged"),
    "a list": (lambda _: "[]", "is damaged"),
    "a key less": (lambda m: json.dumps({k: v for k, v in m.items() if k != "shards"}), "is damaged .*'shards'"),
    "a key more": (_edit(extra=1), "is damaged .*extra"),
    "later format": (_edit(format=2), "is of format 2; this version reads format 1"),
    "no width": (lambda m: json.dumps({**m, "encoder": {**m["encoder"], "width": "64"}}), "no positive whole number"),
    "negative": (_edit(shard_size=-1), "no positive whole number"),
    "shards swapped": (
        lambda m: json.dumps({**m, "shards": m["shards"][::-1]}),
        "shard before the last one is not full",
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_wrong_manifest_is_refused_by_search_and_by_build(made, folder, encoder, contents, case: str) -> None:
    path = folder / "manifest.json"
    edit, words = MANIFESTS[case]
    path.write_text(edit(json.loads(path.read_text())))
    before = contents(folder)
    with pytest.raises(DamagedIndex, match=words):
        SearchIndex.open(folder)
    with pytest.raises(DamagedIndex, match=words):
        build_index(encoder, [made / "c.jsonl"], folder, shard_size=10)
    assert contents(folder) == before


def test_another_width_in_the_manifest_is_found(folder) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["encoder"]["width"] = 32
    path.write_text(json.dumps(manifest))
    with pytest.raises(DamagedIndex, match=r"holds \(10, 64\) float32, not \(10, 32\) float32"):
        SearchIndex.open(folder)


def test_drafts_and_unnamed_shards_of_a_stopped_run_are_cleared(made, folder, encoder, contents) -> None:
    before = contents(folder)
    for name in (".shard-000003.vectors.npy.tmp", ".manifest.json.tmp", "shard-000003.records.jsonl"):
        (folder / name).write_bytes(b"half")
    (folder / "notes.tmp").write_text("mine")
    build_index(encoder, [made / "c.jsonl"], folder, shard_size=10)
    assert contents(folder) == {**before, "notes.tmp": b"mine"}


def test_no_index_and_an_index_without_shards_are_told_apart(tmp_path: Path, folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no index \(no manifest\.json\); make one with"):
        SearchIndex.open(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.update(shards=[], complete=False, hidden_sha256=None)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedIndex, match="has no finished shard yet"):
        SearchIndex.open(folder)
