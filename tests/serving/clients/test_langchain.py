"""LangChain's embedding model for OpenAI."""

from __future__ import annotations

import httpx
import openai
import pytest
import tiktoken
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import OpenAIEmbeddings


def model(base_url, name, **settings):
    return OpenAIEmbeddings(model=name, base_url=base_url, api_key="none", max_retries=0, **settings)


@pytest.fixture
def http_client():
    with httpx.Client() as client:  # LangChain closes none
        yield client


def test_langchain(base_url, right, http_client):
    settings = {"check_embedding_ctx_length": False, "http_client": http_client}
    passages, queries = (model(base_url, name, **settings) for name in ("mini", "mini-query"))
    query = queries.embed_query(right.question)
    right.assert_found(query, passages.embed_documents(right.passages))

    store = InMemoryVectorStore.from_texts(right.passages, passages)
    (best,) = store.similarity_search_by_vector(query, k=1)
    assert "metformin" in best.page_content


async def test_langchain_with_coroutines(base_url, right):
    async with httpx.AsyncClient() as client:
        settings = {"check_embedding_ctx_length": False, "http_async_client": client}
        passages, queries = model(base_url, "mini", **settings), model(base_url, "mini-query", **settings)
        right.assert_found(await queries.aembed_query(right.question), await passages.aembed_documents(right.passages))


def test_langchain_is_told_of_the_setting(base_url, right, monkeypatch, http_client):
    """Without the setting it sends ids of OpenAI's tokenizer, whose table tiktoken fetches; here each byte is a token."""
    table = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=r"\S+|\s+", mergeable_ranks=table, special_tokens={})
    monkeypatch.setattr(tiktoken, "get_encoding", lambda _name: encoding)
    with pytest.raises(openai.BadRequestError, match=r"OpenAIEmbeddings\(check_embedding_ctx_length=False\)"):
        model(base_url, "mini", http_client=http_client).embed_documents(right.passages)
