"""Fingerprint a checkpoint's files, so that an index can refuse vectors of other weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

SAMPLE_BYTES = 65_536
"""Bytes of one sample of a large file."""
SAMPLES = 64
"""Number of samples of a large file."""


def fingerprint(folders: tuple[Path, ...]) -> str:
    """
    Fingerprint a checkpoint's files by their content, whatever their folder.

    Small files are read whole. Of large files, the size and 64 samples are read, so that 28 GB take less than a minute. Training
    changes every weight, so two trainings of one model never have the same samples.

    :param folders: the checkpoint's folders.
    :returns: SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json"), *folder.glob("tokenizer.*")]):
            size = path.stat().st_size
            digest.update(f"{path.name}:{size}\n".encode())
            with path.open("rb") as file:
                if size <= SAMPLES * SAMPLE_BYTES:
                    digest.update(file.read())
                else:
                    for part in range(SAMPLES):
                        file.seek((size - SAMPLE_BYTES) * part // (SAMPLES - 1))
                        digest.update(file.read(SAMPLE_BYTES))
    return digest.hexdigest()
