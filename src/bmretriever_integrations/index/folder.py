"""The folder as a whole: which files may lie in it, and which are left over from a run that stopped."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bmretriever_integrations.files import LOCK, write_whole
from bmretriever_integrations.index.manifest import NAME, DamagedIndex
from bmretriever_integrations.index.shards import FILE_NAME, sha256
from bmretriever_integrations.index.supersession import Rows

HIDDEN = "hidden.npy"


def open_folder(folder: Path) -> Path:
    """
    Make a folder ready to be written.

    :param folder: made with its parents if it is not there.
    :returns: the folder.
    :raises DamagedIndex: if it holds other files and no manifest.
    :raises NotADirectoryError: if it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / NAME).exists():
        others = sorted(path.name for path in folder.iterdir() if path.name != LOCK and not _is_ours(path.name))
        if others:
            raise DamagedIndex(
                f"{folder} holds other files ({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}) and no {NAME}; name a "
                "new or empty folder"
            )
    return folder


def clear_drafts(folder: Path, finished: int) -> None:
    """
    Delete what a stopped run left: drafts, and shards that the manifest does not name.

    :param folder: the index, locked.
    :param finished: shards that the manifest names.
    """
    for path in folder.iterdir():
        match = FILE_NAME.fullmatch(path.name)
        if (match and int(match[1]) >= finished) or (path.name.endswith(".tmp") and _is_ours(path.name)):
            path.unlink()


def _is_ours(name: str) -> bool:
    final = name.removeprefix(".").removesuffix(".tmp") if name.startswith(".") and name.endswith(".tmp") else name
    return final in (NAME, HIDDEN) or FILE_NAME.fullmatch(final) is not None


def write_hidden(folder: Path, rows: Rows) -> str:
    """
    Write the rows that a search passes over.

    :param folder: the index.
    :param rows: ascending.
    :returns: SHA-256 of the file.
    """
    buffer = io.BytesIO()
    np.save(buffer, rows.astype(np.int64), allow_pickle=False)
    write_whole(folder / HIDDEN, buffer.getvalue())
    return sha256(buffer.getvalue())


def read_hidden(folder: Path, digest: str) -> Rows:
    """
    Read the rows that a search passes over.

    :param folder: the index.
    :param digest: their SHA-256 in the manifest.
    :raises DamagedIndex: if the file is not the one that was written.
    """
    path = folder / HIDDEN
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content) != digest:
        raise DamagedIndex(f"{path} is missing or has changed; run the index command again to restore it")
    rows: Rows = np.load(io.BytesIO(content), allow_pickle=False)
    return rows
