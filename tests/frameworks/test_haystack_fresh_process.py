"""What only a new process can show: YAML without an allow-list, no foreign imports, an event loop that never stalls."""

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
import asyncio, time
from haystack import Document, Pipeline
folder = sys.argv[1]
pipeline = Pipeline.loads(open(folder + "/pipeline.yaml").read())
twin = Pipeline.from_dict(json.load(open(folder + "/pipeline.json")))
import bmretriever_integrations.haystack
gaps = []

async def tick():
    last, last_used = time.perf_counter(), time.process_time()
    while True:
        await asyncio.sleep(0.002)
        now, used = time.perf_counter(), time.process_time()
        # what this process did meanwhile: time that a busy machine gave to others is no stall of ours
        gaps.append(min(now - last, used - last_used))
        last, last_used = now, used

async def main():
    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    gaps.clear()
    await pipeline.warm_up_async()
    loading = max(gaps)
    gaps.clear()
    documents = [Document(content=str(n) + " fever and cough " * (n % 40)) for n in range(120)]
    # past the pipeline: it copies its inputs on the event loop, which is not what is measured here
    await pipeline.get_component("documents").run_async(documents)
    running = max(gaps)
    ticking.cancel()
    answer = await pipeline.run_async({{"query": {{"text": "fever"}}, "documents": {{"documents": []}}}})
    return loading, running, answer["query"]["embedding"]

loading, running, embedding = asyncio.run(main())
pipeline.close()
again = twin.run({{"query": {{"text": "fever"}}, "documents": {{"documents": []}}}})["query"]["embedding"]
print(json.dumps({{"loading": loading, "running": running, "embedding": embedding, "again": again}}))
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


def test_loading_and_running_stall_the_event_loop_less_than_50_ms(fresh):
    assert fresh["loading"] < 0.05
    assert fresh["running"] < 0.05


def test_without_haystack_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "haystack", None)
    monkeypatch.delitem(sys.modules, "bmretriever_integrations.haystack")
    with pytest.raises(ImportError, match=r'pip install "bmretriever-integrations\[haystack\]"'):
        importlib.import_module("bmretriever_integrations.haystack")
