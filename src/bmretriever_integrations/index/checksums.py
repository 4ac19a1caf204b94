"""
Keep the SHA-256 of every file of the table, and find files that are damaged. LanceDB itself does not notice a flipped byte.

A file of the table never changes once it is written: a new version of the table is made of new files, and old ones are deleted.
So a file needs to be hashed once, and a file whose hash differs is damaged, whatever else was written since.

A run writes ``complete = False`` into the manifest before its first change, and the checksums with ``complete`` as its last
step. Between the two, files may come that are not listed, and listed ones may go, since the run deletes old versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from tqdm import tqdm

from bmretriever_integrations.index.manifest import DamagedIndex, FileChecksum, Manifest, read_manifest
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import Where, place_of
from bmretriever_integrations.index.table import FILES

VERSION_HINT = "latest_version_hint.json"
"""The one file that LanceDB writes again. It saves a look into the folder; LanceDB does without it, and with a wrong one."""
CHECKED_BYTES = 500_000_000
"""Up to this size, opening an index reads all of its files: less than a second's work."""
BLOCK = 1 << 20
"""Bytes that are read at once."""
AT_ONCE = 8
"""Files of an object store that are read at the same time."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class DamagedFile:
    """A file of an index that is not what was written."""

    name: str
    """Path inside the index, with ``/``."""
    reason: str
    """What is wrong, in a few words."""

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


def update_checksums(folder: Where, manifest: Manifest, *, progress: bool = False) -> None:
    """
    Bring the manifest's list of checksums up to date with the files of the table. The manifest is not written.

    A file that is listed is not read again, so that damage does not become the truth.

    :param folder: the index; the caller is its only writer, and no version is deleted any more.
    :param manifest: its manifest; ``checksums`` is replaced.
    :param progress: show a bar if there is much to read and standard error is a terminal.
    """
    place = place_of(folder)
    files = dict(table_files(place))
    new = {name: size for name, size in files.items() if name not in manifest.checksums}
    bar = _bar(sum(new.values()), progress)
    hashes = _each(place, lambda name: _sha256(place, name, bar), new)
    hashed = {name: FileChecksum(new[name], sha256) for name, sha256 in hashes.items()}
    bar.close()
    manifest.checksums = {name: manifest.checksums.get(name) or hashed[name] for name in files}


def find_damage(folder: Where, manifest: Manifest, *, whole: bool = True, progress: bool = False) -> list[DamagedFile]:
    """
    Compare the files of the table with the manifest's list. Another process may write to the index at the same time.

    Files that are not listed are no damage: they are of a run that goes on or was stopped. A listed file may be missing only
    during such a run, which deletes old versions.

    :param folder: the index.
    :param manifest: its manifest.
    :param whole: read every file; False compares the sizes only.
    :param progress: show a bar if there is much to read and standard error is a terminal.
    :returns: what is wrong, in the order of the names.
    """
    place = place_of(folder)
    there = dict(place.files(FILES))
    bar = _bar(table_bytes(manifest) if whole else 0, progress)
    listed = dict(sorted(manifest.checksums.items()))
    found = {name: _damaged_size(there.get(name), of_file) for name, of_file in listed.items()}
    if whole:
        right = [name for name, damage in found.items() if damage is None]
        found |= _each(place, lambda name: _changed(place, name, listed[name], bar), right)
    bar.close()
    if MISSING in found.values():
        now = read_manifest(place)  # read after the look, so a run that deleted the file is seen in it
        needed = now.checksums if now is not None and now.complete else {}
        found = {name: reason for name, reason in found.items() if reason != MISSING or name in needed}
    return [DamagedFile(name, reason) for name, reason in found.items() if reason is not None]


def check_files(folder: Where, manifest: Manifest, *, verify: bool = False) -> None:
    """
    Refuse a damaged index: read every file of one of up to :data:`CHECKED_BYTES`, and compare the sizes in a larger one.

    On an object store the sizes are compared, which one request for a thousand files gives. The store itself keeps checksums.

    :param folder: the index.
    :param manifest: its manifest.
    :param verify: read every file of an index of any size.
    :raises DamagedIndex: naming the files and what to do.
    """
    place = place_of(folder)
    whole = verify or (place.is_local and table_bytes(manifest) <= CHECKED_BYTES)
    damaged = find_damage(place, manifest, whole=whole)
    if damaged:
        more = f" and {len(damaged) - 3} more files" if len(damaged) > 3 else ""
        named = ", ".join(map(str, damaged[:3])) + more
        raise DamagedIndex(f"{folder} is damaged: {named}. {what_to_do(folder, manifest)}")


def what_to_do(folder: Where, manifest: Manifest) -> str:
    """
    Say how a damaged index is made whole.

    :param folder: the index.
    :param manifest: its manifest.
    """
    return (
        "Restore these files from any copy of the index (a file of the table never changes, so an old copy will do), or make the "
        f"index anew: {manifest.command(folder)}"
    )


def table_bytes(manifest: Manifest) -> int:
    """
    Return the size of the files that are listed.

    :param manifest: the manifest of an index.
    """
    return sum(listed.bytes for listed in manifest.checksums.values())


def table_files(folder: Where) -> Iterator[tuple[str, int]]:
    """
    List the files of a table that never change.

    :param folder: the index.
    :returns: each file's path inside the index, with ``/``, and its bytes; in the order of the names.
    """
    for name, size in place_of(folder).files(FILES):
        last = name.rpartition("/")[2]
        # A file manager's notes, such as .DS_Store, are not the table's.
        if last != VERSION_HINT and not last.startswith("."):
            yield name, size


MISSING = "is missing"


def _each(place: Place, of_name: Callable[[str], Found], names: Iterable[str]) -> dict[str, Found]:
    """Do something with each of some files, with several at once where each waits for the network."""
    if place.is_local:
        return {name: of_name(name) for name in names}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="bmretriever-checksums") as threads:
        return dict(zip(names, threads.map(of_name, names), strict=True))


def _damaged_size(size: int | None, listed: FileChecksum) -> str | None:
    """Compare a file's size with what is listed, and say what is wrong."""
    if size is None:
        return MISSING
    return None if size == listed.bytes else f"has {size:,} bytes, not {listed.bytes:,}"


def _changed(place: Place, name: str, listed: FileChecksum, bar: tqdm[NoReturn]) -> str | None:
    """Read a file, compare it with what is listed, and say what is wrong."""
    try:
        return None if _sha256(place, name, bar) == listed.sha256 else "has changed since it was written"
    except FileNotFoundError:
        return MISSING
    except ConnectionError:  # not of this file
        raise
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _sha256(place: Place, name: str, bar: tqdm[NoReturn]) -> str:
    digest = hashlib.sha256()
    with place.explained(), place.open(name) as file:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _bar(total: int, shown: bool) -> tqdm[NoReturn]:
    """Open a bar for bytes; a small amount shows none."""
    hidden = not shown or total <= CHECKED_BYTES
    return tqdm(total=total, desc="checking files", unit="B", unit_scale=True, disable=True if hidden else None)
