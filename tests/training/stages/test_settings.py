"""Settings: checked before anything runs, from one YAML a size, one value changed in one place."""

from __future__ import annotations

import pytest

from bmretriever_integrations.training.stages.recipe import load_settings
from bmretriever_integrations.training.stages.settings import DataSettings, LoraSettings, StageSettings
from bmretriever_integrations.training.yaml_settings import fill

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
        ("stage1: {batch_size: 8, epochs: 1}", TypeError, "stage1: learning_rate is missing"),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 5e-5}", TypeError, "YAML reads 5e-5 as text: write 5.0e-5"),
        (
            "stage1: {batch_size: true, epochs: 1, learning_rate: 1}",
            TypeError,
            "batch_size must be a valid integer, got True",
        ),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, bf16: 1}",
            TypeError,
            "bf16 must be a valid boolean, got 1",
        ),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, similarity: l2}",
            TypeError,
            "similarity must be 'dot' or 'cosine', got 'l2'",
        ),
        ("stage1: {batch_size: 8, epochs: 1, learning_rate: 1, lora: {r: 1}}", ValueError, "lora: unknown settings r;"),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, data: [x]}",
            TypeError,
            r"data\[0\] must be keys and values \(path, .*, got 'x'",
        ),
        (
            "stage1: {batch_size: 8, epochs: 1, learning_rate: 1, data: x}",
            TypeError,
            "data must be a valid list, got 'x'",
        ),
        ("- 1", ValueError, "holds no keys and values"),
        ("", ValueError, "holds no keys and values, but NoneType"),
        ("stage1: [1]", ValueError, "section 'stage1' must hold keys and values, it holds list"),
        ("a: [", ValueError, "is no YAML"),
        ("batch_size: 8\nstage1: {}\nbatch_size: 9", ValueError, "the key 'batch_size' is there twice; remove one"),
        ("stage1: {epochs: 1, lora: {rank: 2, rank: 4}}", ValueError, "the key 'rank' is there twice"),
        ("a: " + "[" * 100_000, ValueError, "nests too deep"),
        ("stage1: !!timestamp soon", ValueError, "is no YAML"),
        ("stage1: {batch_size: !!bool maybe}", ValueError, "is no YAML"),
        ("stage1: {batch_size: !!int ''}", ValueError, "is no YAML"),
        ("stage1: &a {batch_size: 8, epochs: *a, learning_rate: 1}", TypeError, "epochs must be a valid number"),
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
        ({"batch_size": 1}, "batch_size must be greater than 1, got 1"),
        ({"learning_rate": 0.0}, "learning_rate must be greater than 0, got 0.0"),
        ({"max_steps": 5}, "give epochs or max_steps, one of them; got 1.0 and 5"),
        ({"epochs": None}, "give epochs or max_steps"),
        ({"seed": -1}, "seed must be greater than or equal to 0, got -1"),
        ({"seed": 2**32}, "seed must be less than 4294967296, got 4294967296"),
        ({"warmup_steps": -1}, "warmup_steps must be greater than or equal to 0, got -1"),
        ({"eval_share": 1.0}, "eval_share must be less than 1, got 1.0"),
        ({"save_every": 15}, "save_every must be a multiple of log_every"),
        ({"distillation": 0.5}, "set negatives above 0"),
        ({"normalize": True}, "normalize with temperature 1.0 leaves the logits within 1 of 0.*such as 0.02"),
        ({"normalize": True, "temperature": 0.6}, "within 1.7 of 0"),
        ({"similarity": "cosine"}, "similarity: cosine with temperature 1.0 leaves the logits within 1 of 0"),
        ({"epochs": None, "max_steps": 9, "warmup_steps": 9}, "warmup_steps is 9, but the stage has 9 steps"),
        ({"warmup_steps": 9, "warmup_share": 0.1}, "give warmup_steps or warmup_share, one of them; got 9 and 0.1"),
        ({"warmup_share": 1.0}, "warmup_share must be less than 1, got 1.0"),
    ],
)
def test_values_out_of_range_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        fill(StageSettings, {"batch_size": 8, "learning_rate": 1e-3, "epochs": 1, **given})


def test_a_short_file_makes_no_long_error(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "r.yaml").write_text("stage1:\n  batch_size:\n" + "\n".join(f"    {line}" for line in lines))
    with pytest.raises(TypeError, match="batch_size must be a valid integer, got") as refused:
        load_settings(tmp_path / "r.yaml", 1)
    assert len(str(refused.value)) < 2_000


def test_the_warm_up_is_a_share_of_the_steps_or_a_number():
    given = {"batch_size": 8, "learning_rate": 1e-3, "epochs": 1}
    assert StageSettings(**given).warmup(200) == 20
    assert StageSettings(**given, warmup_share=0.25).warmup(200) == 50
    assert StageSettings(**given, warmup_steps=7).warmup(200) == 7
    with pytest.raises(ValueError, match="warmup_steps is 7, but the stage has 7 steps"):
        StageSettings(**given, warmup_steps=7).warmup(7)


def test_python_gets_pydantics_own_error():
    with pytest.raises(ValueError, match=r"batch_size\n  Input should be greater than 1 .*input_value=1"):
        StageSettings(batch_size=1, learning_rate=1e-3, epochs=1)
    with pytest.raises(ValueError, match="unknown settings lr; allowed: batch_size, learning_rate"):
        StageSettings(lr=1)
    with pytest.raises(ValueError, match="frozen"):
        LoraSettings().rank = 8


def test_sources_and_adapters_are_checked():
    with pytest.raises(ValueError, match="limit must be greater than 0, got 0"):
        fill(DataSettings, {"path": "a", "limit": 0})
    with pytest.raises(ValueError, match=r"weight must be greater than 0, got 0\.0"):
        fill(DataSettings, {"path": "a", "weight": 0.0})
    with pytest.raises(ValueError, match=r"dropout must be less than 1, got 1\.0"):
        fill(LoraSettings, {"dropout": 1.0})


def test_a_mistake_in_the_other_stage_is_found(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("stage1: {batch_size: 8, epochs: 1, learning_rate: 1}\nstage2: 3")
    with pytest.raises(ValueError, match=r"stage2: Input should be keys and values \(batch_size"):
        load_settings(path, 1)


def test_null_takes_a_shared_value_away(recipe):
    changed = load_settings(recipe, 1, ["stage1.epochs=null", "max_steps=3", "lora=null"])
    assert (changed.epochs, changed.max_steps, changed.lora) == (None, 3, None)
