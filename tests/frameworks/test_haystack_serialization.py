"""YAML, JSON, pickle, deepcopy: everything is kept but weights, secrets and threads."""

from __future__ import annotations

import copy
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from haystack import Document
from haystack.utils import ComponentDevice, Secret

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

FULL = {
    "model": "owner/model",
    "device": ComponentDevice.from_str("cuda:1"),
    "token": Secret.from_env_var("MY_TOKEN"),
    "prefix": "a\nb ",
    "suffix": " c",
    "batch_size": 7,
    "progress_bar": False,
    "normalize_embeddings": True,
    "local_files_only": True,
    "truncate_dim": 2,
    "model_kwargs": {"dtype": "bfloat16"},
    "tokenizer_kwargs": {"model_max_length": 99},
    "precision": "int8",
    "revision": "v1",
    "quantization_ranges": [[0.0, 1.0], [2.0, 3.0]],
}
KINDS = [
    (BMRetrieverTextEmbedder, {**FULL, "instruction": "scifact"}),
    (BMRetrieverDocumentEmbedder, {**FULL, "meta_fields_to_embed": ["title"], "embedding_separator": "\n"}),
]


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_round_trip_keeps_every_parameter(kind, parameters):
    for given in ({}, parameters):
        embedder = kind(**given)
        written = embedder.to_dict()
        assert written["type"] == (
            f"haystack_integrations.components.embedders.bmretriever.{kind.__module__.split('.')[-1]}.{kind.__name__}"
        )
        again = kind.from_dict(yaml.safe_load(yaml.safe_dump(json.loads(json.dumps(written)))))
        assert again.to_dict() == written
        for name, value in given.items():
            assert getattr(again, name) == value
        assert "async_executor" not in written["init_parameters"]


def test_torch_dtype_comes_back_as_it_was():
    import torch

    embedder = BMRetrieverDocumentEmbedder(model_kwargs={"torch_dtype": torch.float16})
    written = embedder.to_dict()
    assert written["init_parameters"]["model_kwargs"] == {"torch_dtype": "torch.float16"}
    assert BMRetrieverDocumentEmbedder.from_dict(written).model_kwargs == {"torch_dtype": torch.float16}


def test_a_plain_token_is_never_written(monkeypatch):
    embedder = BMRetrieverTextEmbedder(token=Secret.from_token("hf_secret"))
    with pytest.raises(ValueError, match="Cannot serialize token-based secret"):
        embedder.to_dict()
    with pytest.raises(ValueError, match="Cannot pickle token-based secret"):
        pickle.dumps(embedder)
    assert copy.deepcopy(embedder).token == embedder.token  # stays in this process
    assert "hf_secret" not in repr(embedder)
    monkeypatch.setenv("HF_TOKEN", "hf_environment")
    assert b"hf_environment" not in pickle.dumps(BMRetrieverTextEmbedder())
    assert "hf_environment" not in json.dumps(BMRetrieverTextEmbedder().to_dict())


def test_pickle_and_deepcopy_carry_no_weights_and_work(tiny):
    documents = [Document(content="fever")]
    with ThreadPoolExecutor(1) as pool:
        embedder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), progress_bar=False, async_executor=pool)
        cold = pickle.dumps(embedder)
        expected = embedder.run(documents)["documents"][0].embedding
        warm = pickle.dumps(embedder)
        assert len(cold) == len(warm) < 4000
        for twin in (pickle.loads(warm), copy.deepcopy(embedder)):
            assert twin.embedding_backend is None
            assert twin.async_executor is None
            assert twin.to_dict() == embedder.to_dict()
            assert twin.run(documents)["documents"][0].embedding == expected
            twin.close()
        embedder.close()


def test_a_copy_has_its_own_sockets():
    embedder = BMRetrieverTextEmbedder()
    twin = copy.deepcopy(embedder)
    assert twin.__haystack_input__ is not embedder.__haystack_input__


def test_telemetry_tells_the_model_alone():
    assert BMRetrieverTextEmbedder(model="owner/model")._get_telemetry_data() == {"model": "owner/model"}
