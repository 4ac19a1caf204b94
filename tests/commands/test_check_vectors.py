"""The command: the verdict comes first, with the way out, the table and the status; each option changes what is compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main

TEXTS = [f"aspirin {word} in adults" for word in ("prevents stroke", "lowers fever", "raises risk", "and its dose")]


@pytest.fixture
def check(tmp_path: Path, tiny, capsys):
    """A function: vectors and options -> the status and the printed lines."""
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    model = str(tiny("mistral"))

    def run(vectors, *options: str) -> tuple[int, list[str]]:
        np.save(tmp_path / "v.npy", vectors)
        capsys.readouterr()
        words = [str(tmp_path / "v.npy"), "--texts", str(tmp_path / "texts.txt"), "--model", model, "--device", "cpu"]
        status = main(["check-vectors", *words, *options])
        out, err = capsys.readouterr()
        return status, (out + err).splitlines()

    return run


@pytest.fixture(scope="module")
def engine(tiny):
    with BMRetrieverEncoder(tiny("mistral"), dtype="float32", device="cpu") as engine:
        yield engine


def test_right_vectors_end_with_0(check, engine) -> None:
    status, lines = check(engine.encode_passages(TEXTS))
    assert status == 0
    assert lines[0] == "These are the right vectors: 4 of 4 rows."
    assert lines[-1].split() == ["the", "right", "way", "4", "of", "4", "1.000000", "8"]


def test_wrong_vectors_end_with_1_and_say_what_to_do(check, engine) -> None:
    vectors = engine.encode_passages(TEXTS)
    status, lines = check(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    assert status == 1
    assert lines[0] == "Normalised to length 1: 4 of 4 rows."
    assert lines[1] == "- Turn normalising off (normalize_embeddings=False): scores are plain dot products."
    assert "Median length of the given vectors: 1." in lines
    status, lines = check(np.random.default_rng(0).normal(size=(4, 64)))
    assert status == 1
    assert lines[0] == "None of the known mistakes made these vectors (4 rows compared)."
    assert len(lines) >= 6


def test_role_instruction_and_length_change_what_is_right(check, engine) -> None:
    queries = engine.encode_queries(TEXTS, "scifact")
    assert check(queries, "--role", "queries", "--instruction", "scifact")[0] == 0
    status, lines = check(queries, "--role", "queries")
    assert (status, lines[0]) == (1, "Instruction of the task scifact: 4 of 4 rows.")
    assert check(queries)[0] == 1
    passages = engine.encode_passages(TEXTS)
    assert check(passages)[0] == 0
    assert check(passages, "--max-length", "16")[0] == 1


def test_a_mistake_of_the_caller_is_one_line(check, engine, tmp_path: Path) -> None:
    passages = engine.encode_passages(TEXTS)
    for vectors, options, message in (
        (passages[:2], (), "holds 2 vectors, and there are 4 texts"),
        (passages, ("--device", "gpu!"), "device 'gpu!' is none that PyTorch knows"),
        (passages, ("--instruction", "scifcat"), "Did you mean 'scifact'?"),
        (passages, ("--texts", str(tmp_path / "none.jsonl")), "none.jsonl is no file"),
    ):
        status, lines = check(vectors, *options)
        assert (status, len(lines)) == (2, 1)
        assert message in lines[0]


def test_json_lines_and_control_characters(check, engine, tmp_path: Path) -> None:
    rows = [{"_id": 1, "title": "Aspirin\x1b[2J", "text": text} for text in TEXTS]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    vectors = engine.encode_passages(TEXTS, [row["title"] for row in rows])
    status, lines = check(vectors, "--texts", str(tmp_path / "texts.jsonl"))
    assert status == 0
    assert not any("\x1b" in line for line in lines)
