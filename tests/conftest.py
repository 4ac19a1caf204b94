"""Tiny real checkpoints for every test: random weights, two layers, made offline once a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import pytest

from bmretriever_integrations.testing import Architecture, write_tiny_checkpoint


class WatchedForward:
    """Stands in for an engine's way to run its network: ``around(run, lengths)`` is called for each batch and calls ``run()``."""

    def __init__(self, forward: Any, around: Callable[[Callable[[], Any], list[int]], Any]) -> None:
        self.network, self.name, self.pads, self.reuses_prefix = (
            forward.network,
            forward.name,
            forward.pads,
            forward.reuses_prefix,
        )
        self._forward, self._around = forward, around

    def __call__(self, rows: list[list[int]], shared: int = 0) -> Any:
        return self._around(lambda: self._forward(rows, shared), [len(row) - shared for row in rows])


@pytest.fixture
def watch() -> Callable[..., None]:
    """A function: engine, ``around`` -> every batch of the engine goes through ``around``."""

    def replace(engine: Any, around: Callable[[Callable[[], Any], list[int]], Any]) -> None:
        engine._runner.forward = WatchedForward(engine._runner.forward, around)

    return replace


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Architecture], Path]:
    """A function: architecture -> folder of its tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(architecture: Architecture) -> Path:
        if architecture not in made:
            made[architecture] = write_tiny_checkpoint(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return folder
