"""Settings: checked before anything runs, from one YAML a size, one value changed in one place."""

from __future__ import annotations

import pytest

from bmretriever_integrations.training.stages.recipe import load_settings
from bmretriever_integrations.training.stages.settings import DataSettings, LoraSettings, StageSettings

RECIPE = """
batch_size: 8
learning_rate: 1.0e-3
stage1: {epochs: 1}
stage2:
  max_steps: 5
  negatives: 2
  learning_rate: 2.0e-3
  lora: {rank: 4}
  data: [{path: a.parquet, limit: 3, weight: 0.5}]
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def test_a_section_overrides_what_both_stages_share(recipe):
    first, second = load_settings(recipe, 1), load_settings(recipe, 2)
    assert (first.batch_size, first.learning_rate, first.epochs, first.negatives) == (8, 1e-3, 1, 0)
    assert (second.batch_size, second.learning_rate, second.max_steps, second.negatives) == (8, 2e-3, 5, 2)
    assert second.lora == LoraSettings(rank=4)
    assert second.data == (DataSettings(path="a.parquet", limit=3, weight=0.5),)


def test_one_value_is_changed_in_one_place(recipe):
    changes = ["stage2.negatives=0", "lora.rank=8", "temperature=0.5"]
    changed = load_settings(recipe, 2, changes)
    assert (changed.negatives, changed.lora.rank, changed.temperature) == (0, 8, 0.5)
    assert load_settings(recipe, 1, ["stage2.negatives=7"]) == load_settings(recipe, 1)
    with pytest.raises(ValueError, match="--set takes key=value, got 'negatives'"):
        load_settings(recipe, 2, ["negatives"])
    with pytest.raises(ValueError, match="unknown settings lr"):
        load_settings(recipe, 2, ["lr=1"])
    with pytest.raises(ValueError, match=r"--set data=\[ is no YAML"):
        load_settings(recipe, 2, ["data=["])
    with pytest.raises(ValueError, match="batch_size is 8 and has no settings of its own"):
        load_settings(recipe, 2, ["batch_size.x=1"])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("batch_size: 8\nlr: 3\nstage1: {}", ValueError, "unknown settings lr; allowed: batch_size, learning_rate"),
        ("stage1: {}\nstage2: {lr: 1}", ValueError, "stage2: unknown settings lr"),
        ("batch_size: 8", ValueError, "no section 'stage1'; its keys are batch_size"),
        ("stage1: {batch_size: 8, epochs: 1}", TypeError, "stage1: missing 1 required.*learning_rate"),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 5e-5}", TypeError, "YAML reads 5e-5 as text: write 5.0e-5"),
        (
            "stage1: {batch_size: true, epochs: 1, learning_rate: 1}",
            TypeError,
            "batch_size must be a whole number, got True",
        ),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, bf16: 1}",
            TypeError,
            "bf16 must be true or false, got 1",
        ),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 1, similarity: l2}", TypeError, "must be dot or cosine"),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 1, lora: {r: 1}}", ValueError, "lora: unknown settings r;"),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, data: [x]}",
            TypeError,
            "data: expected keys and values",
        ),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 1, data: x}", TypeError, "data must be"),
        ("- 1", ValueError, "holds no keys and values"),
        ("", ValueError, "holds no keys and values, but NoneType"),
        ("a: [", ValueError, "is no YAML"),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: .inf}", TypeError, "must be a finite number, got inf"),
    ],
)
def test_a_wrong_recipe_is_refused(tmp_path, text, error, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        load_settings(path, 1)


def test_a_missing_recipe_and_one_that_is_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no YAML file at"):
        load_settings(tmp_path, 1)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b\.yaml is no YAML: it is not UTF-8"):
        load_settings(tmp_path / "b.yaml", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 1}, "batch_size must be above 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"max_steps": 5}, "give epochs or max_steps, one of them; got 1 and 5"),
        ({"epochs": None}, "give epochs or max_steps"),
        ({"seed": -1}, "seed must not be below 0"),
        ({"seed": 2**32}, r"seed must be below 2\^32"),
        ({"warmup_steps": -1}, "warmup_steps must not be below 0"),
        ({"eval_share": 1.0}, "eval_share must be at least 0 and below 1"),
        ({"save_every": 15}, "save_every must be a multiple of log_every"),
        ({"distillation": 0.5}, "set negatives above 0"),
        ({"normalize": True}, "set a temperature such as 0.02"),
    ],
)
def test_values_out_of_range_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        StageSettings(**{"batch_size": 8, "learning_rate": 1e-3, "epochs": 1, **given})


def test_sources_and_adapters_are_checked():
    with pytest.raises(ValueError, match="limit must be above 0"):
        DataSettings(path="a", limit=0)
    with pytest.raises(ValueError, match="weight must be above 0"):
        DataSettings(path="a", weight=0.0)
    with pytest.raises(ValueError, match="dropout must be"):
        LoraSettings(dropout=1.0)
