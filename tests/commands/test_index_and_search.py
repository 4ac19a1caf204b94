"""The command line: what each flag changes, what a mistake prints, and that help is quick."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder, __version__
from bmretriever_integrations.checkpoints import CHECKPOINTS
from bmretriever_integrations.cli import COMMANDS, main
from bmretriever_integrations.commands.models import is_here
from bmretriever_integrations.commands.screen import snippet
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
    flags = ["--limit", "7", "--max-length", "64", "--dtype", "bfloat16", "--device", "cpu", "--shard-size", "4"]
    model = f"./{tiny('llama').name}"
    assert main(["index", str(made / "c.jsonl"), "--to", str(tmp_path / "i"), "--model", model, *flags]) == 0
    content = manifest(tmp_path / "i")
    assert content["encoder"]["model"] == str(tiny("llama"))  # found from any folder
    assert (content["encoder"]["max_length"], content["encoder"]["dtype"]) == (64, "bfloat16")
    assert [shard["records"] for shard in content["shards"]] == [4, 3]
    assert manifest(made / "i")["encoder"]["max_length"] == 512


def test_index_names_what_it_left_out(tmp_path: Path, tiny, capsys) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text('{"_id": "1", "text": "a"}\n{"_id": "1", "text": "b"}\n' + "nonsense\n" * 22 + '{"_id": "2"}\n')
    assert main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:4] == [
        f"{tmp_path / 'i'}: 2 records, 2 of them embedded now",
        "hidden from search: 1 replaced by a later record of the same id, 0 withdrawn",
        "left out: 23 (1 no text, 22 not JSON)",
        "  c.jsonl:3: not JSON",
    ]
    assert lines[-1] == "  and 3 more"
    assert err == ""


def test_search_prints_a_list_and_json_says_the_same(made: Path, tiny, capsys) -> None:
    question = "does aspirin prevent stroke"
    assert main(["search", str(made / "i"), question, "--top-k", "3"]) == 0
    shown, err = capsys.readouterr()
    assert err == ""
    assert main(["search", str(made / "i"), question, "--top-k", "3", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    index = SearchIndex.open(made / "i")
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as encoder:
        expected = index.search(encoder.encode_queries([question])[0], 3)
    assert [(hit["rank"], hit["id"], hit["title"], hit["text"]) for hit in hits] == [
        (hit.rank, hit.id, hit.title, hit.text) for hit in expected
    ]
    np.testing.assert_allclose([hit["score"] for hit in hits], [hit.score for hit in expected], rtol=1e-6)
    for hit in expected:
        assert f"{hit.rank}  {hit.score:.2f}  " in shown
        assert hit.title in shown
    assert main(["search", str(made / "i"), question, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 5


def test_a_question_needs_no_quotation_marks(made: Path, capsys) -> None:
    def found(*words: str) -> str:
        assert main(["search", str(made / "i"), *words, "--top-k", "3"]) == 0
        return capsys.readouterr().out

    assert found("does", "aspirin", "prevent", "stroke") == found("does aspirin prevent stroke") != found("aspirin")


def test_instruction_changes_the_scores(made: Path, capsys) -> None:
    def scores(*flags: str) -> list[float]:
        assert main(["search", str(made / "i"), "aspirin", "--json", *flags]) == 0
        return [hit["score"] for hit in json.loads(capsys.readouterr().out)]

    assert scores("--instruction", "scifact") != scores()
    assert scores("--instruction", "nfcorpus") == scores()


def test_brackets_in_a_title_are_text(tmp_path: Path, tiny, capsys) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text('{"_id": "[1]", "title": "[red]Warum[/red] [Article in German]", "text": "[bold]x"}\n')
    main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))])
    main(["search", str(tmp_path / "i"), "warum"])
    out = capsys.readouterr().out
    assert "[1]  [red]Warum[/red] [Article in German]" in out
    assert "[bold]x" in out


def test_an_unfinished_index_is_searched_and_said_to_be_so(tmp_path: Path, made: Path, capsys) -> None:
    shutil.copytree(made / "i", tmp_path / "i")
    content = manifest(made / "i")
    content.update(complete=False, hidden_sha256=None)
    (tmp_path / "i" / "manifest.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert main(["search", str(tmp_path / "i"), "aspirin", "--json"]) == 0
    assert "is unfinished; searching its first 30 records" in capsys.readouterr().err


MISTAKES = {
    ("nope",): "invalid choice: 'nope'",
    ("index",): "the following arguments are required: SOURCE, --to",
    ("index", "missing.jsonl", "--to", "x"): "missing.jsonl does not exist",
    ("index", "{source}", "--to", "x", "--limit", "0"): "must be a whole number from 1, got '0'",
    ("index", "{source}", "--to", "x", "--dtype", "int4"): "invalid choice: 'int4'",
    ("index", "{source}", "--to", "x", "--device", "gpu!"): "device 'gpu!' is none that PyTorch knows",
    ("index", "{source}", "--to", "x", "--model", "nowhere"): "model 'nowhere' is no folder",
    ("index", "{source}", "--to", "{source}", "--model", "{model}"): "is a file; name a folder",
    ("search", "missing", "q"): "missing holds no index",
    ("search", "{index}", " "): "the question is empty",
    ("search", "{index}", "q", "--top-k", "0"): "--top-k must be at least 1, got 0",
    ("search", "{index}", "q", "--instruction", "scifcat"): "Did you mean 'scifact'?",
    ("search", "{index}", "q", "--topk", "3"): "--topk 3; did you mean --top-k? (see bmretriever search --help)",
    ("search", "{index}", "q", "--json", "r"): "unrecognized arguments: r (see bmretriever search --help)",
    ("search", "{index}"): "the following arguments are required: QUESTION (see bmretriever search --help)",
    ("models", "--all"): "unrecognized arguments: --all (see bmretriever models --help)",
    ("demo", "--source", "missing.jsonl"): "missing.jsonl does not exist",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_prints_one_line_and_exits_with_2(made: Path, tiny, tmp_path, monkeypatch, capsys, words) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"source": made / "c.jsonl", "index": made / "i", "model": tiny("llama")}
    try:
        status = main([word.format(**places) for word in words])
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert MISTAKES[words] in err


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


def test_a_reader_that_leaves_early_is_no_error(made: Path) -> None:
    search = [sys.executable, "-m", "bmretriever_integrations", "search", str(made / "i"), "q", "--json"]
    with subprocess.Popen(search, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


def test_snippet_shows_where_the_questions_words_are() -> None:
    text = "Nothing here. " * 40 + "Aspirin halves the risk of stroke in adults. " + "Nothing there. " * 40
    part = snippet(text, "Does aspirin prevent stroke?", 60)
    assert part.startswith("... Aspirin halves the risk of stroke in adults.")
    assert part.endswith(" ...")
    assert len(part) <= 60 + len("... ") + len(" ...")
    assert snippet("short\n text", "x") == "short text"


def test_snippet_looks_at_the_beginning_of_an_enormous_text_only() -> None:
    text = "Nothing here. " * 10_000 + "Aspirin halves the risk of stroke."
    assert snippet(text, "aspirin stroke").startswith("Nothing here.")
    assert "Aspirin" in snippet(text[50_000:], "aspirin stroke")


def test_cut_records_are_counted_in_the_summary_and_not_warned_of(tmp_path, recwarn, capsys):
    model = write_tiny_checkpoint(tmp_path / "model", "llama", seed=301)  # weights that no other test warned of
    source = tmp_path / "long.jsonl"
    source.write_text(json.dumps({"_id": "1", "title": "T", "text": "fever " * 900}) + "\n", encoding="utf-8")
    assert main(["index", str(source), "--to", str(tmp_path / "i"), "--model", str(model)]) == 0
    assert "cut: 1 records are longer" in capsys.readouterr().out
    assert not [one for one in recwarn if issubclass(one.category, CutTextWarning)]
