"""Search with hypothetical documents (HyDE), which are passages and must be embedded as passages."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import mean_agg
from llama_index.core.indices.query.query_transform import HyDEQueryTransform
from llama_index.core.llms import LLM
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.schema import QueryBundle

from bmretriever_integrations.llama_index.embedding import BMRetrieverEmbedding


class BMRetrieverHyDE(HyDEQueryTransform):
    """
    LlamaIndex's ``HyDEQueryTransform``, whose hypothetical documents are embedded with BMRetriever's template for passages.

    LlamaIndex's own transform hands the document to the embedding model as a query, so it would get the instruction of a
    question. This one computes the vector itself: the mean of the hypothetical document's vector and the question's. Give it to a
    ``TransformQueryEngine`` or a ``TransformRetriever``.
    """

    def __init__(
        self,
        embed_model: BMRetrieverEmbedding,
        llm: LLM | None = None,
        hyde_prompt: BasePromptTemplate | None = None,
        include_original: bool = True,
    ) -> None:
        """
        Create the transform.

        :param embed_model: the embedding model of the index that is searched.
        :param llm: the model that writes the hypothetical document; None takes LlamaIndex's ``Settings.llm``.
        :param hyde_prompt: the prompt for it; None takes LlamaIndex's own.
        :param include_original: whether the question's vector is part of the mean.
        """
        super().__init__(llm, hyde_prompt, include_original)
        self._encoder = embed_model

    def _run(self, query_bundle: QueryBundle, metadata: dict[str, Any]) -> QueryBundle:
        written = super()._run(query_bundle, metadata)
        document, *questions = written.embedding_strs  # LlamaIndex puts the document first
        vectors = [self._encoder.get_text_embedding(document)]
        vectors += [self._encoder.get_query_embedding(question) for question in questions]
        written.embedding = mean_agg(vectors)
        return written
