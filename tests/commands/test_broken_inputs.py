"""A broken file ends every command with one line and status 2; the place in the code is shown where that is asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bmretriever_integrations.cli import TRACEBACK_VARIABLE, main, status_of


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def adapter(folder: Path, base: str) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": base}))


BREAKAGES: dict[str, Callable[[Path], object]] = {
    "weights cut": lambda folder: cut(folder / "model.safetensors", 5000),
    "weights empty": lambda folder: cut(folder / "model.safetensors", 0),
    "tokenizer cut": lambda folder: cut(folder / "tokenizer.json", 100),
    "tokenizer without content": lambda folder: (folder / "tokenizer.json").write_text("{}"),
    "no heads": lambda folder: edit(folder / "config.json", num_attention_heads=0),
    "config cut": lambda folder: cut(folder / "config.json", 20),
    "config nested": lambda folder: (folder / "config.json").write_text("[" * 100_000),
    "config without a known activation": lambda folder: edit(folder / "config.json", hidden_act="none"),
    "modules without path": lambda folder: (folder / "modules.json").write_text('[{"type": "a.Transformer"}]'),
    "its own base": lambda folder: adapter(folder, str(folder)),
    "adapter without weights": lambda folder: adapter(folder, "mini"),
    "a folder for a file": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
}


def fails_in_one_line(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert len(lines[0]) > len("error: ") + 10
    return lines[0]


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_model_is_one_line(tmp_path: Path, tiny, write_jsonl, capsys, name: str) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny("llama"), model)
    BREAKAGES[name](model)
    source = write_jsonl(tmp_path / "c.jsonl", 2)
    fails_in_one_line(capsys, "index", str(source), "--to", str(tmp_path / "i"), "--model", str(model))
    fails_in_one_line(capsys, "export", str(model), "--to", str(tmp_path / "e"))
    assert not (tmp_path / "e").exists()


def test_a_broken_manifest_is_one_line(tmp_path: Path, capsys) -> None:
    for content in ("[" * 100_000, "{}", "[]", '{"shards": [', "\x00"):
        (tmp_path / "manifest.json").write_text(content)
        fails_in_one_line(capsys, "search", str(tmp_path), "question")


def test_an_error_of_another_kind_is_named_and_its_place_can_be_seen(monkeypatch, capsys) -> None:
    def work() -> int:
        return {}["key"]

    assert status_of(work) == 2
    assert capsys.readouterr().err == f"error: KeyError: 'key' (set {TRACEBACK_VARIABLE}=1 to see where)\n"
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    assert status_of(work) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert 'return {}["key"]' in err


def test_an_error_without_words_is_named(capsys) -> None:
    def work() -> int:
        raise MemoryError

    assert status_of(work) == 2
    assert capsys.readouterr().err == f"error: MemoryError (set {TRACEBACK_VARIABLE}=1 to see where)\n"
