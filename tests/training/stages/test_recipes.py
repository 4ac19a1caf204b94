"""The recipes of the repository: each is read, and trains a small model of its own architecture."""

from __future__ import annotations

import json
import runpy
import sys

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.training.stages.recipe import load_settings
from bmretriever_integrations.training.stages.run import train_stage
from bmretriever_integrations.training.stages.settings import LoraSettings

SMALL = [
    "data=[]",
    "batch_size=8",
    "epochs=null",
    "max_steps=2",
    "warmup_steps=0",
    "warmup_share=null",
    "bf16=false",
    "eval_share=0.0",
    "teacher=null",  # it is no part of the repository
    "distillation=0.0",
]
RECIPES = {
    "135m": "llama",
    "410m": "gpt_neox",
    "1b": "gpt_neox",
    "2b": "gemma",
    "7b": "mistral",
    "mini": "llama",
    "own": "llama",
    "smoke": "llama",
}


def test_every_recipe_is_tested(pytestconfig):
    files = (pytestconfig.rootpath / "training").glob("*.yaml")
    assert {file.stem for file in files if "stage1:" in file.read_text()} == set(RECIPES)


@pytest.mark.parametrize("size", RECIPES)
def test_both_stages_of_a_recipe_run(tiny, doses, tmp_path, pytestconfig, size):
    path = pytestconfig.rootpath / "training" / f"{size}.yaml"
    base = tiny(RECIPES[size])
    for stage in (1, 2):
        assert load_settings(path, stage).batch_size >= 8
        settings = load_settings(path, stage, SMALL)
        output = tmp_path / f"stage{stage}"
        assert train_stage(base, doses, output, settings, progress=False)["steps"] == 2
        assert (output / "adapter").is_dir() == (size in ("135m", "2b", "7b"))
        assert BMRetrieverEncoder(output).encode_queries(["fever"]).shape == (1, 64)
        base = output / "adapter" if size == "135m" else output  # stage 2 trains the same adapter further


def test_every_value_of_a_published_size_says_where_it_is_from(pytestconfig):
    for size in ("410m", "1b", "2b", "7b"):
        for line in (pytestconfig.rootpath / "training" / f"{size}.yaml").read_text().splitlines():
            opens = line.startswith("#") or line.endswith(":") or "_every" in line
            sources = ("paper", "STM", "Tevatron", "changes no result", "unknown")
            assert opens or any(source in line for source in sources), f"{size}: {line}"


def test_what_is_a_guess_is_called_one(pytestconfig):
    for size in ("410m", "1b", "2b", "7b"):
        path = pytestconfig.rootpath / "training" / f"{size}.yaml"
        head, *lines = path.read_text().replace("\n# ", " ").splitlines()
        assert "of its fine-tuning, so it is a source for stage 2 only" in head
        assert "those of stage 1 are taken from stage 2 (a guess)" in head
        [lora] = [line for line in lines if line.startswith("lora:")]
        assert "# guess: " in lora
        assert load_settings(path, 2).lora == (None if size in ("410m", "1b") else LoraSettings())
    assert "ablation" not in "".join(file.read_text() for file in path.parent.glob("*.yaml"))


@pytest.fixture
def command(pytestconfig, monkeypatch):
    """A function: arguments of training/train.py -> its exit code."""

    def run(*arguments):
        script = str(pytestconfig.rootpath / "training" / "train.py")
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(script, run_name="__main__")
        return left.value.code

    return run


def test_the_command_trains_and_says_what_is_wrong(tiny, doses, tmp_path, pytestconfig, command, capsys):
    smoke = pytestconfig.rootpath / "training" / "smoke.yaml"
    given = [smoke, "--base", tiny("llama"), "--data", doses, "--output", tmp_path / "out"]
    changes = ["--set", "max_steps=2", "--set", "stage2.negatives=0"]
    assert command(*given, "--stage", 2, *changes) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{tmp_path / 'out'}: 2 steps on 74 pairs, loss ")
    assert ", held-out ndcg@10 0." in shown.out
    assert shown.out.count("\n") == 1
    assert "smoke, stage 2: 100%" in shown.err
    assert command(*given, "--stage", 2, *changes) == 0
    assert capsys.readouterr().out == shown.out[:-1] + "; it was finished before, and nothing was trained now\n"
    settings = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    assert (settings["max_steps"], settings["negatives"]) == (2, 0)
    assert command(*given, "--stage", 2) == 2
    assert "error: " in capsys.readouterr().err
    assert command(*given, "--stage", 1, "--set", "lr=1") == 2
    assert "unknown settings lr; allowed: batch_size" in capsys.readouterr().err
    assert command("--help") == 0
    assert "python training/train.py training/mini.yaml --stage 1 --base" in capsys.readouterr().out
