"""Fingerprint the files of a checkpoint that decide its vectors, so that vectors of other weights are never taken for its own."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from bmretriever_integrations.checkpoints.decisive_files import decisive_files
from bmretriever_integrations.checkpoints.locate import folders_on_disk

SAMPLE_BYTES = 65_536
"""Bytes of one sample of a large file."""
SAMPLES = 64
"""Number of samples of a large file."""


def fingerprint(folders: tuple[Path, ...]) -> str:
    """
    Fingerprint a checkpoint's files by their content, wherever their folder lies.

    Small files are read whole. Of large files, the size and 64 samples are read, so that 28 GB take less than a minute. Training
    changes every weight, so two trainings of one model never have the same samples. Files that have not changed since the last
    call in this process are not read again.

    :param folders: the checkpoint's folders.
    :returns: SHA-256 in hexadecimal.
    :raises ValueError: if a file that names other files is damaged.
    """
    files = tuple((path.relative_to(folder).as_posix(), path) for folder in folders for path in decisive_files(folder))
    return _digest(files, tuple(_state(path) for _name, path in files))


def fingerprint_on_disk(model: str, revision: str | None = None) -> str | None:
    """
    Fingerprint the weights that a model's name stands for at this moment, without loading them and without network.

    It equals the attribute ``fingerprint`` of an engine that is loaded now.

    :param model: a short name, a hub id or a folder.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :returns: SHA-256 in hexadecimal; None if the model is not on this machine.
    :raises ValueError: as :func:`fingerprint`.
    """
    folders = folders_on_disk(model, revision)
    return None if folders is None else fingerprint(folders)


def _state(path: Path) -> tuple[int, ...]:
    """Return what tells whether a file has changed. Copying tools set the time of modification, but not that of the change."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


@lru_cache(maxsize=64)
def _digest(files: tuple[tuple[str, Path], ...], states: tuple[tuple[int, ...], ...]) -> str:
    digest = hashlib.sha256()
    for (name, path), (size, *_changed) in zip(files, states, strict=True):
        digest.update(f"{name}:{size}\n".encode())
        with path.open("rb") as file:
            if size <= SAMPLES * SAMPLE_BYTES:
                digest.update(file.read())
                continue
            for part in range(SAMPLES):
                file.seek((size - SAMPLE_BYTES) * part // (SAMPLES - 1))
                digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
