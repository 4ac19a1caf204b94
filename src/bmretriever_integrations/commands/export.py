"""Run ``bmretriever export``, which writes a checkpoint as a folder for plain sentence-transformers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.commands.arguments import add_max_length
from bmretriever_integrations.settings import DTYPES
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.export import Exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    add = parser.add_argument
    add("model", metavar="MODEL", help="short name, hub id or folder; a LoRA adapter is merged into its base")
    add("--to", required=True, type=Path, metavar="DIR", help="folder to write")
    add("--dtype", choices=DTYPES[1:], default="float32", help="number type of the weights (default: %(default)s)")
    add("--revision", metavar="R", help="commit, branch or tag on the hub (default: the pinned commit, or the newest)")
    add_max_length(parser)
    add("--normalize", action="store_true", help="scale vectors to length 1; the authors do not normalise")
    add("--overwrite", action="store_true", help="replace an earlier export")


def run(arguments: argparse.Namespace) -> int:
    """
    Write the folder, and print how far its vectors are from the source's.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.export import export_checkpoint

    silence_libraries()
    done = export_checkpoint(
        arguments.model,
        arguments.to,
        dtype=arguments.dtype,
        revision=arguments.revision,
        max_length=arguments.max_length,
        normalize=arguments.normalize,
        overwrite=arguments.overwrite,
    )
    write_lines(summary(done, arguments.to))
    return 0


def summary(done: Exported, folder: Path) -> list[str]:
    """
    Describe a written export.

    :param done: the facts about the export.
    :param folder: the folder, as the user gave it.
    :returns: the lines.
    """
    origin = done.origin
    revision = f" at revision {origin.revision}" if origin.revision else ""
    if origin.dtype == "float32":
        distance = f"largest relative error {origin.error:.1e}"
    else:
        distance = f"smallest cosine {1 - origin.error:.6f}"
    return [
        f"{folder}: {origin.source}{revision}",
        f"{origin.dtype}, {done.width:,} wide, {'normalised, ' if origin.normalize else ''}{done.megabytes:,.1f} MB",
        f"one query and one passage compared with the source in float32: {distance}",
    ]
