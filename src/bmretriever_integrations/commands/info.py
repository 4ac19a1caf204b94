"""Run ``bmretriever info``, which says what an index holds and whether its files are whole."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.index.checksums import DamagedFile
    from bmretriever_integrations.index.info import Contents
    from bmretriever_integrations.index.manifest import Manifest
    from bmretriever_integrations.index.places.place import Place

NAMED_SOURCES = 5
"""Sources that the table names; ``--format json`` names all."""
DAMAGED = 1
"""Exit status if a file is damaged."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    parser.add_argument("index", metavar="DIR", help="an index that `bmretriever index` made")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read every file and compare it with its checksum; exit status 1 if one is damaged",
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="how it is printed (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Print what the index holds.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    :returns: exit status: 1 if ``--verify`` found damage, else 0.
    """
    from bmretriever_integrations.index.checksums import find_damage
    from bmretriever_integrations.index.info import contents_of
    from bmretriever_integrations.index.manifest import manifest_of
    from bmretriever_integrations.index.places.where import place_of

    folder = place_of(arguments.index)
    manifest = manifest_of(folder)
    damaged = find_damage(folder, manifest, progress=True) if arguments.verify else None
    contents = None if damaged else contents_of(folder)  # the counts of a damaged table are worth nothing
    if arguments.format == "json":
        sys.stdout.write(json.dumps(as_json(folder, manifest, contents, damaged), indent=1) + "\n")
    else:
        _print_table(manifest, contents)
        write_lines(verdict(folder, manifest, damaged))
    return DAMAGED if damaged else 0


def as_json(
    folder: Place, manifest: Manifest, contents: Contents | None, damaged: list[DamagedFile] | None
) -> dict[str, Any]:
    """
    Return all that is known of an index as plain values.

    :param folder: the index.
    :param manifest: its manifest.
    :param contents: its counts; None if it is damaged.
    :param damaged: its damaged files; None if they were not looked for.
    """
    of_manifest = asdict(manifest)
    listed = {"files": len(of_manifest.pop("checksums")), "withdrawn": len(of_manifest.pop("withdrawn"))}
    found = {} if damaged is None else {"damaged": [asdict(file) for file in damaged]}
    counts = asdict(contents) if contents else {}
    return {"index": str(folder), **counts, **of_manifest, **listed, **found}


def verdict(folder: Place, manifest: Manifest, damaged: list[DamagedFile] | None) -> list[str]:
    """
    Say what the comparison of the files found, and what to do.

    :param folder: the index.
    :param manifest: its manifest.
    :param damaged: its damaged files; None if they were not looked for.
    """
    from bmretriever_integrations.index.checksums import what_to_do

    if damaged is None:
        return []
    if damaged:
        named = [f"damaged: {file}" for file in damaged]
        return [
            "",
            *named,
            f"{len(damaged):,} of {len(manifest.checksums):,} files are damaged. {what_to_do(folder, manifest)}",
        ]
    rest = (
        "" if manifest.complete else "; files that its last run wrote are compared once that run is repeated and ends"
    )
    return ["", f"all {len(manifest.checksums):,} files are as they were written{rest}"]


def _print_table(manifest: Manifest, contents: Contents | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from bmretriever_integrations.terminal.console import open_console

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in [*_counts(contents), *_facts(manifest)]:
        table.add_row(name, Text(said))
    open_console().print(table)


def _counts(contents: Contents | None) -> list[tuple[str, str]]:
    if contents is None:
        return []
    retracted = f", {contents.retracted:,} of them retracted" if contents.retracted else ""
    old = f", {_megabytes(contents.old_bytes)} of it older versions" if contents.old_bytes else ""
    years = "unknown" if contents.years is None else " to ".join(map(str, dict.fromkeys(contents.years)))
    return [
        ("records", f"{contents.records:,}{retracted}"),
        ("with abstract", f"{contents.with_abstract:,}"),
        ("years", years),
        ("size", f"{_megabytes(contents.bytes)}{old}"),
    ]


def _facts(manifest: Manifest) -> list[tuple[str, str]]:
    encoder = manifest.encoder
    known = find_checkpoint(str(encoder["model"]))
    model = known.name if known else encoder["model"]
    settings = [f"{encoder.get('dtype')}", f"texts up to {encoder.get('max_length')} tokens"]
    settings += [f"{encoder['quantization']} weights"] if encoder.get("quantization") else []
    names = [source.name for source in manifest.sources if not source.damage]
    damaged = [source.name for source in manifest.sources if source.damage]
    cut = f"; {len(damaged):,} read up to a damage{_some(damaged)}" if damaged else ""
    error = f"largest relative error {manifest.vector_error:.1e}" if manifest.vector_error else "without loss"
    return [
        ("model", f"{model}, fingerprint {str(encoder['files_sha256'])[:12]}; {', '.join(settings)}"),
        ("vectors", f"{manifest.width:,} wide, {manifest.vector_type} ({error})"),
        ("sources", f"{len(names):,} read whole{_some(names)}{cut}"),
        ("withdrawn", f"{len(manifest.withdrawn):,} ids of records that PubMed deleted"),
        ("tuned", _tuned(manifest)),
        ("state", "complete" if manifest.complete else "unfinished: run its index command again"),
        ("made with", ", ".join(f"{name} {version}" for name, version in manifest.versions.items())),
    ]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_SOURCES:,} more" if len(names) > NAMED_SOURCES else ""
    return ": " + ", ".join(names[:NAMED_SOURCES]) + more if names else ""


def _tuned(manifest: Manifest) -> str:
    if (tuned := manifest.tuned) is None:
        return "no: a search reads every vector"
    found = f"recall@10 {tuned['recall']:.3f} on {tuned['questions']:,} questions (wanted: {tuned['wanted']:g})"
    how = f"{tuned['nprobes']:,} probes, {tuned['refine_factor']} candidates a hit"
    return f"{found}; {how}; measured at {tuned['rows']:,} records"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
