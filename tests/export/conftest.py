"""The tiny checkpoints exported once, texts that stock tools may be given, and the reference's vectors of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.testing import Architecture


@pytest.fixture(scope="session")
def exported(tiny: Callable[[Architecture], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function: architecture -> the folder exported from its tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(architecture: Architecture) -> Path:
        if architecture not in made:
            made[architecture] = tmp_path_factory.mktemp("exported") / architecture
            export_checkpoint(tiny(architecture), made[architecture])
        return made[architecture]

    return folder


@pytest.fixture(scope="session")
def error() -> Callable[..., float]:
    """A function: vectors, right vectors -> the largest relative error of a row."""

    def largest(found: NDArray[np.float32], right: NDArray[np.float32]) -> float:
        found = np.asarray(found, np.float32)
        return float((np.linalg.norm(found - right, axis=1) / np.linalg.norm(right, axis=1)).max())

    return largest
