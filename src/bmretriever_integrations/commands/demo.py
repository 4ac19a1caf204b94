"""Run ``bmretriever demo``, which indexes real PubMed records and asks questions through two frameworks and the index itself."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.commands.arguments import absolute, positive, this_program
from bmretriever_integrations.commands.index import plain_warnings, summary
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.index import Hit, SearchIndex

LIMIT = 1000
"""The number of records to index, which takes at most two minutes on two CPU cores."""
TOP_K = 3
"""The number of hits for each question."""
QUESTIONS = (
    "How did the COVID-19 pandemic affect mental health?",
    "Does mindfulness-based therapy help adults with ADHD?",
    "Why do older adults with cancer fall, and how often?",
)
"""Questions that the file's first 1,000 citations answer."""
NEEDED = ("haystack", "llama_index.core", "llama_index.vector_stores.faiss", "faiss")
"""Modules that must be installed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("--to", default="demo-index", metavar="DIR", help="folder of the index (default: %(default)s)")
    parser.add_argument(
        "--limit", type=positive, default=LIMIT, metavar="N", help="number of citations to index (default: %(default)s)"
    )
    parser.add_argument(
        "--source",
        metavar="FILE",
        help=f"file with other records (default: {PUBMED_SAMPLE.member} of {PUBMED_SAMPLE.package})",
    )
    parser.add_argument("--model", default="mini", help="short name, hub id or folder (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """
    Build the index or use an existing one, ask the questions through Haystack and LlamaIndex, compare the answers, ask the index.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")  # read when haystack is imported
    _check_frameworks()
    source = arguments.source or str(installed_file(PUBMED_SAMPLE))
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.corpus import read_corpus

    read_corpus([source])  # raises an error for a missing or wrong file before the model is loaded
    silence_libraries()
    with _index(source, arguments) as index:
        by_haystack = ask_haystack(index, QUESTIONS, TOP_K)
        by_llama_index = ask_llama_index(index, QUESTIONS, TOP_K)
        by_itself = index.search(QUESTIONS[-1], TOP_K)
    for question, hits in zip(QUESTIONS, by_haystack, strict=True):
        _print([question], question, hits)
    differing = [q for q, one, two in zip(QUESTIONS, by_haystack, by_llama_index, strict=True) if not agree(one, two)]
    if differing:
        write_lines(["", f"Haystack (shown) and LlamaIndex disagree on: {'; '.join(differing)}"])
        return 1
    write_lines(["", f"Haystack and LlamaIndex agree: the same {TOP_K} records, order and scores for each question."])
    _print(["The last question again, by words and vectors, as the index itself answers:"], QUESTIONS[-1], by_itself)
    write_lines(["", f'Ask your own question: {this_program()} search {shlex.quote(arguments.to)} "..."'])
    return 0


def _print(lines: list[str], question: str, hits: list[Hit]) -> None:
    from bmretriever_integrations.commands.hits.table import print_table
    from bmretriever_integrations.hits.answers import Answer, Question
    from bmretriever_integrations.index import Hits
    from bmretriever_integrations.terminal.console import open_console

    write_lines(["", *lines])
    print_table(open_console(), Answer(Question("1", question), Hits(hits)))


def _check_frameworks() -> None:
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        raise ImportError(f'the demo needs {", ".join(missing)}: run pip install "bmretriever-integrations[demo]"')


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package is missing, too
        return False


def _index(source: str, arguments: argparse.Namespace) -> SearchIndex:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index import SearchIndex, build_index

    with plain_warnings(), BMRetrieverEncoder(absolute(arguments.model)) as encoder:
        write_lines([f"{Path(source).name}: the first {arguments.limit:,} records, embedded with {arguments.model}"])
        sys.stdout.flush()
        report = build_index(encoder, [source], arguments.to, limit=arguments.limit, progress=True)
    write_lines(summary(report, arguments.to))
    return SearchIndex.open(arguments.to)


def agree(one: list[Hit], two: list[Hit]) -> bool:
    """
    Tell whether two rankings have the same records in the same order, with scores that are equal to five digits.

    :param one: the hits of one framework.
    :param two: the hits of the other framework.
    """
    pairs = list(zip(one, two, strict=True)) if len(one) == len(two) else [(None, None)]
    return all(a and b and a.id == b.id and abs(a.score - b.score) <= 1e-5 * max(1.0, abs(a.score)) for a, b in pairs)


def ask_haystack(index: SearchIndex, questions: Sequence[str], top_k: int) -> list[list[Hit]]:
    """
    Ask questions through a Haystack pipeline with a text embedder and an in-memory retriever by dot product.

    :param index: the index with documents, vectors and the model's name.
    :param questions: the questions; the pipeline runs once for each.
    :param top_k: the number of hits for each question.
    """
    from haystack import Pipeline
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from bmretriever_integrations.index import Hit
    from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    for documents in index.to_haystack():
        store.write_documents(documents)
    made_by = index.manifest.encoder
    pipeline = Pipeline()
    pipeline.add_component(
        "embedder",
        BMRetrieverTextEmbedder(
            model=made_by["model"], model_kwargs={"dtype": made_by["dtype"]}, token=None, progress_bar=False
        ),
    )
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=top_k))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    answers = [pipeline.run({"embedder": {"text": question}})["retriever"]["documents"] for question in questions]
    return [
        [Hit(rank, d.score, d.id, d.meta["title"], d.content or "", d.meta) for rank, d in enumerate(documents, 1)]
        for documents in answers
    ]


def ask_llama_index(index: SearchIndex, questions: Sequence[str], top_k: int) -> list[list[Hit]]:
    """
    Ask questions through LlamaIndex's VectorStoreIndex with a FAISS inner-product index.

    :param index: the index with documents, vectors and the model's name.
    :param questions: the questions; the retriever runs once for each.
    :param top_k: the number of hits for each question.
    """
    import faiss
    from llama_index.core import StorageContext, VectorStoreIndex
    from llama_index.vector_stores.faiss import FaissVectorStore

    from bmretriever_integrations.index import Hit
    from bmretriever_integrations.llama_index import BMRetrieverEmbedding

    nodes = [node for batch in index.to_llama_index() for node in batch]
    made_by = index.manifest.encoder
    embedding = BMRetrieverEmbedding(model_name=made_by["model"], dtype=made_by["dtype"])
    context = StorageContext.from_defaults(vector_store=FaissVectorStore(faiss.IndexFlatIP(index.manifest.width)))
    retriever = VectorStoreIndex(nodes, storage_context=context, embed_model=embedding).as_retriever(
        similarity_top_k=top_k
    )
    answers: list[Any] = [retriever.retrieve(question) for question in questions]
    return [
        [Hit(rank, n.score, n.node_id, n.metadata["title"], n.node.get_content()) for rank, n in enumerate(found, 1)]
        for found in answers
    ]
