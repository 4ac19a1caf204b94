"""Quantised weights from Haystack and LlamaIndex: the engine's vectors, written down and read back, kept apart in a cache."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.settings import EncoderSettings

TEXT = "aspirin lowers the risk of colorectal cancer"


@pytest.fixture
def vectors(tiny):
    """A function: quantization -> the engine's own vector of the text as a query."""

    def make(quantization):
        with BMRetrieverEncoder(tiny("llama"), device="cpu", quantization=quantization) as encoder:
            return encoder.encode_queries([TEXT])[0]

    return make


def test_haystack(tiny, vectors):
    pytest.importorskip("haystack")
    from haystack.utils import ComponentDevice

    from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder

    def embedder(**kwargs):
        return BMRetrieverTextEmbedder(
            model=str(tiny("llama")), device=ComponentDevice.from_str("cpu"), progress_bar=False, **kwargs
        )

    small = embedder(model_kwargs={"quantization": "int8"})
    again = BMRetrieverTextEmbedder.from_dict(small.to_dict())
    np.testing.assert_array_equal(again.run(TEXT)["embedding"], vectors("int8"))
    plain = embedder()
    assert not np.array_equal(plain.run(TEXT)["embedding"], vectors("int8"))
    plain.close()
    with pytest.raises(ValueError, match="quantization must be None or one of 'int8', 'fp8', got 'int4'"):
        embedder(model_kwargs={"quantization": "int4"})
    again.close()


def test_llama_index(tiny, vectors):
    pytest.importorskip("llama_index.core")
    from bmretriever_integrations.llama_index import BMRetrieverEmbedding

    small = BMRetrieverEmbedding(model_name=str(tiny("llama")), device="cpu", quantization="int8")
    again = BMRetrieverEmbedding.from_dict(small.to_dict())
    np.testing.assert_array_equal(np.float32(again.get_query_embedding(TEXT)), vectors("int8"))
    with pytest.raises(ValueError, match="got 'int4'"):
        BMRetrieverEmbedding(model_name=str(tiny("llama")), quantization="int4")
    again.close()


def test_llama_index_cache_tells_them_apart(tiny):
    pytest.importorskip("llama_index.core")
    from bmretriever_integrations.llama_index.vector_cache import namespace

    plain, small = (EncoderSettings(model=str(tiny("llama")), quantization=kind) for kind in (None, "int8"))
    assert namespace("weights", plain, "passage", "") != namespace("weights", small, "passage", "")
