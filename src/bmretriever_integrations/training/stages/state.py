"""The output folder: whose it is, how far it has come, and what to resume from."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bmretriever_integrations.identity import files_sha256
from bmretriever_integrations.index.files import write_whole
from bmretriever_integrations.training.stages.data import Source
from bmretriever_integrations.training.stages.settings import StageSettings

IDENTITY = "stage.json"
RECORD = "training.json"
PROGRESS = "progress.json"
"""Written into a state when all its other files are there."""
STATES = "states"
"""Folder of the states to resume from, and of the rows as they are trained on."""
BOARD = "tensorboard"
TAIL_BYTES = 65_536


def describe(base: str, sources: list[Source], settings: StageSettings) -> dict[str, Any]:
    """
    Say what decides a run's result: settings, base and data, the last two by content.

    :param base: folder or hub id of the model to start from.
    :param sources: the data.
    :param settings: the stage.
    """
    folder = Path(base)
    inner = tuple(sorted({path.parent for path in folder.rglob("*.safetensors")})) if folder.is_dir() else ()
    files = {f"{source.settings.path}/{path.name}": _fingerprint(path) for source in sources for path in source.files}
    identity = {"settings": asdict(settings), "base": files_sha256(inner) if inner else base, "data": files}
    content: dict[str, Any] = json.loads(json.dumps(identity))  # as it will be read again
    return content


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
    elif output.is_dir() and any(output.iterdir()):
        held = ", ".join(sorted(path.name for path in output.iterdir())[:5])
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
    """Size and end: a parquet file's end lists the sizes and bounds of all its parts."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - TAIL_BYTES))
        return f"{size} {hashlib.sha256(file.read()).hexdigest()}"


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    differing = []
    for key in new["settings"]:
        before, now = old["settings"].get(key), new["settings"][key]
        if before != now:
            differing.append(f"{key} ({before} there, {now} now)")
    return differing + [f"the {part}" for part in ("base", "data") if old.get(part) != new[part]]
