"""LoRA adapters of every architecture: as adapter, merged by the export, and inside a sentence-transformers folder."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

pytest.importorskip("peft")
TARGETS = {"gpt_neox": ["query_key_value", "dense_h_to_4h"]}
"""GPT-NeoX has names of its own; the others share Llama's."""
TEXTS = ["aspirin lowers fever", "", "heart " * 700]
PROMPTS = [passage_prompt(text) for text in TEXTS]


def settings(architecture):
    from peft import LoraConfig

    return LoraConfig(r=4, target_modules=TARGETS.get(architecture, ["q_proj", "down_proj"]), init_lora_weights=False)


@pytest.fixture
def trained(tiny, tmp_path):
    """A function: architecture -> an adapter's folder as peft saves it, and the right vectors of PROMPTS."""
    from peft import get_peft_model
    from transformers import AutoModel

    def make(architecture):
        raw = tiny(architecture)
        wrapped = get_peft_model(AutoModel.from_pretrained(raw), settings(architecture))
        wrapped.save_pretrained(tmp_path / "adapter")
        wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(raw / name, tmp_path / "merged")
        return tmp_path / "adapter", reference_encode(tmp_path / "merged", PROMPTS)

    return make


def passages(folder):
    with BMRetrieverEncoder(folder, device="cpu", dtype="float32") as encoder:
        return encoder.encode_passages(TEXTS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapter_and_its_export_give_the_merged_vectors(trained, tiny, tmp_path, error, architecture):
    models = pytest.importorskip("sentence_transformers")
    adapter, right = trained(architecture)
    assert error(reference_encode(tiny(architecture), PROMPTS), right) > 0.05
    assert error(passages(adapter), right) <= 1e-5
    assert main(["export", str(adapter), "--to", str(tmp_path / "to")]) == 0
    assert not list((tmp_path / "to").glob("adapter*"))
    assert error(passages(tmp_path / "to"), right) <= 1e-5
    stock = models.SentenceTransformer(str(tmp_path / "to"), device="cpu")
    assert error(stock.encode(PROMPTS), right) <= 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("normalized", [False, True])
def test_an_adapter_that_sentence_transformers_saved(tiny, exported, tmp_path, error, architecture, normalized):
    models = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Normalize

    model = models.SentenceTransformer(str(exported(architecture)), device="cpu")
    model.add_adapter(settings(architecture))
    if normalized:
        model.append(Normalize())
    model.eval()
    model.save(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "adapter_config.json").is_file()
    right = model.encode(PROMPTS)
    assert error(passages(exported(architecture)), right) > 0.05
    assert error(passages(tmp_path / "saved"), right) <= 1e-5
    assert np.allclose(np.linalg.norm(right, axis=1), 1, atol=1e-5) == normalized
    assert main(["export", str(tmp_path / "saved"), "--to", str(tmp_path / "to")]) == 0
    again = models.SentenceTransformer(str(tmp_path / "to"), device="cpu")
    assert error(again.encode(PROMPTS), right) <= 1e-5


def test_its_pooling_is_looked_at(tiny, tmp_path):
    models = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    model = models.SentenceTransformer(modules=[Transformer(str(tiny("llama"))), Pooling(64, "mean")], device="cpu")
    model.add_adapter(settings("llama"))
    model.save(str(tmp_path / "saved"))
    base = json.loads((tmp_path / "saved" / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base == str(tiny("llama"))
    with pytest.raises(ValueError, match=r"pooling is .*mean"):
        BMRetrieverEncoder(tmp_path / "saved")
