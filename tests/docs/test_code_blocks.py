"""Every code block of README and docs is run: Python as it stands, `bmretriever` lines through the command."""

from __future__ import annotations

import gc
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from bmretriever_integrations.checkpoints import RELEASED
from bmretriever_integrations.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_PAGES = [
    page for page in PAGES if page.name != "train-your-own.md"
]  # whose commands tests/training/ runs, one after another
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
RUN_ELSEWHERE = (
    *("make ", "pip install ", "python training/"),  # by CI, by the wheel's test, by the recipe's tests
    *("bmretriever serve ", "bmretriever mcp "),  # by tests/commands and tests/serving, which also end them
)
PAPERS = [
    ("33419956", "Metformin and cancer", "Metformin use was associated with a lower incidence of colorectal cancer."),
    ("33419957", "Statins", "Statins lower LDL cholesterol and cardiovascular mortality."),
    ("33419958", "COVID-19 vaccines", "Two doses of an mRNA vaccine prevented severe COVID-19."),
    ("33419959", "Sickle cell disease", "A point mutation in the beta-globin gene causes sickle cell disease."),
]


@pytest.fixture
def desk(tiny, tmp_path, monkeypatch):
    """A folder with the files that the pages name, and a hub cache with a stand-in for each released checkpoint."""
    papers = [{"_id": key, "title": title, "text": text} for key, title, text in PAPERS]
    (tmp_path / "papers.jsonl").write_text("\n".join(map(json.dumps, papers)))
    task = tmp_path / "my-task"
    (task / "qrels").mkdir(parents=True)
    shutil.copy(tmp_path / "papers.jsonl", task / "corpus.jsonl")
    (task / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "metformin and colorectal cancer"}))
    (task / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\t33419956\t1\n")
    for checkpoint in RELEASED:
        repository = tmp_path / "hub" / f"models--{checkpoint.hub_id.replace('/', '--')}"
        shutil.copytree(tiny(checkpoint.architecture), repository / "snapshots" / checkpoint.revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def served(desk, monkeypatch):
    """The address of the command `bmretriever serve papers-index`, which the page starts."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # else Hugging Face's client refuses any address
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert main(["index", "papers.jsonl", "--to", "papers-index", "--model", "mini"]) == 0
    command = [sys.executable, "-m", "bmretriever_integrations", "serve", "papers-index", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", said)):
            line = server.stdout.readline()
            assert line, f"the server did not start: {said}"
            said += line
        yield found[0]
        server.terminate()
        assert server.wait(60) == 0


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.name)
def test_blocks_run(page, desk, tiny, monkeypatch, request):
    if page.name == "small.md":  # a stand-in for it, too, because its base is another package
        monkeypatch.setattr("bmretriever_integrations.checkpoints.int8_storage.MODELS", desk / "models")
        shutil.copytree(tiny("llama"), desk / "models" / "small")
    names: dict[str, object] = {"__name__": "__main__"}
    text = page.read_text(encoding="utf-8")
    if page.name == "serving.md":
        text = text.replace("http://127.0.0.1:8080", request.getfixturevalue("served"))
        assert "127.0.0.1:8080" not in text.replace("--publish 127.0.0.1:8080:8080", "")
    for language, code in BLOCK.findall(text):
        if language == "python":
            exec(compile(code, str(page), "exec"), names)
        elif language == "bash":
            for line in code.splitlines():
                run_line(line, page)
        else:
            assert language in ("text", "yaml", "json"), f"{page.name}: who runs a block of {language!r}?"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # examples leave the connections of their clients to Python
        names.clear()
        gc.collect()


def run_line(line, page):
    words = shlex.split(line, comments=True)
    if not words or line.startswith(RUN_ELSEWHERE):
        return
    assert words[0] == "bmretriever", f"{page.name}: who runs {line!r}?"
    assert main(words[1:]) == 0, line


def test_the_pages_hold_blocks():
    assert len(PAGES) >= 10
    assert sum(len(BLOCK.findall(page.read_text(encoding="utf-8"))) for page in PAGES) >= 20


def test_links_lead_somewhere():
    for page in [*PAGES, *(ROOT / "docs" / "api").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_table_of_instructions_is_the_code_s():
    from bmretriever_integrations.prompts import TASK_INSTRUCTIONS

    text = (ROOT / "docs" / "instructions.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*?) \|", text, re.MULTILINE))
    assert rows == dict(TASK_INSTRUCTIONS)
