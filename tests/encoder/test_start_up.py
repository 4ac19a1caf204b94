"""What is left out between the start of a process and its first vector."""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from bmretriever_integrations.checkpoints.loading import load

COUNT = """
import gc, json, sys
full = []
gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)
"""
FIRST_VECTOR = """
from bmretriever_integrations import BMRetrieverEncoder
with BMRetrieverEncoder("mini", device="cpu") as encoder:
    vectors = encoder.encode_queries(["fever"], "nfcorpus")
names = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps([len(full), gc.isenabled(), vectors.shape, names]))
"""
NOT_NEEDED = {
    "datasets",
    "lancedb",
    "matplotlib",
    "pandas",
    "peft",
    "pyarrow",
    "sentence_transformers",
    "sklearn",
    "tensorboard",
    "torchao",
    "torchvision",
}


def answer_of(code):
    done = subprocess.run([sys.executable, "-c", COUNT + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_object_is_searched_for_garbage_and_nothing_superfluous_imported_before_the_first_vector():
    searches, enabled, shape, names = answer_of(FIRST_VECTOR)
    assert (searches, enabled, shape) == (0, True, [1, 576])
    assert "transformers" in names
    assert not NOT_NEEDED & set(names)


def test_opening_an_index_searches_no_object_for_garbage(tmp_path):
    code = "import pyarrow; from bmretriever_integrations.index.places.database import connect; "
    code += f"from bmretriever_integrations.index.places.where import place_of; connect(place_of({str(tmp_path)!r})); "
    assert answer_of(code + "print(json.dumps([len(full), 'lancedb' in sys.modules]))") == [0, True]


def test_loading_mini_draws_no_random_weights():
    before = torch.get_rng_state()
    network = load("mini", torch.float32).network
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])


def test_a_command_ends_without_a_last_search_for_garbage():
    code = "import atexit; atexit.register(lambda: print(json.dumps(gc.get_freeze_count() > 0))); "
    code += "from bmretriever_integrations.cli import main; sys.stdout.write(' '); main(['models'])"
    done = subprocess.run([sys.executable, "-c", COUNT + code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "true"
