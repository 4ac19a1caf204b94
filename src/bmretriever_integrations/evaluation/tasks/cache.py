"""Find the folder of a task by its name or path. A named task is in the cache or is fetched into it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.corpus.sources import ARCHIVES
from bmretriever_integrations.evaluation.tasks.builders import BUILDERS
from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
from bmretriever_integrations.evaluation.tasks.hub import convert
from bmretriever_integrations.evaluation.tasks.named_task import NamedTask
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter

CACHE_VARIABLE = "BMRETRIEVER_TASKS"
"""Environment variable that names the folder of the cache."""


def cache_folder() -> Path:
    """Return the folder of the cache: the one that ``BMRETRIEVER_TASKS`` names, or ``~/.cache/bmretriever/tasks``."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get(CACHE_VARIABLE) or f"{base}/bmretriever/tasks").expanduser()


def find_task(task: str, split: str) -> Path:
    """
    Find a task's folder. A named task that is on the hub is fetched the first time.

    :param task: a folder, or a name in :data:`~bmretriever_integrations.evaluation.tasks.catalogue.TASKS`. If both exist, the
        folder is taken.
    :param split: the split of the judgements, for a task that is fetched.
    :raises FileNotFoundError: if there is no such folder or name, or if the task must be built first; the message says how.
    :raises ConnectionError: if the hub cannot be reached.
    """
    if Path(task).expanduser().is_dir():
        return Path(task).expanduser()
    record = TASKS.get(task)
    if record is None:
        raise FileNotFoundError(
            f"{task} is no folder and no named task. evaluate takes BEIR folders (corpus.jsonl, queries.jsonl, qrels/) and "
            f"these names: {', '.join(TASKS)}"
        )
    folder = cache_folder() / record.name
    if not folder.is_dir():
        if record.hub is None:
            raise FileNotFoundError(_how_to_build(record))
        build_task(record, [record.hub.path], folder, split)
    return folder


def build_task(record: NamedTask, sources: Sequence[str], folder: Path, split: str = "test") -> None:
    """
    Build a named task's folder.

    :param record: the task.
    :param sources: the task's official files; or one element, the hub id of its data set or the folder of a clone.
    :param folder: the folder to write; it must not exist.
    :param split: the split of the judgements, if they come from a data set of the hub.
    :raises FileNotFoundError: if a source is missing.
    :raises FileExistsError: if the folder exists.
    :raises ValueError: if a source is malformed (with file and place), or if the task is not built from such sources.
    """
    hub = record.hub
    with TaskWriter(folder, list(sources), split) as writer:
        if hub is not None and len(sources) == 1 and (sources[0] == hub.path or Path(sources[0]).is_dir()):
            convert(hub, sources[0], writer, split)
            return
        missing = [source for source in sources if not Path(source).is_file()]
        if missing:
            raise FileNotFoundError(f"{missing[0]} is no file")
        packed = [source for source in sources if source.lower().endswith(ARCHIVES)]
        if packed:
            raise ValueError(f"{packed[0]} is an archive; unpack it, e.g. with unzip, and name the file in it")
        if record.name not in BUILDERS or record.files is None:
            raise ValueError(
                f"{record.name} is made from {hub.path if hub else 'nothing'} on the hub, or a clone of it"
            )
        BUILDERS[record.name]([Path(source) for source in sources], writer)


def _how_to_build(record: NamedTask) -> str:
    assert record.files is not None  # a record has at least one source
    return (
        f"{record.title} is not on the hub. Fetch {record.files.what} from {record.files.address} "
        f"and run: bmretriever build {record.files.example}"
    )
