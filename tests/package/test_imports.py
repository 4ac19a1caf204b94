"""Who imports whom: the package is light, the core needs no framework, each adapter only its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bmretriever_integrations

FRAMEWORKS = (
    "haystack",
    "llama_index",
    "sentence_transformers",
    "faiss",
    "chromadb",
    "qdrant_client",
    "datasets",
    "peft",
    "bm25s",
    "ray",
    "torchao",
)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light_and_reaches_no_framework():
    heavy = (*FRAMEWORKS, "torch", "transformers", "numpy")
    code = (
        "import sys, time; start = time.perf_counter(); import bmretriever_integrations; "
        f"print(time.perf_counter() - start, [name for name in {heavy} if name in sys.modules])"
    )
    seconds, found = run(code).split(" ", 1)
    assert float(seconds) < 0.3
    assert found == "[]"


@pytest.mark.parametrize(
    "module",
    [
        "encoder",
        "corpus",
        "index.search",
        "checkpoints",
        "encoder.sharing",
        "stores",
        "cli",
        "testing",
        "parallel",
        "ray_data",
    ],
)
def test_core_works_with_every_framework_blocked(module):
    blocked = f"import sys; [sys.modules.__setitem__(name, None) for name in {FRAMEWORKS}]; "
    run(blocked + f"import bmretriever_integrations.{module}")


def test_exported_names_exist_and_unknown_ones_say_what_there_is():
    for name in bmretriever_integrations.__all__:
        assert getattr(bmretriever_integrations, name) is not None
    assert dir(bmretriever_integrations) == sorted(bmretriever_integrations.__all__)
    with pytest.raises(AttributeError, match=r"it has .*BMRetrieverEncoder"):
        bmretriever_integrations.Encoder  # noqa: B018
