"""
Turn questions and passages into vectors and compare them by dot product.

    pip install .                                     # in the clone
    python examples/embed_texts.py

Questions and passages go through different templates, so each has its own method. --instruction says what the questions are for:
a key such as scifact, or a sentence of your own.
"""

from __future__ import annotations

import argparse

import numpy as np

from bmretriever_integrations import BMRetrieverEncoder

QUESTIONS = ["Which drug is the first choice for type 2 diabetes?", "How is iron deficiency found?"]
TITLES = ["Metformin", "Ferritin", "Warfarin", ""]
PASSAGES = [
    "Metformin lowers the liver's glucose production and is the usual first drug for adults with type 2 diabetes.",
    "A low serum ferritin shows that the body's iron stores are empty, often before haemoglobin falls.",
    "Warfarin blocks the recycling of vitamin K; the dose is steered by the INR.",
    "Bees find their way back to the hive by the sun's position.",  # a passage need not have a title
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="mini", help="mini, small, 410M, 1B, 2B, 7B, a hub id or a folder (default: mini)"
    )
    parser.add_argument("--instruction", help="what the questions are for (default: biomedical questions)")
    arguments = parser.parse_args()

    with BMRetrieverEncoder(arguments.model) as encoder:
        questions = encoder.encode_queries(QUESTIONS, arguments.instruction)
        passages = encoder.encode_passages(PASSAGES, TITLES)
    print(f"questions: {questions.shape} {questions.dtype}, passages: {passages.shape} {passages.dtype}")

    scores = questions @ passages.T  # the vectors are not of length 1, and are not meant to be
    for question, row in zip(QUESTIONS, scores, strict=True):
        print(f"\n{question}")
        for rank, place in enumerate(np.argsort(-row), 1):
            print(f"{rank:>2}  {row[place]:8.2f}  {PASSAGES[place]}")


if __name__ == "__main__":
    main()
