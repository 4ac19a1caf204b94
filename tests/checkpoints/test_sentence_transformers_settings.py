"""Settings in a sentence-transformers folder are honoured as sentence-transformers does, or refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

LONG = "heart failure and aspirin " * 100


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported("llama"), tmp_path / "sentence")


def change(folder, name, **values):
    path = folder / name
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**before, **values}))


def stock(folder):
    models = pytest.importorskip("sentence_transformers")
    return models.SentenceTransformer(str(folder), device="cpu").encode([passage_prompt(LONG)])


def test_the_length_of_our_own_export(tiny, tmp_path, error):
    export_checkpoint(tiny("llama"), tmp_path / "short", max_length=64)
    encoder = BMRetrieverEncoder(tmp_path / "short", dtype="float32", device="cpu")
    assert encoder.settings.max_length == encoder.identity()["max_length"] == 64
    found = encoder.encode_passages([LONG])
    assert error(found, stock(tmp_path / "short")) <= 1e-5
    whole = BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu").encode_passages([LONG])
    assert error(found, whole) > 0.05
    shorter = BMRetrieverEncoder(tmp_path / "short", max_length=32)
    assert shorter.settings.max_length == 32
    with pytest.raises(
        ValueError, match=r"max_length must be at most 64 for .*short, because the folder's own settings .*got 100"
    ):
        BMRetrieverEncoder(tmp_path / "short", max_length=100)
    again = export_checkpoint(tmp_path / "short", tmp_path / "again")
    assert again.origin.max_length == 64


def test_an_adapter_is_cut_and_normalised_as_its_base(tiny, tmp_path, error):
    peft = pytest.importorskip("peft")
    from transformers import AutoModel

    raw = tiny("llama")
    export_checkpoint(raw, tmp_path / "base", max_length=64, normalize=True)
    torch.manual_seed(0)
    wrapped = peft.get_peft_model(
        AutoModel.from_pretrained(raw), peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    )
    wrapped.save_pretrained(tmp_path / "adapter")
    change(tmp_path / "adapter", "adapter_config.json", base_model_name_or_path=str(tmp_path / "base"))
    wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
    for path in raw.glob("tokenizer*"):
        shutil.copy(path, tmp_path / "merged")
    right = reference_encode(tmp_path / "merged", [passage_prompt(LONG)], 64)
    encoder = BMRetrieverEncoder(tmp_path / "adapter", dtype="float32", device="cpu")
    assert encoder.identity()["max_length"] == 64
    assert error(encoder.encode_passages([LONG]), right / np.linalg.norm(right)) <= 1e-5


def test_a_folder_that_sentence_transformers_saved(exported, tmp_path, error):
    models = pytest.importorskip("sentence_transformers")
    model = models.SentenceTransformer(str(exported("gpt_neox")), device="cpu")
    model.max_seq_length = 40
    model.save(str(tmp_path / "saved"))
    encoder = BMRetrieverEncoder(tmp_path / "saved", dtype="float32", device="cpu")
    assert encoder.settings.max_length == 40
    assert error(encoder.encode_passages([LONG]), stock(tmp_path / "saved")) <= 1e-5


def test_a_folder_that_allows_longer_texts_or_any(folder):
    for length in (2048, None):
        change(folder, "sentence_bert_config.json", max_seq_length=length)
        change(folder, "tokenizer_config.json", model_max_length=10**30)
        assert BMRetrieverEncoder(folder).settings.max_length == 512
        assert BMRetrieverEncoder(folder, max_length=1000).settings.max_length == 1000


def test_lower_case_is_refused(folder):
    change(folder, "sentence_bert_config.json", do_lower_case=True)
    with pytest.raises(ValueError, match=r"sentence_bert_config\.json: do_lower_case is true"):
        BMRetrieverEncoder(folder)


def test_kept_dimensions_must_be_asked_for(folder):
    change(folder, "config_sentence_transformers.json", truncate_dim=16)
    with pytest.raises(ValueError, match=r"keeps 16 dimensions; pass truncate_dim=16 .*or truncate_dim=64 to keep all"):
        BMRetrieverEncoder(folder)
    some = BMRetrieverEncoder(folder, truncate_dim=16).encode_passages(["a"])
    whole = BMRetrieverEncoder(folder, truncate_dim=64).encode_passages(["a"])
    assert some.shape == (1, 16)
    assert np.array_equal(some, whole[:, :16])


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"pooling_mode_mean_tokens": True}, "lasttoken, mean_tokens"),
        ({"pooling_mode_lasttoken": False, "pooling_mode_cls_token": True}, "cls_token"),
        ({"pooling_mode_lasttoken": False}, "not named"),
        ({"pooling_mode": "mean", "pooling_mode_lasttoken": False}, "mean"),
        ({"pooling_mode": ["lasttoken", "max"]}, "lasttoken, max"),
    ],
)
def test_other_and_second_pooling_modes(folder, values, named):
    change(folder, "1_Pooling/config.json", **values)
    with pytest.raises(ValueError, match=rf"config\.json: its pooling is {named}, not lasttoken"):
        BMRetrieverEncoder(folder)


def test_prompts_of_another_model_are_refused(folder):
    for prompts in ({"query": "", "document": ""}, {"query": "find it\nQuery: "}, {}):
        change(folder, "config_sentence_transformers.json", prompts=prompts)
        assert BMRetrieverEncoder(folder).width == 64
    for name, prompt in (("query", "query: "), ("document", "passage: ")):
        change(folder, "config_sentence_transformers.json", prompts={name: prompt})
        with pytest.raises(ValueError, match=f"the prompt '{name}' is '{prompt}', which is not BMRetriever's template"):
            BMRetrieverEncoder(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Transformer"}]'),
        ("modules.json", "[" * 100_000),
        ("modules.json", "{}"),
        ("1_Pooling/config.json", "{"),
        ("sentence_bert_config.json", "[]"),
        ("config_sentence_transformers.json", "{"),
    ],
)
def test_damaged_files(folder, name, content):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=name) as caught:
        BMRetrieverEncoder(folder)
    assert "\n" not in str(caught.value)


def test_a_missing_pooling(folder):
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ValueError, match=r"1_Pooling.config\.json is missing"):
        BMRetrieverEncoder(folder)
