"""Results that nobody measured."""

from __future__ import annotations

from side_by_side.results import Outcome

Seconds = dict[str, dict[str, list[list[float] | None]]]
"""Contender -> depth -> rounds -> items."""


def outcome(seconds: Seconds, *, flops: float = 6e9, dtypes: dict[str, str] | None = None, **raw: object) -> Outcome:
    """
    An outcome of ten texts by a model of 24 layers, whose work is computed as it is.

    :param seconds: of every contender.
    :param flops: of the whole model, for all texts.
    :param dtypes: of contenders that are not in float32.
    :param raw: what else the JSON says.
    """
    right = {"relative_error": 1e-7, "cosine": 1.0, "right": True}
    contenders = {
        name: {
            "label": name,
            "dtype": (dtypes or {}).get(name, "float32"),
            "depths": {
                depth: {
                    "seconds": of,
                    "equality": right,
                    "computed_tokens": 3000,
                    "computed_flops": flops * int(depth) / 24,
                    "peak_device_bytes": None,
                }
                for depth, of in depths.items()
            },
        }
        for name, depths in seconds.items()
    }
    known = {"model": "410M", "case": "passages", "whole_depth": 24, "matmul_peak": {}, "weights_of_layer": 1000}
    known |= {"texts": 10, "real_tokens": 3000, "longest": 400, "tokenizer": "made up", "not_installed": []}
    return Outcome({**known, "contenders": contenders, **raw})


def whole(*seconds: float) -> dict[str, list[list[float] | None]]:
    """
    The rounds of a contender that ran the whole model.

    :param seconds: one number a round.
    """
    return {"24": [[each] for each in seconds]}


def content(cpu: str | None = "Some CPU", flags: tuple[str, ...] = (), day: int = 1) -> dict:
    """
    What a JSON file says beside its outcomes.

    :param cpu: its name; None makes it a GPU.
    :param flags: of the CPU.
    :param day: of November 2026.
    """
    machine = {"cpu": cpu or "Host", "cpu_flags": list(flags), "threads_used": 2}
    return {
        "schema": 1,
        "machine_info": machine if cpu else {**machine, "gpu": "Some GPU", "gpu_memory_gib": 80.0},
        "commit_info": {"id": "c0ffee"},
        "datetime": f"2026-11-{day:02d}T10:00:00",
        "versions": {"torch": "2.13"},
        "texts": "made up",
        "options": {"tiny": False},
    }
