"""A finished run -> what ``training.json`` says of it."""

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.instructions import OF_QUERIES
from bmretriever_integrations.training.stages.data import Rows
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.versions import versions_of

PACKAGES = ("torch", "transformers", "sentence-transformers", "accelerate", "datasets", "peft")
"""Packages that decide a result; peft need not be installed where every weight is trained."""
SPEEDS = ("runtime", "_per_second")
"""Ends of the names of values that transformers adds to the scores of an evaluation."""


def describe_run(trainer: Any, rows: Rows, settings: StageSettings, processes: int) -> dict[str, Any]:
    """
    Describe a finished run; every process calls this.

    :param trainer: the trainer, which has trained.
    :param rows: what it has trained on.
    :param settings: settings of the stage.
    :param processes: number of processes.
    :returns: plain values, as ``training.json`` holds them.
    """
    history = trainer.state.log_history
    tokens = int(trainer.accelerator.reduce(_tensor(trainer, trainer.tokens), "sum"))
    held_out = Counter(pair.task for pair in rows.held_out)
    return {
        "losses": [(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
        "evaluations": _evaluations(history),
        "steps": trainer.state.global_step,
        "tasks": {
            task: {"pairs": trainer.sampler.pairs.get(task, 0), "held_out": held_out[task]}
            for task in sorted({*trainer.sampler.pairs, *held_out})
        },
        "left_out": rows.left_out,
        "instructions": _named_instructions(rows.instructions),
        "seconds": round(trainer.seconds, 1),
        "tokens": tokens,
        "tokens_per_second": round(tokens / trainer.seconds),
        "processes": processes,
        "device": _device_name(trainer.args.device),
        "settings": settings.model_dump(),
        "versions": _versions(),
        "commit": _commit(),
    }


def summary(record: dict[str, Any]) -> str:
    """
    Say in one line what a run has done.

    :param record: from :func:`describe_run`.
    """
    pairs = sum(task["pairs"] for task in record["tasks"].values())
    said = [f"{record['steps']:,} steps on {pairs:,} pairs"]
    losses = [loss for _, loss in record["losses"]]
    if losses:
        said.append(f"loss {losses[0]:.3f} to {losses[-1]:.3f}")
    scores = [score for _, score in record["evaluations"]]
    for name in scores[0] if scores else ():
        said.append(f"held-out {name} {scores[0][name]:.3f} to {scores[-1][name]:.3f}")
    return ", ".join(said)


def _evaluations(history: list[dict[str, Any]]) -> list[tuple[int, dict[str, float]]]:
    """Give the scores of each step once: a resumed run evaluates again at the step where it starts."""
    scores = {}
    for entry in history:
        own = {key.removeprefix("eval_"): value for key, value in entry.items() if key.startswith("eval_")}
        own = {key: value for key, value in own.items() if not key.endswith(SPEEDS)}
        if own:
            scores[entry["step"]] = own
    return sorted(scores.items())


def _named_instructions(of_tasks: dict[str, str]) -> dict[str, str]:
    """Give each task's instruction by its name; if all tasks have the same one, it is that of queries as well."""
    alike = set(of_tasks.values())
    return {**of_tasks, OF_QUERIES: alike.pop()} if len(alike) == 1 else of_tasks


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError

    found: dict[str, str] = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found |= versions_of([package])
    return found


def _tensor(trainer: Any, number: int) -> Any:
    import torch

    return torch.tensor(number, device=trainer.args.device)


def _device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def _commit() -> str | None:
    """Return the git commit of the source tree that this code is run from, if it is one and git is installed."""
    try:
        run = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return run.stdout.strip() or None
