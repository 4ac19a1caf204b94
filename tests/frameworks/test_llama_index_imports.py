"""The LlamaIndex door opens without the other frameworks, and says what is missing when LlamaIndex itself is."""

from __future__ import annotations

import subprocess
import sys

BLOCK = "import sys\nfor name in {names}: sys.modules[name] = None\n"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_no_other_framework_is_imported():
    names = ["haystack", "haystack_integrations", "faiss", "chromadb", "sentence_transformers", "qdrant_client", "peft"]
    done = run(
        BLOCK.format(names=names)
        + "from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes\n"
        + "assert BMRetrieverEmbedding().class_name() == 'BMRetrieverEmbedding'\n"
        + "import bmretriever_integrations.stores\n"
    )
    assert done.returncode == 0, done.stderr


def test_a_missing_llama_index_is_named_with_the_cure():
    done = run(BLOCK.format(names=["llama_index.core"]) + "import bmretriever_integrations.llama_index\n")
    assert done.returncode != 0
    assert "ImportError: LlamaIndex could not be imported" in done.stderr
    assert 'pip install "bmretriever-integrations[llama-index]"' in done.stderr


def test_stores_import_no_framework_at_all():
    names = ["haystack", "haystack_integrations", "llama_index", "faiss", "chromadb", "qdrant_client", "torch"]
    done = run(BLOCK.format(names=names) + "import bmretriever_integrations.stores\n")
    assert done.returncode == 0, done.stderr
