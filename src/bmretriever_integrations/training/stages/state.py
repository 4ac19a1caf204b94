"""The output folder of a run: which run it holds, whether that is finished, and what it can resume from."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.fingerprint import fingerprint
from bmretriever_integrations.files import LOCK, only_writer, write_whole
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import SourceFiles

IDENTITY = "stage.json"
"""File that says which run the folder holds."""
RECORD = "training.json"
"""File with the results of a finished run."""
PROGRESS = "progress.json"
"""File that is written into a state last, when its other files are complete."""
STATES = "states"
"""Folder of the states to resume from, and of the rows that are trained on."""
TENSORBOARD = "tensorboard"
"""Folder of TensorBoard's files."""


def describe(base: tuple[Path, ...], sources: list[SourceFiles], settings: StageSettings, loss: str) -> dict[str, Any]:
    """
    Describe what decides a run's result: settings, base, teacher, data and loss; models and data by the hashes of their files.

    :param base: folders that the base was loaded from.
    :param sources: the data.
    :param settings: settings of the stage.
    :param loss: name of the loss.
    """
    files = {f"{source.settings.path}/{path.name}": file_hash(path) for source in sources for path in source.files}
    identity = {"settings": settings.model_dump(), "base": fingerprint(base), "data": files, "loss": loss}
    if settings.teacher is not None:
        folder = Path(settings.teacher.model).expanduser()  # a hub id names no folder and is compared by its name
        taught = sorted(path for path in folder.rglob("*") if path.is_file())
        identity["teacher"] = {path.relative_to(folder).as_posix(): file_hash(path) for path in taught}
    content: dict[str, Any] = json.loads(json.dumps(identity))  # as it will be read from the file, lists for tuples
    return content


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """
    Lock the folder of a run, so that a second process cannot train into it.

    :param output: the folder. One that holds files but no run is not locked: :func:`claim` refuses it.
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
            with suppress(PermissionError):  # on Windows an open file cannot be deleted
                (output / LOCK).unlink(missing_ok=True)


def claim(output: Path, identity: dict[str, Any]) -> bool:
    """
    Take a folder for this run, unless an earlier start of the same run has taken it.

    :param output: the folder.
    :param identity: from :func:`describe`.
    :returns: whether the run is finished.
    :raises ValueError: if the folder holds other files, or another run that has saved a state.
    """
    if output.exists() and not output.is_dir():
        raise ValueError(f"output {output} is a file; name a folder")
    note = output / IDENTITY
    if note.is_file():
        differing = _differences(read_json(note), identity)
        finished = (output / RECORD).is_file()
        if not differing:
            return finished
        if finished or newest_state(output) is not None:
            raise ValueError(
                f"{output} holds another run; it differs in {'; '.join(differing)}. Name another output, or remove the folder"
            )
        for folder in (output / STATES, output / TENSORBOARD):
            shutil.rmtree(folder, ignore_errors=True)
    elif found := sorted(path.name for path in output.glob("*") if path.name != LOCK):
        held = ", ".join(found[:5])
        raise ValueError(f"output {output} is not empty and is no training run: it holds {held}. Name another folder")
    output.mkdir(parents=True, exist_ok=True)
    write_whole(note, (json.dumps(identity, indent=1) + "\n").encode())
    return False


def written_whole(facts: Path) -> bool:
    """
    Tell whether files that were written together are on the disk as they were written.

    :param facts: the JSON file that was written after them; its ``files`` has the hash of each, by its name.
    """
    try:
        return all(file_hash(facts.with_name(name)) == content for name, content in read_json(facts)["files"].items())
    except (OSError, ValueError, LookupError, AttributeError):
        return False


def complete_state(folder: Path, progress: dict[str, Any]) -> None:
    """
    Mark a state as complete, with the hashes of its files.

    :param folder: the folder of the state.
    :param progress: what the run has done so far.
    """
    files = {path.name: file_hash(path) for path in sorted(folder.iterdir()) if path.name != PROGRESS}
    write_whole(folder / PROGRESS, json.dumps({**progress, "files": files}).encode())


def newest_state(output: Path) -> Path | None:
    """
    Find the newest complete state. A damaged one is passed over with a warning if an older one is whole.

    :param output: the folder of the run.
    :returns: its folder; None if no state was completed.
    :raises ValueError: if there are complete states and all are damaged.
    """
    complete = [path.parent for path in output.glob(f"{STATES}/checkpoint-*/{PROGRESS}")]
    damaged: list[str] = []
    for folder in sorted(complete, key=lambda folder: int(folder.name.rpartition("-")[2]), reverse=True):
        fault = _fault(folder)
        if fault is None:
            if damaged:
                warnings.warn(f"{'; '.join(damaged)}; the run goes on from {folder.name}", stacklevel=2)
            return folder
        damaged.append(fault)
    if damaged:
        raise ValueError(f"{'; '.join(damaged)}, and no older state is whole: remove {output} to start again")
    return None


def _fault(folder: Path) -> str | None:
    try:
        files = read_json(folder / PROGRESS)["files"].items()
        changed = [name for name, content in files if file_hash(folder / name) != content]
    except (ValueError, LookupError, AttributeError, OSError) as error:
        return f"{folder} is damaged ({error})"
    return f"{folder / changed[0]} is damaged" if changed else None


def read_json(path: Path) -> dict[str, Any]:
    """
    Read keys and values from a JSON file of a run.

    :param path: the file.
    :raises ValueError: if it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}; remove the folder, or restore the file") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no keys and values; remove the folder, or restore the file")
    return content


def file_hash(path: Path) -> str:
    """
    Hash a file's content.

    :param path: the file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    differing = []
    settings = old.get("settings")
    there = settings if isinstance(settings, dict) else {}
    for key, now in new["settings"].items():
        if there.get(key) != now:
            differing.append(f"{key} ({there.get(key)} there, {now} now)")
    return differing + [f"the {part}" for part in ("base", "teacher", "data", "loss") if old.get(part) != new.get(part)]
