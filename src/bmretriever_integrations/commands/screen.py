"""Keep libraries from printing what is not for the user."""

from __future__ import annotations

import os

from bmretriever_integrations.checkpoints.garbage import collection_paused


def silence_libraries() -> None:
    """Let transformers print errors only. Downloads still show a progress bar, because they can take minutes."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else forking after tokenizing prints a warning
    with collection_paused():
        from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
