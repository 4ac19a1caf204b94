"""The work folder: vectors and search results that a stopped run leaves to the next one."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.files import write_whole


def keyed_folder(parent: Path, settings: dict[str, Any]) -> Path:
    """
    Make the folder of one computation, named by a hash of its settings: other inputs or settings have another folder.

    :param parent: folder in which it is made.
    :param settings: everything that decides the content; written into it as ``settings.json`` for people.
    """
    text = json.dumps(settings, sort_keys=True, indent=1)
    folder = parent / hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "settings.json", text.encode("utf-8"))
    return folder


def save_array(path: Path, array: NDArray[Any]) -> None:
    """
    Write an array, whole or not at all.

    :param path: the .npy file.
    :param array: its content.
    """
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    write_whole(path, content.getvalue())


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """
    Write several arrays, whole or not at all.

    :param path: the .npz file.
    :param arrays: name -> content.
    """
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # numpy's allow_pickle swallows the names' type
    write_whole(path, content.getvalue())
