"""Read arguments of the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

from bmretriever_integrations.checkpoints import find_checkpoint


def positive(word: str) -> int:
    """
    Read a whole number above 0.

    :param word: the argument.
    :raises argparse.ArgumentTypeError: if it is not such a number.
    """
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {word!r}")
    return int(word)


def absolute(model: str) -> str:
    """
    Make the path of a model's folder absolute, so that a later search finds it from another working folder.

    :param model: the argument. A hub id or a short name is returned unchanged.
    """
    folder = Path(model).expanduser()
    return str(folder.resolve()) if find_checkpoint(model) is None and folder.is_dir() else model
