"""A shard: a fixed number of records, their vectors as .npy and themselves as .jsonl."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.files import write_whole

FILE_NAME = re.compile(r"shard-(\d{6,})\.(vectors\.npy|records\.jsonl)")


@dataclass(frozen=True)
class Shard:
    """What the manifest knows of one shard."""

    records: int
    vectors_bytes: int
    vectors_sha256: str
    records_bytes: int
    records_sha256: str


def vectors_path(folder: Path, number: int) -> Path:
    """
    Name a shard's vectors.

    :param folder: the index.
    :param number: of the shard, from 0.
    """
    return folder / f"shard-{number:06d}.vectors.npy"


def records_path(folder: Path, number: int) -> Path:
    """
    Name a shard's records.

    :param folder: the index.
    :param number: of the shard, from 0.
    """
    return folder / f"shard-{number:06d}.records.jsonl"


def serialize(records: Sequence[Record]) -> bytes:
    """
    Turn records into the bytes of a shard's .jsonl; equal records give equal bytes.

    :param records: of one shard.
    """
    lines = (json.dumps({"id": r.id, "title": r.title, "text": r.text}, ensure_ascii=False) + "\n" for r in records)
    return "".join(lines).encode("utf-8")


def sha256(content: bytes) -> str:
    """
    Fingerprint bytes.

    :param content: any.
    """
    return hashlib.sha256(content).hexdigest()


def write_shard(folder: Path, number: int, vectors: Vectors, content: bytes) -> Shard:
    """
    Write both files of a shard; it counts only once the manifest names it.

    :param folder: the index.
    :param number: of the shard, from 0.
    :param vectors: *Shape:* (records, width) float32
    :param content: the records, serialized.
    :returns: what the manifest keeps of it.
    """
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    array = buffer.getvalue()
    write_whole(records_path(folder, number), content)
    write_whole(vectors_path(folder, number), array)
    return Shard(len(vectors), len(array), sha256(array), len(content), sha256(content))


def load_vectors(folder: Path, number: int) -> Vectors:
    """
    Map a shard's vectors into memory.

    :param folder: the index.
    :param number: of the shard, from 0.
    :returns: *Shape:* (records, width) float32, read-only.
    """
    array: Vectors = np.load(vectors_path(folder, number), mmap_mode="r", allow_pickle=False)
    return array


def load_records(folder: Path, number: int) -> Iterator[Record]:
    """
    Read a shard's records.

    :param folder: the index.
    :param number: of the shard, from 0.
    """
    with records_path(folder, number).open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield Record(**json.loads(line))


def damage(folder: Path, number: int, shard: Shard, width: int, checksums: bool) -> str | None:
    """
    Compare a shard's files with what the manifest knows of them.

    :param folder: the index.
    :param number: of the shard, from 0.
    :param shard: its entry in the manifest.
    :param width: of the index's vectors.
    :param checksums: read both files whole and compare their SHA-256, too.
    :returns: what is wrong, or None.
    """
    expected = (
        (vectors_path(folder, number), shard.vectors_bytes, shard.vectors_sha256),
        (records_path(folder, number), shard.records_bytes, shard.records_sha256),
    )
    for path, size, digest in expected:
        if not path.is_file():
            return f"{path.name} is missing"
        if path.stat().st_size != size:
            return f"{path.name} has {path.stat().st_size:,} bytes, not {size:,}"
        if checksums:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return f"{path.name} has changed since it was written (SHA-256)"
    try:
        vectors = load_vectors(folder, number)
    except ValueError as error:
        return f"{vectors_path(folder, number).name} is no .npy file: {error}"
    if vectors.shape != (shard.records, width) or vectors.dtype != np.float32:
        return f"{vectors_path(folder, number).name} holds {vectors.shape} {vectors.dtype}, not {(shard.records, width)} float32"
    return None
