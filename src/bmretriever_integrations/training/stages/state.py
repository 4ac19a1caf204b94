"""The output folder: whose it is, how far it has come, and what to resume from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.fingerprint import fingerprint
from bmretriever_integrations.files import LOCK, only_writer, write_whole
from bmretriever_integrations.training.stages.data import Source
from bmretriever_integrations.training.stages.settings import StageSettings

IDENTITY = "stage.json"
RECORD = "training.json"
PROGRESS = "progress.json"
"""Written into a state when all its other files are there."""
STATES = "states"
"""Folder of the states to resume from, and of the rows as they are trained on."""
BOARD = "tensorboard"


def describe(base: tuple[Path, ...], sources: list[Source], settings: StageSettings) -> dict[str, Any]:
    """
    Say what decides a run's result: settings, base and data, the last two by content.

    :param base: folders that the model to start from was loaded from.
    :param sources: the data.
    :param settings: the stage.
    """
    files = {f"{source.settings.path}/{path.name}": _fingerprint(path) for source in sources for path in source.files}
    identity = {"settings": settings.model_dump(), "base": fingerprint(base), "data": files}
    content: dict[str, Any] = json.loads(json.dumps(identity))  # as it will be read again
    return content


@contextmanager
def alone(output: Path) -> Iterator[None]:
    """
    Hold the folder of a run against a second start of it.

    :param output: the folder. One that holds no run yet is left to :func:`claim`, which refuses it or makes it.
    :raises BlockingIOError: if another process trains into it.
    """
    if not output.exists():
        output.mkdir(parents=True)
    elif not (output / IDENTITY).is_file() and (not output.is_dir() or any(output.iterdir())):
        yield
        return
    with only_writer(output):
        try:
            yield
        finally:
            with suppress(PermissionError):  # Windows lets nobody take away an open file
                (output / LOCK).unlink(missing_ok=True)


def claim(output: Path, identity: dict[str, Any]) -> bool:
    """
    Take a folder for this run, or find it taken by an earlier start of the same run.

    :param output: the folder.
    :param identity: from :func:`describe`.
    :returns: whether the run is finished already.
    :raises ValueError: if the folder holds something else, or another run that came as far as its first state.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"output {output} is a file; name a folder")
    note = output / IDENTITY
    if note.is_file():
        differing = _differences(json.loads(note.read_text(encoding="utf-8")), identity)
        finished = (output / RECORD).is_file()
        if not differing:
            return finished
        if finished or newest_state(output) is not None:
            raise ValueError(
                f"{output} holds another run; it differs in {'; '.join(differing)}. Name another output, or remove the folder"
            )
        for folder in (output / STATES, output / BOARD):
            shutil.rmtree(folder, ignore_errors=True)
    elif found := sorted(path.name for path in output.glob("*") if path.name != LOCK):
        held = ", ".join(found[:5])
        raise ValueError(f"output {output} is not empty and is no training run: it holds {held}. Name another folder")
    output.mkdir(parents=True, exist_ok=True)
    write_whole(note, (json.dumps(identity, indent=1) + "\n").encode())
    return False


def newest_state(output: Path) -> Path | None:
    """
    Find the newest state that was written to its end.

    :param output: the folder of the run.
    """
    whole = [path.parent for path in output.glob(f"{STATES}/checkpoint-*/{PROGRESS}")]
    return max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)


def _fingerprint(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    differing = []
    for key in new["settings"]:
        before, now = old["settings"].get(key), new["settings"][key]
        if before != now:
            differing.append(f"{key} ({before} there, {now} now)")
    return differing + [f"the {part}" for part in ("base", "data") if old.get(part) != new[part]]
