"""``bmretriever info``: what an index holds, and which of its files are damaged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.checksums import update_checksums
from bmretriever_integrations.index.manifest import NAME, Manifest, SourceRead, read_manifest
from bmretriever_integrations.index.schema import table_of
from bmretriever_integrations.index.table import create_table

ENCODER = {"model": "mini", "files_sha256": "5eed" * 16, "width": 8, "dtype": "float32", "max_length": 512}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("info") / "my index"
    folder.mkdir()
    records = [
        Record("1", "Old", "Text.", Metadata(date="1987-03")),
        Record("2", "Title alone", "", Metadata(date="2021", retracted=True)),
        Record("3", "Undated", "Text."),
    ]
    table = create_table(folder, 8, "float16")
    table.add(table_of(records, np.ones((3, 8), np.float32), ["c.jsonl"] * 3, "float16"))
    manifest = Manifest(
        ENCODER,
        4096,
        vector_error=4.8e-4,
        sources=[SourceRead(f"{name}.xml", 1, "0", "0") for name in "abcdefg"],
        withdrawn={"9": ""},
        versions={"lancedb": "0.40.0"},
        complete=True,
    )
    update_checksums(folder, manifest)
    manifest.write(folder)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "my index")


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_table_says_what_the_index_holds(made: Path, capsys) -> None:
    assert main(["info", str(made)]) == 0
    lines = _lines(capsys)
    assert "records 3, 1 of them retracted" in lines
    assert "with abstract 2" in lines
    assert "years 1987 to 2021" in lines
    assert "model mini, fingerprint 5eed5eed5eed; float32, texts up to 512 tokens" in lines
    assert "vectors 8 wide, float16 (largest relative error 4.8e-04)" in lines
    assert "sources 7 read whole: a.xml, b.xml, c.xml, d.xml, e.xml and 2 more" in lines
    assert "withdrawn 1 ids of records that PubMed deleted" in lines
    assert "tuned no: a search reads every vector" in lines
    assert "state complete" in lines
    assert "made with lancedb 0.40.0" in lines


def test_the_choice_of_tune_is_shown(folder: Path, capsys) -> None:
    manifest = read_manifest(folder)
    tuned = {"nprobes": 20, "refine_factor": 10, "wanted": 0.95, "recall": 0.9531, "questions": 600, "rows": 50_000}
    manifest.tuned = tuned
    manifest.write(folder)
    assert main(["info", str(folder)]) == 0
    said = "recall@10 0.953 on 600 questions (wanted: 0.95); 20 probes, 10 candidates a hit; measured at 50,000 records"
    assert said in " ".join(_lines(capsys))
    assert main(["info", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["tuned"] == tuned


def test_json_names_all(made: Path, capsys) -> None:
    assert main(["info", str(made), "--format", "json", "--verify"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["records"], said["retracted"], said["with_abstract"], said["years"]) == (3, 1, 2, [1987, 2021])
    assert (said["encoder"], said["withdrawn"], said["complete"], said["damaged"]) == (ENCODER, 1, True, [])
    assert [source["name"] for source in said["sources"]] == [f"{name}.xml" for name in "abcdefg"]
    assert said["bytes"] == sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    assert 0 <= said["old_bytes"] < said["bytes"]
    assert said["files"] == len(read_manifest(made).checksums)


def test_deleted_rows_that_are_still_on_the_disk_are_older_versions(folder: Path, capsys) -> None:
    from bmretriever_integrations.index.table import open_table, optimize

    def old() -> int:
        main(["info", str(folder), "--format", "json"])
        return json.loads(capsys.readouterr().out)["old_bytes"]

    before = old()
    table = open_table(folder)
    table.delete("id = '3'")
    optimize(table)
    assert old() > before


@pytest.mark.parametrize("kind", ["data", "_indices", "_versions", "_transactions"])
def test_verify_names_the_damaged_file_and_what_to_do(folder: Path, capsys, kind: str) -> None:
    path = min((path for path in (folder / "records.lance" / kind).rglob("*") if path.is_file()), key=lambda p: p.name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    name = path.relative_to(folder).as_posix()
    assert main(["info", str(folder), "--verify"]) == 1
    said = capsys.readouterr().out
    assert f"damaged: {name} has changed since it was written" in said
    assert "1 of" in said
    assert "Restore these files from any copy of the index" in said
    assert f"--to '{folder}-2' --model mini" in said
    assert main(["info", str(folder), "--verify", "--format", "json"]) == 1
    (damaged,) = json.loads(capsys.readouterr().out)["damaged"]
    assert damaged == {"name": name, "reason": "has changed since it was written"}


def test_a_whole_index_is_said_to_be(made: Path, capsys) -> None:
    assert main(["info", str(made), "--verify"]) == 0
    assert f"all {len(read_manifest(made).checksums)} files are as they were written" in _lines(capsys)


def test_an_unfinished_index_without_a_table_is_described(tmp_path: Path, capsys) -> None:
    Manifest(ENCODER, 4096).write(tmp_path)
    assert main(["info", str(tmp_path), "--verify"]) == 0
    lines = _lines(capsys)
    assert "records 0" in lines
    assert "years unknown" in lines
    assert "state unfinished: run its index command again" in lines
    assert lines[-1].startswith("all 0 files are as they were written; files that its last run wrote")


def test_a_table_that_cannot_be_read_points_to_verify(folder: Path, capsys) -> None:
    for path in (folder / "records.lance/data").iterdir():
        path.write_bytes(b"")
    assert main(["info", str(folder)]) == 2
    assert "cannot be read; add --verify to see which files are damaged" in capsys.readouterr().err


def test_no_index_an_earlier_form_and_a_changed_manifest_are_one_line(folder: Path, tmp_path: Path, capsys) -> None:
    assert main(["info", str(tmp_path)]) == 2
    assert "holds no index (no manifest.json)" in capsys.readouterr().err
    old = json.dumps({"format": 1, "encoder": ENCODER, "sources": [{"name": "my papers.xml", "bytes": 1}]})
    for content, said in (
        (old, f"bmretriever index 'my papers.xml' --to '{folder}-2' --model mini"),
        ((folder / NAME).read_text().replace("4096", "8192"), "manifest.json is damaged"),
    ):
        (folder / NAME).write_text(content)
        assert main(["info", str(folder)]) == 2
        assert said in capsys.readouterr().err


def test_torch_is_not_imported(made: Path) -> None:
    code = (
        "import sys; from bmretriever_integrations.cli import main; "
        f"main(['info', {str(made)!r}, '--verify']); sys.exit(sum(m in sys.modules for m in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
