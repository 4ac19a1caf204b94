"""Keeps other libraries' bars and notices out of a command's output."""

from __future__ import annotations

import os


def silence_libraries() -> None:
    """Leave errors only; a download keeps its bar, as it can take minutes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else forking after tokenizing prints a warning
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
