"""OpenAI's own client, and plain HTTP."""

from __future__ import annotations

import base64

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI


@pytest.fixture
def client(base_url):
    with OpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


def vectors_of(answer):
    return [item.embedding for item in answer.data]


def test_openai(client, right):
    (query,) = vectors_of(client.embeddings.create(model="mini-query", input=right.question))
    answer = client.embeddings.create(model="mini", input=right.passages)
    right.assert_found(query, vectors_of(answer))
    assert answer.model == "mini"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens > 30
    numbers = client.embeddings.create(model="mini", input=right.passages, encoding_format="float")
    right.assert_found(query, vectors_of(numbers))


def test_openai_with_our_fields(client, right, mini):
    further = {"input_type": "query", "instruction": "nq"}
    answer = client.embeddings.create(model="mini", input=right.question, dimensions=64, extra_body=further)
    vector = mini.encode_queries([right.question], "nq")[0, :64]
    np.testing.assert_allclose(np.array(vectors_of(answer)[0], np.float32), vector, rtol=0, atol=2e-6)


async def test_openai_with_coroutines(base_url, right):
    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:
        (query,) = vectors_of(await client.embeddings.create(model="mini-query", input=right.question))
        right.assert_found(query, vectors_of(await client.embeddings.create(model="mini", input=right.passages)))


def test_openai_lists_the_models(client):
    assert [model.id for model in client.models.list()] == ["mini", "mini-query"]
    assert client.models.retrieve("mini-query").object == "model"


def test_openai_gets_a_stream_as_one_answer(client, mini, assert_same):
    texts = [f"Passage {number}" for number in range(600)]
    found = vectors_of(client.embeddings.create(model="mini", input=texts))
    assert_same(np.array(found, np.float32), mini.encode_passages(texts))


def test_openai_raises_its_own_errors(client):
    with pytest.raises(openai.NotFoundError, match="name 'mini' to embed passages") as refused:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match="'query' or 'passage'") as refused:
        client.embeddings.create(model="mini", input="a", extra_body={"input_type": "document"})
    assert (refused.value.code, refused.value.param) == ("invalid_value", "input_type")
    with pytest.raises(openai.BadRequestError, match="passages have no instruction"):
        client.embeddings.create(model="mini", input="a", extra_body={"instruction": "nq"})


def test_plain_http(model_server, right):
    def embed(model, texts):
        body = {"model": model, "input": texts, "encoding_format": "base64"}
        data = httpx.post(f"{model_server.url}/v1/embeddings", json=body).raise_for_status().json()["data"]
        return [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in data]

    right.assert_found(embed("mini-query", right.question)[0], embed("mini", right.passages))
