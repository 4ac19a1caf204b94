"""Random weights in true shapes, handed to whoever loads a checkpoint as if they came from a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from side_by_side.equality import compare, likeness
from side_by_side.real_tokenizers import write_tokenizer
from side_by_side.shapes import config_of, whole_depth
from side_by_side.weights import Weights, served, write_checkpoint, write_folder, write_for_peers
from transformers import AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

MODELS = ["410M", "2B", "7B"]


@pytest.mark.parametrize("model", MODELS)
def test_random_weights_tell_texts_apart_and_bear_bfloat16(model, tmp_path):
    """Else a wrong vector could pass for right, or rounding alone for wrong; all layers, as rounding piles up with depth."""
    config = config_of(model, whole_depth(model), tiny=True)
    write_tokenizer(tmp_path / "tokenizer", config.model_type, None)
    folder = write_checkpoint(tmp_path / "checkpoint", config, tmp_path / "tokenizer", 0, "cpu")
    texts = ["Aspirin.", "Heparin lowered mortality.", "Does gout follow a diet rich in purines?", "fever " * 300]
    right = reference_encode(folder, [passage_prompt(text) for text in texts])
    assert likeness(right) < 0.99
    with BMRetrieverEncoder(folder, device="cpu", dtype="bfloat16") as encoder:
        assert compare(encoder.encode_passages(texts), right, "bfloat16")["cosine"] > 0.9995


@pytest.fixture
def folders(tmp_path):
    """A function: model -> a written checkpoint, and a folder without weights that serves the same ones."""

    def make(model):
        config = config_of(model, 0, tiny=True)
        write_tokenizer(tmp_path / "tokenizer", config.model_type, None)
        written = write_checkpoint(tmp_path / "written", config, tmp_path / "tokenizer", 0, "cpu")
        return written, write_folder(tmp_path / "served", config, tmp_path / "tokenizer")

    return make


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("model", MODELS)
def test_what_is_served_is_what_a_file_gives(folders, model, dtype):
    """Every tensor and its type, the rotary frequencies too: rounded, they turn the last of 512 tokens by a tenth and more."""
    written, folder = folders(model)
    weights = Weights(config_of(model, 0, tiny=True), 0, "cpu", getattr(torch, dtype))
    loaded = AutoModel.from_pretrained(written, dtype=dtype)
    with served({folder: weights}):
        found = AutoModel.from_pretrained(folder, dtype=dtype)
    assert found.dtype == loaded.dtype
    for kind in ("named_parameters", "named_buffers"):
        wanted = dict(getattr(loaded, kind)())
        assert wanted.keys() == dict(getattr(found, kind)()).keys()
        for name, tensor in getattr(found, kind)():
            assert tensor.dtype == wanted[name].dtype, name
            assert torch.equal(tensor, wanted[name]), name


def test_equal_types_share_their_weights_and_others_do_not(folders):
    _, folder = folders("7B")
    with served({folder: Weights(config_of("7B", 0, tiny=True), 0, "cpu", torch.bfloat16)}):
        one, same = (AutoModel.from_pretrained(folder, dtype=torch.bfloat16) for _ in range(2))
        released, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert one.embed_tokens.weight.data_ptr() == same.embed_tokens.weight.data_ptr()
    one.config._attn_implementation = "another"
    assert same.config._attn_implementation != "another"
    assert (released.dtype, report["missing_keys"]) == (torch.float32, [])
    assert one.dtype == torch.bfloat16


def test_other_folders_are_loaded_from_the_disk(folders):
    written, folder = folders("410M")
    with served({folder: Weights(config_of("410M", 0, tiny=True), 1, "cpu", torch.float32)}):
        found = AutoModel.from_pretrained(written)
    assert torch.equal(found.embed_in.weight, AutoModel.from_pretrained(written).embed_in.weight)


def test_the_engine_and_its_peers_get_the_same_weights(folders, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    written, folder = folders("2B")
    weights, exported = Weights(config_of("2B", 0, tiny=True), 0, "cpu", torch.float32), tmp_path / "exported"
    texts = ["Heparin lowered mortality.", "Aspirin."]
    right = reference_encode(written, [passage_prompt(text) for text in texts])
    with served({folder: weights, write_for_peers(folder, exported): weights}):
        ours = BMRetrieverEncoder(folder, device="cpu", dtype="float32").encode_passages(texts)
        peer = sentence_transformers.SentenceTransformer(str(exported), device="cpu")
    theirs = peer.encode([passage_prompt(text) for text in texts])
    np.testing.assert_allclose(ours, right, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(theirs, right, rtol=1e-4, atol=1e-5)
