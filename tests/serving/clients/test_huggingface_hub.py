"""The client of huggingface_hub, which speaks to text-embeddings-inference."""

from __future__ import annotations

import numpy as np
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError


@pytest.fixture
def address(model_server, monkeypatch):
    monkeypatch.setattr(
        constants, "HF_HUB_OFFLINE", False
    )  # which the tests set, and which would refuse this server, too
    return f"{model_server.url}/embed"


def test_inference_client(address, right):
    client = InferenceClient(model=address)
    (query,) = client.feature_extraction(right.question, prompt_name="query")
    right.assert_found(query, client.feature_extraction(right.passages, prompt_name="passage"))
    (scaled,) = client.feature_extraction(right.question, prompt_name="query", normalize=True)
    np.testing.assert_allclose(scaled, query / np.linalg.norm(query), rtol=1e-6)
    (plain,) = client.feature_extraction(right.question, prompt_name="query", normalize=False)
    assert np.array_equal(plain, query)


async def test_inference_client_with_coroutines(address, right):
    async with AsyncInferenceClient(model=address) as client:
        (query,) = await client.feature_extraction(right.question, prompt_name="query")
        right.assert_found(query, await client.feature_extraction(right.passages, prompt_name="passage"))


def test_inference_client_is_told_what_is_missing(address, right):
    client = InferenceClient(model=address)
    with pytest.raises(HfHubHTTPError, match="send prompt_name 'query' or 'passage'"):
        client.feature_extraction(right.question)
    with pytest.raises(HfHubHTTPError, match="the model reads 512: split it into passages, or send truncate"):
        client.feature_extraction("word " * 600, prompt_name="passage")
    assert client.feature_extraction("word " * 600, prompt_name="passage", truncate=True).shape == (1, 576)
