"""The command line: what each flag of index changes, what a mistake prints, and that help is quick; test_search.py has search."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bmretriever_integrations import __version__
from bmretriever_integrations.checkpoints import CHECKPOINTS
from bmretriever_integrations.cli import COMMANDS, main
from bmretriever_integrations.commands.models import is_here
from bmretriever_integrations.encoder import CutTextWarning
from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.testing import write_tiny_checkpoint


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny, write_jsonl) -> Path:
    home = tmp_path_factory.mktemp("cli")
    source = write_jsonl(home / "c.jsonl", 30)
    assert (
        main(["index", str(source), "--to", str(home / "i"), "--model", str(tiny("llama")), "--dtype", "float32"]) == 0
    )
    return home


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
def test_help_has_an_example(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bmretriever_integrations", *arguments, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    for word in [COMMANDS[name].example for name in arguments] or COMMANDS:
        assert word in done.stdout


def test_help_imports_no_torch_and_no_framework() -> None:
    code = (
        "import sys; from bmretriever_integrations.cli import main\n"
        "try: main(['search', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit(' '.join({'torch', 'transformers', 'haystack', 'llama_index', 'faiss', 'lxml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_version(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"bmretriever {__version__}\n"


def test_index_flags_reach_the_manifest(tmp_path: Path, made: Path, tiny, monkeypatch) -> None:
    monkeypatch.chdir(tiny("llama").parent)
    flags = ["--limit", "7", "--max-length", "64", "--dtype", "bfloat16", "--device", "cpu"]
    model = f"./{tiny('llama').name}"
    assert main(["index", str(made / "c.jsonl"), "--to", str(tmp_path / "i"), "--model", model, *flags]) == 0
    content = manifest(tmp_path / "i")
    assert content["encoder"]["model"] == str(tiny("llama"))  # found from any folder
    assert (content["encoder"]["max_length"], content["encoder"]["dtype"]) == (64, "bfloat16")
    with SearchIndex.open(tmp_path / "i") as index:
        assert len(index) == 7
    assert manifest(made / "i")["encoder"]["max_length"] == 512


def test_index_names_what_it_left_out(tmp_path: Path, tiny, capsys) -> None:
    source = tmp_path / "c.jsonl"
    rows = '{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n{"_id": "3", "text": "c"}\n'
    source.write_text(rows + "nonsense\n" * 22 + '{"_id": "2"}\n')
    assert main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:4] == [
        f"{tmp_path / 'i'}: 2 records; 2 embedded now",
        "also read: 1 older than another record of the same id",
        "left out: 23 (1 no text, 22 not JSON)",
        "  c.jsonl:4: not JSON",
    ]
    assert lines[-1] == "  and 3 more"
    assert err == ""


def test_brackets_in_a_title_are_text(tmp_path: Path, tiny, capsys) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text('{"_id": "[1]", "title": "[red]Warum[/red] [Article in German]", "text": "[bold]x"}\n')
    main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))])
    main(["search", str(tmp_path / "i"), "warum"])
    out = capsys.readouterr().out
    assert re.search(r"\[1\] +\[red\]Warum\[/red\] \[Article in German\]", out)
    assert "[bold]x" in out


MISTAKES = {
    ("nope",): "invalid choice: 'nope'",
    ("index",): "the following arguments are required: SOURCE, --to",
    ("index", "missing.jsonl", "--to", "x"): "missing.jsonl does not exist",
    ("index", "{source}", "--to", "x", "--limit", "0"): "must be a whole number from 1, got '0'",
    ("index", "{source}", "--to", "x", "--dtype", "int4"): "invalid choice: 'int4'",
    ("index", "{source}", "--to", "x", "--device", "gpu!"): "device 'gpu!' is none that PyTorch knows",
    ("index", "{source}", "--to", "x", "--model", "nowhere"): "model 'nowhere' is no folder",
    ("index", "{source}", "--to", "{source}", "--model", "{model}"): "is a file; name a folder",
    ("models", "--all"): "unrecognized arguments: --all (see bmretriever models --help)",
    ("demo", "--source", "missing.jsonl"): "missing.jsonl does not exist",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_prints_one_line_and_exits_with_2(made: Path, tiny, tmp_path, monkeypatch, error_of, words) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"source": made / "c.jsonl", "index": made / "i", "model": tiny("llama")}
    assert MISTAKES[words] in error_of([word.format(**places) for word in words])


def test_models_lists_every_checkpoint_and_what_is_here(tmp_path: Path, monkeypatch, capsys) -> None:
    released = CHECKPOINTS[0]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert not is_here(released)
    snapshot = tmp_path / f"models--{released.hub_id.replace('/', '--')}" / "snapshots" / released.revision
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert not is_here(released)  # a config alone cannot be loaded
    (snapshot / "model.safetensors").write_bytes(b"")
    assert is_here(released)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    for checkpoint in CHECKPOINTS:
        numbers, origin = (line for line in lines if line.startswith(f"{checkpoint.name} "))
        assert f"{checkpoint.width:,}" in numbers
        assert f"{checkpoint.parameters * 4 / 1e9:.2f}" in numbers
        assert numbers.split()[-1] == ("yes" if is_here(checkpoint) else "no")
        assert (checkpoint.hub_id or "in this package") in origin
        assert checkpoint.licence in origin


def test_cut_records_are_counted_in_the_summary_and_not_warned_of(tmp_path, recwarn, capsys):
    model = write_tiny_checkpoint(tmp_path / "model", "llama", seed=301)  # weights that no other test warned of
    source = tmp_path / "long.jsonl"
    source.write_text(json.dumps({"_id": "1", "title": "T", "text": "fever " * 900}) + "\n", encoding="utf-8")
    assert main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(model)]) == 0
    assert "cut: 1 records are longer" in capsys.readouterr().out
    assert not [one for one in recwarn if issubclass(one.category, CutTextWarning)]
