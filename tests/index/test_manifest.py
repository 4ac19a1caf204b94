"""manifest.json: what is written is read again, and an earlier form is refused with the command that makes the index anew."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import pytest

from bmretriever_integrations.index import DamagedIndex, IndexMismatch
from bmretriever_integrations.index.manifest import NAME, FileChecksum, Manifest, SourceRead, read_manifest

ENCODER = {"model": "mini", "files_sha256": "0" * 64, "width": 16, "dtype": "float32", "max_length": 512}


def _manifest(**changes) -> Manifest:
    return Manifest({**ENCODER, **changes}, 4096)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    manifest = Manifest(
        ENCODER,
        4096,
        vector_type="float32",
        vector_error=1 / 3,
        sources=[SourceRead("βeta 1.xml", 5, "ab", "0.1.0"), SourceRead(os.fsdecode(b"\xff.jsonl"), 6, "cd", "0.1.0")],
        withdrawn={"12": "2024-01-02", "13": ""},
        complete=True,
        tuned={"nprobes": 20, "recall": 0.953, "measured": {1: "sorted as numbers", 10: "", 2: ""}},
        checksums={"records.lance/data/1.lance": FileChecksum(7, "ef")},
        versions={"lancedb": "0.40.0"},
    )
    manifest.write(tmp_path)
    read = read_manifest(tmp_path)
    assert read.tuned["measured"] == {"1": "sorted as numbers", "10": "", "2": ""}
    read.tuned = manifest.tuned
    assert read == manifest


def _edit(**changes):
    return lambda content: json.dumps({**content, **changes})


EDITS = {
    "another model": _edit(encoder={**ENCODER, "model": "410M"}),
    "another width": _edit(encoder={**ENCODER, "width": 8}),
    "a number": _edit(batch_tokens=1),
    "complete": _edit(complete=True),
    "another id withdrawn": _edit(withdrawn={"1": ""}),
    "a key more": _edit(colour="red"),
    "a key less": lambda content: json.dumps({key: content[key] for key in content if key != "withdrawn"}),
    "without its checksum": lambda content: json.dumps({key: content[key] for key in content if key != "sha256"}),
    "without a format": lambda content: json.dumps({key: content[key] for key in content if key != "format"}),
    "a list": lambda content: json.dumps([content]),
    "nested": lambda content: "[" * 100_000,
    "cut": lambda content: json.dumps(content)[:-20],
    "empty": lambda content: "",
    "zeros": lambda content: "\0" * 500,
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_manifest_that_was_changed_by_hand_is_refused(tmp_path: Path, edit: str) -> None:
    _manifest().write(tmp_path)
    path = tmp_path / NAME
    path.write_text(EDITS[edit](json.loads(path.read_text())))
    with pytest.raises(DamagedIndex, match=r"manifest\.json is damaged .*Restore the whole index from a copy"):
        read_manifest(tmp_path)


def test_other_line_breaks_and_indents_are_no_change(tmp_path: Path) -> None:
    _manifest().write(tmp_path)
    path = tmp_path / NAME
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4).replace("\n", "\r\n"))
    assert read_manifest(tmp_path) == _manifest()


def test_a_manifest_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(json.dumps({"format": 3}))
    with pytest.raises(DamagedIndex, match="is of format 3; this version reads format 2"):
        read_manifest(tmp_path)


def _old_form(folder: Path, encoder: dict, *sources: str) -> list[str]:
    """Write the manifest of an index of the earlier form, and return the words of the command in the refusal."""
    folder.mkdir(parents=True)
    content = {
        "encoder": encoder,
        "shard_size": 2000,
        "batch_tokens": 4096,
        "sources": [{"name": name, "bytes": 5} for name in sources],
        "shards": [],
        "complete": True,
        "format": 1,
    }
    (folder / NAME).write_text(json.dumps(content))
    with pytest.raises(DamagedIndex, match="is an index of an earlier form") as refused:
        read_manifest(folder)
    command = str(refused.value).split("Make it anew: ")[1].split(" (run it in the folder of the source files")[0]
    return shlex.split(command)


def test_the_command_survives_names_with_spaces_quotes_and_dashes(tmp_path: Path) -> None:
    sources = ["my file.xml", 'it\'s "new".jsonl', "--to.xml", "$HOME;rm.xml", "β.xml", "my file.xml"]
    words = _old_form(tmp_path / "my index's", ENCODER, *sources)
    assert words[:7] == ["bmretriever", "index", *sources[:2], "./--to.xml", *sources[3:5]]
    assert words[7:] == ["--to", f"{tmp_path}/my index's-2", "--model", "mini"]


def test_the_command_names_a_folder_that_is_free_and_what_differs_from_the_defaults(tmp_path: Path) -> None:
    for number in (2, 3):
        (tmp_path / f"i-{number}").mkdir()
    words = _old_form(tmp_path / "i", {**ENCODER, "max_length": 256, "quantization": "int8"}, "c.jsonl")
    assert words[3:] == ["--to", f"{tmp_path}/i-4", "--model", "mini", "--max-length", "256", "--quantization", "int8"]


def test_a_model_that_has_moved_is_said_to(tmp_path: Path) -> None:
    _old_form(tmp_path / "i", {**ENCODER, "model": str(tmp_path / "gone model")}, "c.jsonl")
    with pytest.raises(DamagedIndex, match="and the model's new folder behind --model, since it is no longer there"):
        read_manifest(tmp_path / "i")
    (tmp_path / "gone model").mkdir()
    with pytest.raises(DamagedIndex, match=r"--model '.*gone model' \(run it in the folder of the source files\)$"):
        read_manifest(tmp_path / "i")


def test_other_weights_are_refused_with_both_names(tmp_path: Path) -> None:
    wanted = _manifest(model="410M", files_sha256="1" * 64)
    with pytest.raises(IndexMismatch, match=r"made with model='mini'.*asks for model='410M'"):
        _manifest().check_same(wanted, tmp_path)
    _manifest().check_same(_manifest(model="/another/place"), tmp_path)
