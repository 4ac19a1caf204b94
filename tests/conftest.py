"""Tiny real checkpoints for every test: random weights, two layers, made offline once a session."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the hub
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import pytest

from bmretriever_integrations.testing import Architecture, write_tiny_checkpoint


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Architecture], Path]:
    """A function: architecture -> folder of its tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(architecture: Architecture) -> Path:
        if architecture not in made:
            made[architecture] = write_tiny_checkpoint(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return folder
