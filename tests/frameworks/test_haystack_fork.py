"""A forked process: it has none of its parent's threads, and embeds all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, json, os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from bmretriever_integrations.haystack import BMRetrieverTextEmbedder

given = ThreadPoolExecutor(1)
arguments = {"model": sys.argv[1], "progress_bar": False}
embedders = [BMRetrieverTextEmbedder(**arguments), BMRetrieverTextEmbedder(async_executor=given, **arguments)]
answers = [asyncio.run(embedder.run_async("fever")) for embedder in embedders]

# the fork happens while another thread waits for the engine, so that the parent's locks are held
loading, forked = threading.Event(), threading.Event()
class Slow(BMRetrieverTextEmbedder):
    def _open_backend(self):
        loading.set()
        forked.wait(60)
        return super()._open_backend()
embedders.append(Slow(**arguments))
thread = threading.Thread(target=embedders[2].warm_up)
thread.start()
loading.wait(60)

child = os.fork()
if child == 0:
    signal.alarm(60)  # a process that hangs is killed
    forked.set()
    same = [asyncio.run(embedder.run_async("fever")) == answers[0] for embedder in embedders]
    for embedder in embedders:
        embedder.close()
    print(json.dumps(same), flush=True)
    os._exit(0)
_, status = os.waitpid(child, 0)
forked.set()
thread.join()
assert os.waitstatus_to_exitcode(status) == 0, status
assert asyncio.run(embedders[1].run_async("fever")) == answers[1]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_run_async_works_in_a_forked_process(tiny):
    # PyTorch itself hangs in a forked process if the parent computed with several threads
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    environment["PYTHONWARNINGS"] = "ignore"  # Python 3.12 warns of a fork beside threads
    command = [sys.executable, "-c", SCRIPT, str(tiny("llama"))]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == [True, True, True]
