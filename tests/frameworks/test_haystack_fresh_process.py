"""What only a new process can show: YAML without an allow-list, no foreign imports, an event loop that never waits."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest
from haystack import Document, Pipeline
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

FOREIGN = ["llama_index", "faiss", "chromadb", "sentence_transformers"]
SCRIPT = """
import sys, json
for name in {foreign}:
    sys.modules[name] = None  # an import of it fails
import asyncio, threading
from haystack import Document, Pipeline
folder = sys.argv[1]
pipeline = Pipeline.loads(open(folder + "/pipeline.yaml").read())
twin = Pipeline.from_dict(json.load(open(folder + "/pipeline.json")))
import bmretriever_integrations.haystack
on_loop = []  # what was imported by the event loop's thread
elsewhere = set()

class Finder:  # finds nothing, and notes who asks
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_loop.append(name)
        else:
            elsewhere.add(name.partition(".")[0])

def answered(function, loop):  # calls the function once the event loop has run another task; fails if it does not
    def wait(*arguments, **named):
        if not loop.is_closed():
            free = threading.Event()
            loop.call_soon_threadsafe(free.set)
            assert threading.current_thread() is not threading.main_thread()
            assert free.wait(10), "the event loop waits"
        return function(*arguments, **named)
    return wait

async def main():
    loop = asyncio.get_running_loop()
    sys.meta_path.insert(0, Finder())
    await pipeline.warm_up_async()
    imported = list(on_loop)
    await pipeline.close_async()
    from bmretriever_integrations.encoder import BMRetrieverEncoder

    for name in ("from_settings", "encode_queries", "encode_passages"):
        setattr(BMRetrieverEncoder, name, answered(getattr(BMRetrieverEncoder, name), loop))
    documents = [Document(content=str(n) + " fever") for n in range(12)]
    answer = await pipeline.run_async({{"query": {{"text": "fever"}}, "documents": {{"documents": documents}}}})
    return imported, answer["query"]["embedding"]

on_loop, embedding = asyncio.run(main())
pipeline.close()
again = twin.run({{"query": {{"text": "fever"}}, "documents": {{"documents": []}}}})["query"]["embedding"]
print(json.dumps({{"on_loop": on_loop, "elsewhere": sorted(elsewhere), "embedding": embedding, "again": again}}))
"""


def a_pipeline(folder):
    pipeline = Pipeline()
    arguments = {"model": str(folder), "progress_bar": False}
    pipeline.add_component("query", BMRetrieverTextEmbedder(instruction="scifact", prefix="line\nbreak ", **arguments))
    pipeline.add_component("documents", BMRetrieverDocumentEmbedder(**arguments))
    pipeline.add_component("writer", DocumentWriter(InMemoryDocumentStore()))
    pipeline.connect("documents", "writer")
    return pipeline


@pytest.fixture(scope="module")
def fresh(tiny, tmp_path_factory):
    """What the script above tells of a new process, and what the pipeline answers in this one."""
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline = a_pipeline(tiny("gemma"))
    (folder / "pipeline.yaml").write_text(pipeline.dumps())
    (folder / "pipeline.json").write_text(json.dumps(pipeline.to_dict()))
    documents = [Document(content="fever")]
    here = pipeline.run({"query": {"text": "fever"}, "documents": {"documents": documents}})["query"]["embedding"]
    pipeline.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("HAYSTACK_DESERIALIZATION_ALLOWLIST", None)

    command = [sys.executable, "-c", SCRIPT.format(foreign=FOREIGN), str(folder)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return {**json.loads(finished.stdout.splitlines()[-1]), "here": here}


def test_yaml_and_json_load_without_an_allow_list_and_without_foreign_packages(fresh):
    assert fresh["embedding"] == fresh["again"] == fresh["here"]


def test_the_event_loop_neither_loads_nor_imports(fresh):
    """The script fails where the engine is opened or called on the loop's thread, or the loop waits meanwhile."""
    assert "transformers" in fresh["elsewhere"]
    assert not [name for name in fresh["on_loop"] if name.partition(".")[0] in ("torch", "transformers")]


def test_without_haystack_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "haystack", None)
    monkeypatch.delitem(sys.modules, "bmretriever_integrations.haystack")
    with pytest.raises(ImportError, match=r'pip install "bmretriever-integrations\[haystack\]"'):
        importlib.import_module("bmretriever_integrations.haystack")
