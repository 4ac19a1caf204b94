"""Every example runs as its docstring says, prints the right records in the right order, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bmretriever_integrations import BMRetrieverEncoder

FOLDER = Path(__file__).parents[2] / "examples"
CLUSTER = {"ray_index"}  # tests/parallel runs it on the cluster that it has
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.py")} - CLUSTER)
BAR = re.compile(r"^.*\d+%\|.*\|.*$", re.MULTILINE)


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def pmids(self) -> list[str]:
        return re.findall(r"PMID (\d+)", self.out)


@pytest.fixture(scope="module")
def finished(tiny, source, question, tmp_path_factory) -> dict[str, Finished]:
    folder = tmp_path_factory.mktemp("runs")
    model = ["--model", str(tiny("llama"))]
    search = [str(source), "--question", question, *model]
    jobs = {name: (name, model if name == "embed_texts" else search) for name in SCRIPTS}
    jobs["chroma again"] = ("chroma_search", search)
    jobs["chroma with another model"] = ("chroma_search", [*search, "--model", str(tiny("gpt_neox"))])
    listed = [
        {"name": job, "script": str(FOLDER / f"{script}.py"), "arguments": arguments}
        for job, (script, arguments) in jobs.items()
    ]
    environment = {name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}
    host = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run_forked.py")), str(folder)],
        input=json.dumps(listed),
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    codes = json.loads(host.stdout)
    texts = {
        job: [(folder / f"{job}.{end}").read_text("utf-8").replace("\r", "\n") for end in ("out", "err")]
        for job in jobs
    }
    return {job: Finished(codes[job], *texts[job]) for job in jobs}


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_runs_without_a_word_of_warning(name, finished, question):
    run = finished[name]
    assert run.code == 0, run.err
    assert BAR.sub("", run.err).strip() == ""
    assert name == "embed_texts" or question in run.out


@pytest.mark.parametrize("name", ["chroma_search", "faiss_search"])
def test_records_are_ranked_by_the_dot_product(name, finished, ranking):
    assert finished[name].pmids == ranking[:5]


@pytest.mark.parametrize("name", ["haystack_rag", "llamaindex_rag"])
def test_the_evidence_is_what_the_index_finds(name, finished, hits):
    assert finished[name].pmids == hits()


def test_an_agent_searches_again_with_a_filter(finished, hits):
    out = finished["haystack_agent"].out
    assert "A script stands in for a language model" in out
    assert finished["haystack_agent"].pmids == [*hits(), *hits({"publication_types": "Review"})]
    assert re.findall(r'"filters": (.*)}\)', out) == ["null", '{"publication_types": ["Review"]}']


@pytest.mark.parametrize("name", ["haystack_rag", "llamaindex_rag"])
def test_without_an_llm_the_evidence_is_shown_and_it_is_said_so(name, finished):
    assert "This is the evidence alone: name an LLM with --llm or --local-llm" in finished[name].out


def test_texts_are_compared_by_dot_product(finished, tiny, example):
    module = example("embed_texts")
    with BMRetrieverEncoder(tiny("llama")) as encoder:
        scores = encoder.encode_queries(module.QUESTIONS) @ encoder.encode_passages(module.PASSAGES, module.TITLES).T
    printed = finished["embed_texts"].out.split("\n\n")[1:]
    for question, row, block in zip(module.QUESTIONS, scores, printed, strict=True):
        lines = [
            f"{rank:>2}  {row[place]:8.2f}  {module.PASSAGES[place]}" for rank, place in enumerate((-row).argsort(), 1)
        ]
        assert block.strip().splitlines() == [question, *lines]


def test_chroma_embeds_only_what_is_new(finished):
    assert "chroma holds 12 records, 12 of them new" in finished["chroma_search"].out
    again = finished["chroma again"]
    assert "chroma holds 12 records, 0 of them new" in again.out
    assert "embedding passages" not in again.err
    assert again.pmids == finished["chroma_search"].pmids


def test_chroma_does_not_mix_models(finished):
    run = finished["chroma with another model"]
    assert run.code == 1
    assert "name another --folder" in run.err
    assert run.pmids == []


def test_the_table_names_every_example():
    table = (FOLDER / "README.md").read_text("utf-8")
    assert re.findall(r"^\| \[(\w+)\.py\]\(\1\.py\)", table, re.MULTILINE) == sorted({*SCRIPTS, *CLUSTER})


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_docstring_has_its_command(name):
    assert f"    python examples/{name}.py\n" in re.sub(r" +#.*", "", (FOLDER / f"{name}.py").read_text("utf-8"))
