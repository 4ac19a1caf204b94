"""The recipes of the repository: each is read, and trains a small model of its own architecture."""

from __future__ import annotations

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.training.stages.recipe import load_settings
from bmretriever_integrations.training.stages.run import train_stage

SMALL = ["batch_size=8", "epochs=null", "max_steps=2", "warmup_steps=0", "bf16=false", "eval_share=0.0"]
RECIPES = {"410m": "gpt_neox", "1b": "gpt_neox", "2b": "gemma", "7b": "mistral", "mini": "llama", "smoke": "llama"}


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
        assert (output / "adapter").is_dir() == (size in ("2b", "7b"))
        assert BMRetrieverEncoder(output).encode_queries(["fever"]).shape == (1, 64)
        base = output


def test_every_value_of_a_published_size_says_where_it_is_from(pytestconfig):
    for size in ("410m", "1b", "2b", "7b"):
        for line in (pytestconfig.rootpath / "training" / f"{size}.yaml").read_text().splitlines():
            opens = line.startswith("#") or line.endswith(":") or "_every" in line
            sources = ("paper", "STM", "Tevatron", "changes no result", "unknown")
            assert opens or any(source in line for source in sources), f"{size}: {line}"
