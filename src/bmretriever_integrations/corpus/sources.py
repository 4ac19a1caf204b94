"""Check files before any of them is read: what they are, and whether there is a reader for them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.corpus.forms import FORMS, Form, form_of, forms_by_ending
from bmretriever_integrations.corpus.json_lines import PACKED
from bmretriever_integrations.corpus.records import DamagedSource
from bmretriever_integrations.corpus.refusals import advice_by_ending

KINDS = tuple(dict.fromkeys(ending for form in FORMS for ending in form.endings))
"""Endings of the files that are read. Each may be followed by ``.gz``."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".bz2", ".xz", ".zst", ".7z")


def check_sources(sources: Sequence[str | Path], *, strict: bool = True) -> list[Path]:
    """
    Check all sources before the first of them is read.

    :param sources: the files.
    :param strict: also looks into each of them.
    :returns: their paths.
    :raises FileNotFoundError: if a source is missing.
    :raises ValueError: if there is none, if one is given twice, is no regular file or ends in none of :data:`KINDS`; and with
        ``strict``, if one is empty, no gzip file or not of the form that its name promises.
    """
    if isinstance(sources, str | Path):
        raise TypeError(f"sources must be a list of files, got one {type(sources).__name__}: write [source]")
    paths = [Path(source) for source in sources]
    if not paths:
        raise ValueError("no source was given")
    for path in paths:
        check_file(path)
        if not forms_by_ending(path):
            raise ValueError(
                f"{path} ends in none of {', '.join(KINDS)} (each also with .gz); {advice_by_ending(path)}"
            )
        if strict:
            check_content(path)
    if len({path.resolve() for path in paths}) < len(paths):
        raise ValueError("a source is given twice; name each source once")
    return paths


def check_file(path: Path) -> None:
    """
    Refuse what no reader can read, whatever kind of file it expects.

    :param path: a source.
    :raises FileNotFoundError: if it is missing.
    :raises ValueError: if it is a folder, a pipe, a device or an archive that no form is.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name its files, e.g. {path}/*.xml.gz")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not path.is_file():
        raise ValueError(f"{path} is a pipe or a device; sources are read more than once, so save it as a file first")
    if path.name.lower().endswith(ARCHIVES) and not forms_by_ending(path):
        raise ValueError(f"{path} is an archive; unpack it, and name the file in it")


def check_content(path: Path) -> Form:
    """
    Look at the beginning of a file.

    :param path: a source with one of the endings :data:`KINDS`.
    :returns: its form.
    :raises DamagedSource: if it is empty or unreadable, no gzip file or not of the form that its name promises.
    """
    try:
        return form_of(path)
    except (EOFError, OSError, zlib.error) as error:
        kind = "gzip" if path.suffix.lower() in PACKED else "a file"
        raise DamagedSource(f"{path} cannot be read as {kind}: {error}") from error
