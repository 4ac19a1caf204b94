"""The built API reference shows what a reader looks for: the arguments of constructors."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest

CLASSES = [
    ("encoder", "bmretriever_integrations.encoder", "BMRetrieverEncoder"),
    ("haystack", "haystack_integrations.components.embedders.bmretriever", "BMRetrieverTextEmbedder"),
    ("haystack", "haystack_integrations.components.embedders.bmretriever", "BMRetrieverDocumentEmbedder"),
    ("llama-index", "bmretriever_integrations.llama_index", "BMRetrieverEmbedding"),
    ("langchain", "bmretriever_integrations.langchain", "BMRetrieverEmbeddings"),
    ("langchain", "bmretriever_integrations.langchain", "BMRetrieverIndexRetriever"),
    ("many-devices", "bmretriever_integrations.parallel", "EncoderPool"),
    ("many-devices", "bmretriever_integrations.ray_data", "BMRetrieverBatchEmbedder"),
]


@pytest.fixture(scope="module")
def site(pytestconfig, tmp_path_factory):
    """The folder of the built site; takes a few seconds."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    silent = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=pytestconfig.rootpath, env=silent, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def arguments(module, name):
    found = getattr(importlib.import_module(module), name)
    own = list(getattr(found, "model_fields", {})) or list(inspect.signature(found.__init__).parameters)[1:]
    inherited = {"callback_manager", "num_workers", "embeddings_cache", "rate_limiter"}  # LlamaIndex's own
    inherited |= {"name", "tags", "metadata"}  # LangChain's own
    return [argument for argument in own if argument not in inherited]


@pytest.mark.parametrize(("page", "module", "name"), CLASSES, ids=lambda value: str(value).rsplit(".", 1)[-1])
def test_constructors_are_there_with_every_argument(site, page, module, name):
    html = (site / "api" / page / "index.html").read_text(encoding="utf-8")
    anchor = re.search(rf'id="{re.escape(module)}\.{name}"', html)
    assert anchor is not None
    rest = html[anchor.end() :]
    end = re.search(rf'id="{re.escape(module)}\.{name}\.\w+"[^>]*class="doc doc-heading"', rest)  # its first method
    table = rest[: end.start()] if end else rest
    listed = re.findall(r"<code>(\w+)</code>", table)
    for argument in arguments(module, name):
        assert argument in listed, f"the reference of {name} does not show {argument}"


def test_no_role_of_sphinx_is_left_over(site):
    for page in (site / "api").rglob("index.html"):
        assert not re.search(r":(?:class|data|func|meth|mod|attr):", page.read_text(encoding="utf-8")), page


def test_every_page_is_in_the_menu(pytestconfig):
    docs = pytestconfig.rootpath / "docs"
    menu = (pytestconfig.rootpath / "mkdocs.yml").read_text(encoding="utf-8")
    for page in docs.rglob("*.md"):
        assert f": {page.relative_to(docs).as_posix()}\n" in menu, f"{page.name} is in no menu"
