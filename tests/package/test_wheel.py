"""The wheel, installed in a fresh environment, does what the README says."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest

from bmretriever_integrations.versions import VERSION

HAYSTACK = """
from haystack import Document, Pipeline
from haystack.components.retrievers import InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
store = InMemoryDocumentStore(embedding_similarity_function="dot_product")
texts = ["Metformin lowers blood glucose.", "Statins lower cholesterol."]
embedder = BMRetrieverDocumentEmbedder(model="mini", progress_bar=False)
store.write_documents(embedder.run([Document(content=text) for text in texts])["documents"])
pipeline = Pipeline()
pipeline.add_component("embedder", BMRetrieverTextEmbedder(model="mini", progress_bar=False))
pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=1))
pipeline.connect("embedder.embedding", "retriever.query_embedding")
print(pipeline.run({"embedder": {"text": "metformin glucose"}})["retriever"]["documents"][0].content)
"""
LLAMA_INDEX = """
from llama_index.core import Document, Settings, VectorStoreIndex
from bmretriever_integrations.llama_index import BMRetrieverEmbedding
Settings.embed_model = BMRetrieverEmbedding(model_name="mini", normalize=True)
texts = ["Metformin lowers blood glucose.", "Statins lower cholesterol."]
index = VectorStoreIndex.from_documents([Document(text=text) for text in texts])
print(index.as_retriever(similarity_top_k=1).retrieve("statins cholesterol")[0].text)
"""


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(pytestconfig, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    run(*command, cwd=pytestconfig.rootpath)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    return next(folder.glob("*.whl"))


def test_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"bmretriever_integrations", "haystack_integrations"}
    assert "bmretriever_integrations/py.typed" in names
    assert "bmretriever_integrations/models/mini/model.int8.safetensors" in names
    leaf = "haystack_integrations/components/embedders/bmretriever"
    assert f"{leaf}/py.typed" in names
    for shared in (
        "haystack_integrations",
        "haystack_integrations/components",
        "haystack_integrations/components/embedders",
    ):
        assert f"{shared}/__init__.py" not in names  # one there would hide every other integration
    assert wheel.stat().st_size < 25_000_000
    for extra in ("haystack", "llama-index", "chroma", "faiss", "faiss-gpu", "train", "demo", "all", "dev"):
        assert f"Provides-Extra: {extra}\n" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert f"\nVersion: {VERSION}\n" in metadata


@pytest.mark.slow
@pytest.mark.network
def test_wheel_in_a_fresh_environment(wheel, pytestconfig, tmp_path):
    run(sys.executable, "-m", "venv", "fresh", cwd=tmp_path)
    python = str(tmp_path / "fresh" / "bin" / "python")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-qq",
        "--no-compile",
        "-c",
        str(pytestconfig.rootpath / "constraints.txt"),
    ]
    run(*install, "torch==2.13.0", cwd=tmp_path)
    run(*install, str(wheel), cwd=tmp_path)
    light = "import sys, bmretriever_integrations; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert run(python, "-c", light, cwd=tmp_path) == "False False"
    assert "mini" in run(str(tmp_path / "fresh" / "bin" / "bmretriever"), "models", cwd=tmp_path)
    run(*install, f"{wheel}[haystack,llama-index]", cwd=tmp_path)
    assert run(python, "-c", HAYSTACK, cwd=tmp_path) == "Metformin lowers blood glucose."
    assert run(python, "-c", LLAMA_INDEX, cwd=tmp_path) == "Statins lower cholesterol."
    assert run(python, "-m", "pip", "check", cwd=tmp_path) == "No broken requirements found."
