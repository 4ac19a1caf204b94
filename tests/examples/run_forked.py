"""
Runs scripts as `python SCRIPT ARGUMENTS` would, each in a process of its own, but imports torch once for all of them.

    python run_forked.py FOLDER [MODULE ...] < jobs.json       # [{"name": ..., "script": ..., "arguments": [...]}, ...]

The modules are imported once, too.

They run in FOLDER, one after another, and what they print goes to NAME.out and NAME.err there. Writes the exit codes as JSON.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path

import torch  # noqa: F401
import transformers.models.auto  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401


def run(job: dict) -> None:
    for channel, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{job['name']}.{suffix}", os.O_CREAT | os.O_TRUNC | os.O_WRONLY), channel)
    sys.argv = [job["script"], *job["arguments"]]
    sys.path[0] = str(Path(job["script"]).parent)  # as Python does: a script named faiss.py would import itself
    runpy.run_path(job["script"], run_name="__main__")


def fork(job: dict) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    run(job)
    sys.exit()  # leaves the child by Python's own way out, as an error does, so that notices at exit are seen, too


if __name__ == "__main__":
    jobs = json.load(sys.stdin)
    os.chdir(sys.argv[1])
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()  # no child need look through what is imported, nor copy it for that
    json.dump({job["name"]: fork(job) for job in jobs}, sys.stdout)
