"""How words of the command line are read."""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.checkpoints import find_checkpoint


def positive(word: str) -> int:
    """
    Read a whole number above 0.

    :param word: what the user wrote.
    :raises argparse.ArgumentTypeError: if it is none.
    """
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {word!r}")
    return int(word)


def absolute(model: str) -> str:
    """
    Write a model's folder so that a search from another folder finds it.

    :param model: what the user wrote.
    """
    folder = Path(model).expanduser()
    return str(folder.resolve()) if find_checkpoint(model) is None and folder.is_dir() else model
