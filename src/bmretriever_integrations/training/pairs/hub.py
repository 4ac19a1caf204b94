"""Rows of Hugging Face data sets, streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bmretriever_integrations.training.pairs.settings import LOCAL_KINDS, Source

FILE_KINDS = {".parquet": "parquet", ".json": "json"}


def read_rows(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """
    Read the rows of a data set; a local one stays on disk, one from the hub is streamed and not stored.

    :param source: its path is a folder of ``save_to_disk``, a .parquet or .json file, or a name on the hub.
    :returns: for each row, file and row number, and the row itself.
    :raises FileNotFoundError: if a path that looks like a file is not there.
    :raises ValueError: if it is a pipe, the folder has no such split, or the data set cannot be loaded or read to its end.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    path = Path(source.path)
    if path.suffix in FILE_KINDS and not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError(f"{path} is a pipe or a device; it is read more than once, so save it as a file first")
    if path.is_file() and path.suffix not in FILE_KINDS:
        raise ValueError(f"{path} ends in none of {', '.join((*LOCAL_KINDS, *FILE_KINDS))}")
    try:
        if path.is_dir() and any((path / name).exists() for name in ("state.json", "dataset_dict.json")):
            rows = datasets.load_from_disk(str(path))
            rows = rows[source.split] if isinstance(rows, datasets.DatasetDict) else rows
        elif path.suffix in FILE_KINDS:
            rows = datasets.load_dataset(FILE_KINDS[path.suffix], data_files=str(path), split="train", streaming=True)
        else:
            rows = datasets.load_dataset(source.path, source.config, split=source.split, streaming=True)
    except (KeyError, OSError, ValueError, DatasetsError) as error:
        raise ValueError(f"{source.path} cannot be loaded as a data set (split {source.split}): {error}") from error
    number = 0
    try:
        for number, row in enumerate(rows):
            yield f"{path.name}:{number}", row
    except (OSError, ValueError, DatasetsError) as error:
        raise ValueError(f"{path} cannot be read on after row {number}: {error}") from error
