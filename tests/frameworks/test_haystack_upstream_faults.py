"""What goes wrong in other embedders for Haystack 3, one test a fault. None of it may happen here."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
from haystack import Document
from haystack.utils import ComponentDevice

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
from bmretriever_integrations.prompts import PASSAGE_PREFIX
from bmretriever_integrations.testing import reference_encode

EXACT = {"progress_bar": False, "model_kwargs": {"dtype": "float32"}}


def embed(folder, *contents, **parameters):
    embedder = BMRetrieverDocumentEmbedder(**{"model": str(folder), **EXACT, **parameters})
    rows = [d.embedding for d in embedder.run([Document(content=content) for content in contents])["documents"]]
    embedder.close()
    return np.asarray(rows)


def assert_reference(rows, folder, *contents):
    expected = reference_encode(folder, [PASSAGE_PREFIX + content.strip() for content in contents])
    assert (np.linalg.norm(rows - expected, axis=1) <= 1e-5 * np.linalg.norm(expected, axis=1)).all()


def test_to_dict_turns_the_live_dtype_into_a_string_and_warm_up_fails(tiny):
    import torch

    embedder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), model_kwargs={"torch_dtype": torch.float32})
    embedder.to_dict()
    assert embedder.model_kwargs == {"torch_dtype": torch.float32}
    embedder.warm_up()
    embedder.close()


def test_to_dict_hands_out_the_live_lists():
    embedder = BMRetrieverDocumentEmbedder(meta_fields_to_embed=["title"])
    embedder.to_dict()["init_parameters"]["meta_fields_to_embed"].append("year")
    assert embedder.meta_fields_to_embed == ["title"]


def test_from_dict_changes_the_dictionary_it_was_given():
    data = BMRetrieverDocumentEmbedder(model_kwargs={"dtype": "torch.float16"}).to_dict()
    before = copy.deepcopy(data)
    BMRetrieverDocumentEmbedder.from_dict(data)
    assert data == before


def test_the_device_of_the_machine_that_wrote_the_yaml_gets_into_it():
    written = BMRetrieverTextEmbedder().to_dict()["init_parameters"]
    assert written["device"] is None
    again = BMRetrieverTextEmbedder.from_dict(BMRetrieverTextEmbedder().to_dict())
    assert again.device == ComponentDevice.resolve_device(None)  # of the machine that reads
    assert again.to_dict()["init_parameters"]["device"] is None
    chosen = BMRetrieverTextEmbedder(device=ComponentDevice.from_str("cuda:1"))
    assert chosen.to_dict()["init_parameters"]["device"] == {"type": "single", "device": "cuda:1"}


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox", "gemma"])
def test_an_empty_document_alone_raises_and_among_others_is_all_zero(tiny, architecture):
    alone = embed(tiny(architecture), "")
    mixed = embed(tiny(architecture), "fever", None, "", "cough")
    for row in [*alone, *mixed]:
        assert np.isfinite(row).all()
        assert np.abs(row).max() > 0
    np.testing.assert_allclose(mixed[1], alone[0], rtol=1e-4, atol=1e-5)
    assert_reference(alone, tiny(architecture), "")


def test_int8_ranges_are_taken_from_the_batch_at_hand(tiny):
    for kind in (BMRetrieverTextEmbedder, BMRetrieverDocumentEmbedder):
        with pytest.raises(ValueError, match="needs quantization_ranges"):
            kind(model=str(tiny("llama")), precision="uint8").warm_up()


def test_only_the_first_element_of_the_list_is_checked():
    with pytest.raises(TypeError, match="list of Documents"):
        BMRetrieverDocumentEmbedder(model="owner/absent").run([Document(content="a"), "b"])


def test_falsy_meta_values_are_dropped(tiny):
    embedder = BMRetrieverDocumentEmbedder(
        model=str(tiny("llama")), meta_fields_to_embed=["n", "flag", "blank", "none"], **EXACT
    )
    document = Document(content="text", meta={"n": 0, "flag": False, "blank": "", "none": None})
    row = np.asarray([embedder.run([document])["documents"][0].embedding])
    embedder.close()
    assert_reference(row, tiny("llama"), "0 False  text")


def test_title_and_text_are_joined_by_a_newline():
    assert BMRetrieverDocumentEmbedder().embedding_separator == " "


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral"])
def test_pooling_depends_on_the_class_name_in_config_json(tiny, tmp_path, architecture):
    folder = shutil.copytree(tiny(architecture), tmp_path / "causal")
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"][0].endswith("Model")
    config["architectures"] = [config["architectures"][0].replace("Model", "ForCausalLM")]
    (folder / "config.json").write_text(json.dumps(config))
    rows = embed(folder, "fever and cough", "x")
    np.testing.assert_array_equal(rows, embed(tiny(architecture), "fever and cough", "x"))
    assert_reference(rows, tiny(architecture), "fever and cough", "x")


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral"])
def test_eos_and_bos_depend_on_the_tokenizers_flags(tiny, tmp_path, architecture, flag):
    folder = shutil.copytree(tiny(architecture), tmp_path / "flagged")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "add_eos_token": flag}))
    np.testing.assert_array_equal(
        embed(folder, "fever", "a longer text"), embed(tiny(architecture), "fever", "a longer text")
    )


def test_a_tokenizer_without_pad_token_cannot_embed_two_texts(tiny):
    settings = json.loads((tiny("mistral") / "tokenizer_config.json").read_text())
    assert "pad_token" not in settings
    assert_reference(
        embed(tiny("mistral"), "fever", "a much longer text " * 9), tiny("mistral"), "fever", "a much longer text " * 9
    )


def test_long_texts_are_cut_at_the_models_limit_instead_of_512(tiny):
    long = "Metformin lowers blood glucose. " * 200
    assert_reference(embed(tiny("gpt_neox"), long), tiny("gpt_neox"), long)


def test_vectors_are_normalised_without_being_asked(tiny):
    norms = np.linalg.norm(embed(tiny("llama"), "fever", "cough"), axis=1)
    assert (np.abs(norms - 1) > 0.1).all()
