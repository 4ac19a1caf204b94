"""Open the tasks that a run names, each with what its record says about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.cache import find_task
from bmretriever_integrations.evaluation.tasks.catalogue import BENCHMARKS, TASKS
from bmretriever_integrations.evaluation.tasks.named_task import QUERIES_ARE_DOCUMENTS
from bmretriever_integrations.evaluation.tasks.similarity import AnyTask, load_any


def open_tasks(given: Sequence[str], split: str, queries_are_documents: Sequence[str] = ()) -> list[AnyTask]:
    """
    Find and read tasks.

    :param given: folders, names in :data:`~bmretriever_integrations.evaluation.tasks.catalogue.TASKS`, or names of benchmarks,
        which stand for all their tasks.
    :param split: the name of the qrels files.
    :param queries_are_documents: those of the tasks, as in ``given`` or by their folders' names, whose queries are documents;
        the tasks of :data:`~bmretriever_integrations.evaluation.tasks.named_task.QUERIES_ARE_DOCUMENTS` need no mention.
    :raises ConnectionError: if a named task cannot be fetched.
    :raises FileNotFoundError: if a task or one of its files is missing.
    :raises ValueError: if a task is malformed, two have one name, or ``queries_are_documents`` names another task.
    """
    given = [task for name in given for task in _tasks_of(name)]
    names = [Path(name).expanduser().resolve().name for name in given]
    if strange := [name for name in queries_are_documents if name not in (*given, *names)]:
        raise ValueError(f"--queries-are-documents names {strange[0]!r}, which is none of the tasks {', '.join(given)}")
    tasks = []
    for name in given:
        folder = find_task(name, split)
        task = folder.resolve().name
        record = TASKS.get(task)
        measures = None if record is None else record.measures
        own = task in QUERIES_ARE_DOCUMENTS or not {name, task}.isdisjoint(queries_are_documents)
        tasks.append(load_any(folder, split, measures, record is not None and record.judged_only, own))
    found = [task.name for task in tasks]
    if twice := sorted({name for name in found if found.count(name) > 1}):
        raise ValueError(
            f"two task folders are named {twice[0]!r}; the report distinguishes tasks by their folders' names"
        )
    return tasks


def _tasks_of(name: str) -> list[str]:
    if not Path(name).expanduser().is_dir():
        for benchmark in BENCHMARKS:
            if benchmark.name == name:
                return [record.name for record in benchmark.records]
    return [name]
