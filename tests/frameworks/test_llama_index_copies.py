"""Dicts, pickles, copies: settings only; no weights, no token; the copy loads for itself and gives the same vectors."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import time

import cloudpickle
import pytest
from llama_index.core.storage.kvstore import SimpleKVStore

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import engines_open
from bmretriever_integrations.llama_index import BMRetrieverEmbedding

WAYS = {
    "dict": lambda model: BMRetrieverEmbedding.from_dict(model.to_dict()),
    "json": lambda model: BMRetrieverEmbedding.from_json(model.to_json()),
    "dump": lambda model: BMRetrieverEmbedding.model_validate(model.model_dump()),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "cloudpickle": lambda model: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture
def embedding(tiny):
    made = BMRetrieverEmbedding(
        model_name=str(tiny("mistral")), instruction="scifact", max_length=64, truncate_dim=32, token="hf_secret"
    )
    yield made
    made.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("warm", [False, True])
def test_a_copy_gives_the_same_vectors_and_lives_by_itself(embedding, way, warm):
    if warm:
        embedding.get_query_embedding("load")
    gc.collect()
    before = engines_open()
    other = WAYS[way](embedding)
    assert engines_open() == before  # nothing loaded by copying
    assert other.to_dict() == embedding.to_dict()
    vector = embedding.get_query_embedding("aspirin")
    assert other.get_query_embedding("aspirin") == vector
    assert engines_open() == before - warm + 1  # one engine for both, though a pickle has lost its token
    embedding.close()
    assert other.get_query_embedding("aspirin") == vector
    other.close()
    assert engines_open() == before - warm


def test_weights_stay_behind(embedding):
    sizes = {
        name: (len(pickle.dumps(embedding)), len(cloudpickle.dumps(embedding)), len(embedding.to_json()))
        for name in ["cold", "warm"]
        if name == "cold" or embedding.get_query_embedding("load")
    }
    for cold, warm in zip(sizes["cold"], sizes["warm"], strict=True):
        assert abs(warm - cold) < 100
        assert warm < 1500


def test_the_token_is_never_written(embedding):
    embedding.get_query_embedding("load")
    for written in (
        repr(embedding),
        str(embedding.to_dict()),
        embedding.to_json(),
        str(embedding.to_payload()),
        embedding.model_dump_json(exclude={"embeddings_cache"}),
        str(pickle.dumps(embedding)),
        str(cloudpickle.dumps(embedding)),
    ):
        assert "hf_secret" not in written
    assert embedding.token.get_secret_value() == "hf_secret"  # and pickling did not take it from the original
    assert copy.deepcopy(embedding).token.get_secret_value() == "hf_secret"
    with pytest.raises(ValueError, match="max_length") as caught:
        BMRetrieverEmbedding(token="hf_secret", max_length=1)
    assert "hf_secret" not in str(caught.value)


def test_every_setting_that_changes_a_vector_is_written(embedding):
    assert json.loads(embedding.to_json()) == {
        "class_name": "BMRetrieverEmbedding",
        "model_name": embedding.model_name,
        "instruction": "scifact",
        "max_length": 64,
        "normalize": False,
        "truncate_dim": 32,
        "device": None,
        "dtype": "auto",
        "quantization": None,
        "revision": None,
        "local_files_only": False,
        "max_batch_tokens": None,
        "embed_batch_size": 2048,
        "num_workers": None,
        "embeddings_cache": None,
    }


def test_pickling_takes_nothing_from_the_original(embedding):
    class Unpicklable(SimpleKVStore):
        def __reduce__(self):
            raise TypeError("a live connection")

    embedding.embeddings_cache = Unpicklable()
    vector = embedding.get_query_embedding("aspirin")
    assert pickle.loads(pickle.dumps(embedding)).embeddings_cache is None
    assert embedding.get_query_embedding("aspirin") == vector
    assert isinstance(embedding.embeddings_cache, Unpicklable)


def test_nothing_loads_before_the_first_text_and_close_frees(embedding):
    gc.collect()
    before = engines_open()
    twin = copy.copy(embedding)
    vector = embedding.get_query_embedding("aspirin")
    twin.get_query_embedding("aspirin")
    assert engines_open() == before + 1  # equal settings share one engine
    embedding.close()
    embedding.close()
    assert engines_open() == before + 1
    twin.close()
    assert engines_open() == before
    assert embedding.get_query_embedding("aspirin") == vector


def test_ctrl_c_while_closing_leaves_it_closed_and_usable(embedding, monkeypatch):
    vector = embedding.get_query_embedding("aspirin")
    close = BMRetrieverEncoder.close

    def interrupted(self):
        close(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(BMRetrieverEncoder, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            embedding.close()
    assert embedding.get_query_embedding("aspirin") == vector


def test_an_embedding_that_is_dropped_frees_its_engine(tiny):
    gc.collect()
    before = engines_open()
    dropped = BMRetrieverEmbedding(model_name=str(tiny("mistral")), max_length=77)
    dropped.get_query_embedding("load")
    assert engines_open() == before + 1
    del dropped
    gc.collect()
    patience = time.monotonic() + 5
    while engines_open() > before and time.monotonic() < patience:
        time.sleep(0.01)
    assert engines_open() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "410M"}, "model"),
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"instruction": "scifct"}, "Did you mean 'scifact'"),
        ({"instruction": " "}, "instruction is empty"),
        ({"max_length": 1}, "at least 2"),
        ({"truncate_dim": 0}, "at least 1"),
        ({"max_batch_tokens": 0}, "at least 1"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"model_name": ""}, "hub id"),
        ({"embed_batch_size": 4096}, "2048"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        BMRetrieverEmbedding(**settings)


def test_a_model_that_is_nowhere_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BMRetrieverEmbedding(model_name=str(tmp_path / "nowhere")).get_query_embedding("q")
