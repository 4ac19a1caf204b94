"""Which vectors an engine makes: a record to store beside an index and to compare before adding to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

SAMPLE_BYTES = 65_536
SAMPLES = 64


def fingerprint(folders: tuple[Path, ...]) -> str:
    """
    Fingerprint a checkpoint's files by content, not by where they are.

    Small files count whole; of large ones the size and 64 samples, so that 28 GB take no minute. Training moves every
    weight, so another training of the same model never has the same samples.

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
