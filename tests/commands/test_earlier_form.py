"""An index of the earlier form is refused by every command, and the command in the message makes it anew."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.index.manifest import read_manifest

SOURCE = "it's my \"new\" paper's.jsonl"


@pytest.fixture
def old(tmp_path: Path, tiny) -> Path:
    folder = tmp_path / "my old index's"
    folder.mkdir()
    encoder = {
        "model": str(tiny("llama")),
        "files_sha256": "0" * 64,
        "width": 64,
        "max_length": 100,
        "dtype": "float32",
    }
    content = {
        "format": 1,
        "encoder": encoder,
        "sources": [{"name": SOURCE, "bytes": 1}],
        "shards": [],
        "complete": True,
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    (folder / "shard-000000.vectors.npy").write_bytes(b"vectors")
    return folder


def test_every_command_refuses_it_and_the_one_in_the_message_works(
    old: Path, tmp_path: Path, write_jsonl, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    (tmp_path / "sources").mkdir()
    source = write_jsonl(tmp_path / "sources" / SOURCE, 3)
    model = json.loads((old / "manifest.json").read_text())["encoder"]["model"]
    before = {path.name: path.read_bytes() for path in old.iterdir() if path.name != ".lock"}
    commands = [
        ["index", str(source), "--to", str(old), "--model", model],
        ["search", str(old), "question"],
        ["info", str(old)],
        ["info", str(old), "--verify"],
        ["delete", str(old), "--id", "1"],
        ["tune", str(old)],
    ]
    said = set()
    for command in commands:
        assert main(command) == 2, command
        said.add(capsys.readouterr().err)
    assert {path.name: path.read_bytes() for path in old.iterdir() if path.name != ".lock"} == before
    (line,) = said
    (again,) = re.findall(r"Make it anew: (.*) \(run it in the folder of the source files\)$", line.strip())
    words = shlex.split(again)
    assert words[0] == "bmretriever"
    monkeypatch.chdir(tmp_path / "sources")
    assert main(words[1:]) == 0
    made = read_manifest(tmp_path / "my old index's-2")
    assert (made.complete, made.encoder["max_length"], made.encoder["model"]) == (True, 100, model)
    assert [one.name for one in made.sources] == [SOURCE]
    assert main(["info", str(tmp_path / "my old index's-2"), "--verify"]) == 0
