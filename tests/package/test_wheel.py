"""The wheel, installed in a fresh environment, does what the README says."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import metadata

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
LANGCHAIN = """
from langchain_core.vectorstores import InMemoryVectorStore
from bmretriever_integrations.langchain import BMRetrieverEmbeddings
store = InMemoryVectorStore.from_texts(texts, BMRetrieverEmbeddings(model="mini", normalize=True))
print(store.similarity_search("statins cholesterol", k=1)[0].page_content)
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


def test_wheel_holds_the_package_and_nothing_else(wheel, pytestconfig):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        described = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"bmretriever_integrations", "haystack_integrations"}
    assert "bmretriever_integrations/py.typed" in names
    models = (pytestconfig.rootpath / "src" / "bmretriever_integrations" / "models").rglob("*.*")
    assert {path.relative_to(pytestconfig.rootpath / "src").as_posix() for path in models} <= {*names}
    assert "bmretriever_integrations/models/mini/model.int8.safetensors" in names
    for file in ("index.html", "page.css", "page.js", "icon.svg"):
        assert f"bmretriever_integrations/serving/page/{file}" in names
    for kind in ("embedders", "retrievers"):
        assert f"haystack_integrations/components/{kind}/bmretriever/py.typed" in names
    for shared in ("", "/components", "/components/embedders", "/components/retrievers"):
        assert f"haystack_integrations{shared}/__init__.py" not in names  # one there would hide every other integration
    assert wheel.stat().st_size < 35_000_000  # 100 MB is the most that PyPI takes
    for extra in (
        "haystack",
        "llama-index",
        "langchain",
        "chroma",
        "faiss",
        "faiss-gpu",
        "train",
        "demo",
        "all",
        "dev",
    ):
        assert f"Provides-Extra: {extra}\n" in described
    assert "Requires-Python: >=3.11" in described
    assert f"\nVersion: {VERSION}\n" in described


@pytest.fixture
def fresh(tmp_path):
    """A function: words -> a call of pip for a new environment, which shares nothing but this one's PyTorch."""
    run(sys.executable, "-m", "venv", "--without-pip", "fresh", cwd=tmp_path)
    torch = metadata.distribution("torch")
    places = {path.parts[0] for path in torch.files or () if not path.parts[0].startswith((".", "__pycache__"))}
    [site] = (tmp_path / "fresh").rglob("site-packages")
    for place in places:  # unpacking it would take longer than all the rest
        (site / place).symlink_to(torch.locate_file(place))
    return lambda *words: run(sys.executable, "-m", "pip", "--python", "fresh", *words, cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_wheel_in_a_fresh_environment(wheel, pytestconfig, tmp_path, fresh):
    python = str(tmp_path / "fresh" / "bin" / "python")
    install = ["install", "-qq", "--no-compile", "-c", str(pytestconfig.rootpath / "constraints.txt")]
    fresh(*install, str(wheel))
    light = "import sys, bmretriever_integrations; print('torch' in sys.modules, 'numpy' in sys.modules)"
    assert run(python, "-c", light, cwd=tmp_path) == "False False"
    assert "mini" in run(str(tmp_path / "fresh" / "bin" / "bmretriever"), "models", cwd=tmp_path)
    fresh(*install, f"{wheel}[haystack,llama-index,langchain]")
    found = run(python, "-c", HAYSTACK + LLAMA_INDEX + LANGCHAIN, cwd=tmp_path).splitlines()
    assert found == ["Metformin lowers blood glucose.", *["Statins lower cholesterol."] * 2]
    assert fresh("check") == "No broken requirements found."
