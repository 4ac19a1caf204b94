"""What a step's output folder may hold before the step writes into it: nothing, or what the same step wrote earlier."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from bmretriever_integrations.files import LOCK, temporary

SHOWN = 5
"""Most names that an error lists."""


def check_output(folder: Path, own: Collection[str], mark: str) -> None:
    """
    Refuse a folder that holds files of another step or of a person.

    :param folder: the output folder; may be missing.
    :param own: names, or patterns of names, of the files that this step writes.
    :param mark: the file by which an earlier run of this step is recognised; a run writes it before or together with the others.
    :raises FileExistsError: if it is a file, holds anything else, or holds files of these names without the mark.
    """
    if folder.is_dir():
        names = sorted(path.name for path in folder.iterdir())
        drafts = {temporary(Path(name)).name for name in own}
        foreign = [name for name in names if not any(fnmatch(name, known) for known in (*own, *drafts, LOCK))]
        results = [name for name in names if any(fnmatch(name, known) for known in own)]
        if not foreign and results and mark not in names:
            foreign = results
        if foreign:
            held = ", ".join(foreign[:SHOWN]) + (", ..." if len(foreign) > SHOWN else "")
            raise FileExistsError(f"output {folder} holds {held}, which this step did not write; name another folder")
    elif folder.exists():
        raise FileExistsError(f"output {folder} is a file; name a folder")
