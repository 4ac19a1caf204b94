"""What tests of the index share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function: folder -> name and bytes of every file in it."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}
