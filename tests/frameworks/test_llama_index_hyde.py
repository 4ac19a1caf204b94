"""Hypothetical documents are embedded as passages, and the question beside them as a query."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine, TransformQueryEngine
from llama_index.core.retrievers import TransformRetriever
from llama_index.core.schema import TextNode

from bmretriever_integrations.llama_index import BMRetrieverEmbedding, BMRetrieverHyDE

QUESTION, WRITTEN = "which drug lowers blood glucose", "Metformin lowers fasting plasma glucose."
PROMPT = PromptTemplate("Write: {context_str}")


class Writer(MockLLM):
    """An LLM that always writes the same document, for one prompt only."""

    def complete(self, prompt, formatted=False, **kwargs):
        assert prompt == f"Write: {QUESTION}"
        return CompletionResponse(text=WRITTEN)


@pytest.fixture
def embedding(tiny):
    made = BMRetrieverEmbedding(str(tiny("llama")), dtype="float32", normalize=True)
    yield made
    made.close()


@pytest.mark.parametrize("include_original", [True, False])
def test_the_vector_is_the_mean_of_passage_and_query(embedding, include_original):
    transform = BMRetrieverHyDE(embedding, Writer(), PROMPT, include_original)
    found = transform.run(QUESTION)
    passage, query = embedding.get_text_embedding(WRITTEN), embedding.get_query_embedding(QUESTION)
    assert passage != embedding.get_query_embedding(WRITTEN)
    assert np.allclose(found.embedding, np.mean([passage, query], axis=0) if include_original else passage, atol=1e-6)
    assert found.query_str == QUESTION


async def test_the_index_is_searched_with_that_vector(embedding):
    nodes = [TextNode(text=text) for text in ("Statins lower LDL.", WRITTEN, "Aspirin prevents stroke.")]
    retriever = VectorStoreIndex(nodes, embed_model=embedding).as_retriever(similarity_top_k=1)
    transform = BMRetrieverHyDE(embedding, Writer(), PROMPT, include_original=False)
    [hit] = TransformRetriever(retriever, transform).retrieve(QUESTION)
    assert (hit.text, round(hit.score, 5)) == (WRITTEN, 1)  # the same passage: cosine 1
    plain = RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    engine = TransformQueryEngine(plain, transform)
    for answer in (engine.query(QUESTION), await engine.aquery(QUESTION)):
        assert [round(hit.score, 5) for hit in answer.source_nodes] == [1]
