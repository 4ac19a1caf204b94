"""
Runs training/train.py in processes of its own, but imports torch once for all of them.

    python fork_stages.py TRAIN < rounds.json    # [[{"arguments": [...], "environment": {...}, "kill_at": GLOB, "sgd": true}]]

The jobs of a round run side by side; one with "kill_at" gets SIGKILL as soon as such a file is there. Writes the exit codes.
"""

from __future__ import annotations

import gc
import glob
import json
import os
import runpy
import signal
import sys
import time

import datasets  # noqa: F401
import sentence_transformers  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import transformers.models.llama.modeling_llama  # noqa: F401

from bmretriever_integrations.training.stages import run, trainer  # noqa: F401


def plain_sgd() -> None:
    """AdamW divides by the gradient's size, which turns rounding into steps of full length where a gradient is nearly 0."""
    of_settings = trainer.training_arguments

    def arguments(*given, **more):
        made = of_settings(*given, **more)
        made.optim = "sgd"
        return made

    trainer.training_arguments = arguments


def start(job: dict) -> int:
    child = os.fork()
    if not child:
        os.dup2(2, 1)  # our own answer alone goes to stdout
        os.environ.update(job.get("environment", {}))
        if job.get("sgd"):
            plain_sgd()
        sys.argv = [sys.argv[1], *job["arguments"]]
        runpy.run_path(sys.argv[0], run_name="__main__")
        os._exit(0)
    return child


def finish(child: int, job: dict) -> int:
    if "kill_at" in job:
        while not glob.glob(job["kill_at"]):
            if os.waitpid(child, os.WNOHANG)[0]:
                return 0  # it ended before
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    codes = []
    gc.freeze()  # no child need look through what is imported, nor copy it for that
    for jobs in json.load(sys.stdin):
        children = [start(job) for job in jobs]
        codes.append([finish(child, job) for child, job in zip(children, jobs, strict=True)])
    json.dump(codes, sys.stdout)
