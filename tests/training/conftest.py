"""Pairs small enough to train on in a second."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # what is compared bit by bit runs on the CPU

import pytest

from bmretriever_integrations.training.pairs.schema import Pair, PairWriter

DRUGS = ["aspirin", "warfarin", "insulin", "digoxin", "morphine", "heparin", "codeine", "lithium", "quinine", "statin"]


@pytest.fixture(scope="session")
def write_doses():
    """A function: a new file -> it, with 80 pairs in two tasks, one hard negative each, scored by a pretended miner."""

    def write(path: Path) -> Path:
        with PairWriter(path) as writer:
            for drug in DRUGS:
                for number in range(8):
                    writer.write(
                        Pair(
                            task=f"dose {number % 2}",
                            instruction="Given a question, find a dose",
                            query=f"{drug} dose {number}",
                            positive=f"The dose of {drug} is {number} mg. It is taken daily.",
                            negatives=(f"The dose of {drug} is {number + 1} mg. It is never taken.",),
                            positive_score=2.0,
                            negative_scores=(1.0,),
                        )
                    )
        return path

    return write


@pytest.fixture
def doses(tmp_path, write_doses):
    """A Parquet file of pairs."""
    return write_doses(tmp_path / "pairs" / "doses.parquet")
