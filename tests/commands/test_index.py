"""bmretriever index over an index that is there: its settings are kept, a moved model is found, and nothing is loaded in vain."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bmretriever_integrations.cli import main
from bmretriever_integrations.settings import asked_quantization
from bmretriever_integrations.testing import write_tiny_checkpoint


@pytest.fixture
def model(tmp_path, tiny) -> Path:
    return shutil.copytree(tiny("llama"), tmp_path / "model")


@pytest.fixture
def made(tmp_path, model, write_jsonl, capsys) -> Path:
    """An index of 30 records, made with settings that are not the default ones."""
    settings = ["--model", str(model), "--dtype", "bfloat16", "--max-length", "64"]
    assert main(["index", str(write_jsonl(tmp_path / "1.jsonl", 30)), "--to", str(tmp_path / "i"), *settings]) == 0
    capsys.readouterr()
    return tmp_path / "i"


def settings_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())["encoder"]


def test_what_is_not_asked_for_is_as_the_index_has_it(made, write_jsonl, capsys) -> None:
    before = settings_of(made)
    more = write_jsonl(made.parent / "2.jsonl", 5, start=30)
    assert main(["index", str(more), "--to", str(made)]) == 0
    assert capsys.readouterr().out.startswith(f"{made}: 35 records; 5 embedded now\n")
    assert settings_of(made) == before


def test_8_bit_weights_are_kept(made, model, write_jsonl, capsys) -> None:
    source, more = made.parent / "1.jsonl", write_jsonl(made.parent / "2.jsonl", 5, start=30)
    folder = str(made.with_name("eight"))
    assert main(["index", str(source), "--to", folder, "--model", str(model), "--quantization", "int8"]) == 0
    before = settings_of(made.with_name("eight"))
    assert main(["index", str(more), "--to", folder]) == 0
    assert settings_of(made.with_name("eight")) == before
    assert asked_quantization(before["quantization"]) == "int8"


def test_7_bit_weights_are_kept_and_not_mixed_with_8(made, model, write_jsonl, capsys, monkeypatch) -> None:
    source, more = made.parent / "1.jsonl", write_jsonl(made.parent / "2.jsonl", 5, start=30)
    folder = str(made.with_name("seven"))
    with monkeypatch.context() as on_another_cpu:
        on_another_cpu.setattr("bmretriever_integrations.encoder.identity.weight_name", lambda device: "int7")
        assert main(["index", str(source), "--to", folder, "--model", str(model), "--quantization", "int8"]) == 0
        assert settings_of(made.with_name("seven"))["quantization"] == "int7"
        assert main(["index", str(more), "--to", folder]) == 0
    monkeypatch.setattr("bmretriever_integrations.encoder.identity.weight_name", lambda device: "int8")
    last = write_jsonl(made.parent / "3.jsonl", 5, start=40)
    capsys.readouterr()
    assert main(["index", str(last), "--to", folder]) == 2
    assert "quantization" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dtype", "float32"], "dtype='bfloat16'; this run asks for dtype='float32'"),
        (["--max-length", "32"], "max_length=64; this run asks for max_length=32"),
        (["--quantization", "fp8"], "quantization=None; this run asks for quantization='fp8'"),
    ],
)
def test_what_is_asked_for_in_another_way_is_refused(made, flags, words, capsys) -> None:
    assert main(["index", str(made.parent / "1.jsonl"), "--to", str(made), *flags]) == 2
    assert words in capsys.readouterr().err


def test_a_model_that_moved_is_asked_for_and_its_new_place_is_kept(made, model, write_jsonl, capsys) -> None:
    moved = model.rename(model.with_name("moved"))
    more = write_jsonl(made.parent / "2.jsonl", 5, start=30)
    command = ["index", str(more), "--to", str(made)]
    assert main(command) == 2
    assert f"made with the model in {model}, which is no longer there: give its new folder with --model" in (
        capsys.readouterr().err
    )
    other = write_tiny_checkpoint(model.with_name("other"), "llama", seed=1)
    assert main([*command, "--model", str(other)]) == 2
    assert f"was made with model='{model}', files_sha256=" in capsys.readouterr().err
    assert main([*command, "--model", str(moved)]) == 0
    assert settings_of(made)["model"] == str(moved)


def test_a_run_that_finds_nothing_new_loads_no_model_and_not_even_torch(made) -> None:
    code = (
        "import sys; from bmretriever_integrations.cli import main\n"
        "status = main(sys.argv[1:])\n"
        "sys.exit(' '.join({'torch', 'transformers', 'haystack', 'llama_index'} & set(sys.modules)) or status)"
    )
    words = ["index", str(made.parent / "1.jsonl"), "--to", str(made)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == f"{made}: 30 records; 0 embedded now\nnot read again, because unchanged: 1.jsonl\n"


def test_a_damaged_source_is_named_and_passed_over_unless_strict(made, model, write_jsonl, capsys) -> None:
    whole = gzip.compress(write_jsonl(made.parent / "2.jsonl", 500, start=30).read_bytes())
    damaged, later = made.parent / "d.jsonl.gz", write_jsonl(made.parent / "3.jsonl", 2, start=900)
    damaged.write_bytes(whole[: len(whole) // 2])
    command = ["index", str(damaged), str(later), "--to", str(made)]
    assert main([*command, "--strict"]) == 2
    assert "d.jsonl.gz is damaged after its first " in capsys.readouterr().err
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "\ndamaged: d.jsonl.gz: after its first " in out
    assert "; 2 embedded now\n" in out  # what the strict run read before the damage was kept


def test_the_summary_says_what_an_update_did(made, tmp_path, capsys) -> None:
    def citation(pmid: int, title: str, day: int, journal: str = "Gut") -> str:
        revised = f"<DateRevised><Year>2021</Year><Month>01</Month><Day>{day:02}</Day></DateRevised>"
        article = f"<Article><Journal><Title>{journal}</Title></Journal><ArticleTitle>{title}</ArticleTitle></Article>"
        return (
            f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID>{revised}{article}'
            "</MedlineCitation></PubmedArticle>"
        )

    def index(name: str, *content: str) -> list[str]:
        source = tmp_path / f"{name}.xml"
        source.write_text(f"<PubmedArticleSet>{''.join(content)}</PubmedArticleSet>", encoding="utf-8")
        assert main(["index", str(source), "--to", str(made)]) == 0
        return capsys.readouterr().out.splitlines()

    index("base", *(citation(pmid, f"Title {pmid}", 10) for pmid in range(1, 7)))
    assert index(
        "update",
        citation(1, "New title", 11),
        citation(2, "Title 2", 11, "Lancet"),
        citation(3, "Title 3", 10),
        citation(4, "Old title", 9),
        citation(5, "Other title", 10),
        "<DeleteCitation><PMID>6</PMID></DeleteCitation>",
    ) == [
        f"{made}: 35 records; 2 embedded now",
        "also read: 1 with new metadata only, whose vectors were kept, 1 unchanged, 1 older than another record of the same id",
        "removed: 1 records that PubMed withdrew",
        "undecided: 1 PubMed records differ from others of their ids, and neither says that it is newer; those that were read "
        "last are kept",
    ]
    assert index("again", citation(6, "Title 6", 10)) == [
        f"{made}: 35 records; 0 embedded now",
        "also read: 1 withdrawn by PubMed",
    ]
