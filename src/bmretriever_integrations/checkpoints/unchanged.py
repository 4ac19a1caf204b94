"""Load a checkpoint together with the fingerprint of exactly the files from which it was loaded."""

from __future__ import annotations

from collections.abc import Callable

from bmretriever_integrations.checkpoints.fingerprint import fingerprint, fingerprint_on_disk
from bmretriever_integrations.checkpoints.loading import Loaded

ATTEMPTS = 3
"""The number of times that a checkpoint is loaded whose files change meanwhile."""


def load_unchanged(load: Callable[[], Loaded], model: str, revision: str | None) -> tuple[Loaded, str]:
    """
    Load a checkpoint; load it again if its files changed meanwhile, because it would then be a mixture of two.

    :param load: loads the checkpoint.
    :param model: a short name, a hub id or a folder.
    :param revision: commit, branch or tag on the hub.
    :returns: the checkpoint, and the fingerprint of its files.
    :raises RuntimeError: if the files change during every attempt.
    """
    for _ in range(ATTEMPTS):
        before = fingerprint_on_disk(model, revision)
        loaded = load()
        after = fingerprint(loaded.folders)
        if before in (None, after):  # None: it was downloaded only now
            return loaded, after
    raise RuntimeError(f"the files of {model!r} changed each time while they were read; wait until they are written")
