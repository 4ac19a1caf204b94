"""Run ``bmretriever index``, which embeds files into a folder that can be searched."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.commands.arguments import absolute, positive
from bmretriever_integrations.settings import DTYPES, MAX_LENGTH, QUANTIZATIONS, EncoderSettings
from bmretriever_integrations.terminal.characters import printable
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index import BuildReport
    from bmretriever_integrations.parallel import EncoderPool
    from bmretriever_integrations.parallel.ray_workers import RayEngines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    from bmretriever_integrations.index.build import SHARD_SIZE

    parser.add_argument("source", nargs="+", metavar="SOURCE", help="PubMed .xml(.gz) or BEIR .jsonl(.gz)")
    parser.add_argument(
        "--to", required=True, metavar="DIR", help="output folder; an unfinished index in it is continued"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="short name, hub id or folder (default: %(default)s)")
    parser.add_argument("--limit", type=positive, metavar="N", help="index the first N records only")
    parser.add_argument(
        "--max-length", type=positive, default=MAX_LENGTH, help="the most tokens of a passage (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="auto", help="number type of the model (default: %(default)s)"
    )
    parser.add_argument(
        "--quantization", choices=QUANTIZATIONS, help="number type of the linear layers (default: no quantization)"
    )
    parser.add_argument("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")
    parser.add_argument(
        "--devices",
        metavar="D,D",
        help="several devices of this machine, e.g. cuda:0,cuda:1; the index has the same bytes as with one such device",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="run on this machine, or on a Ray cluster (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="number of engines on the cluster (default: one for each GPU, or for each machine if it has no GPUs)",
    )
    parser.add_argument(
        "--ray-address",
        metavar="A",
        help="address of the cluster (default: RAY_ADDRESS, else this machine's cluster, else a new one on this machine)",
    )
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=SHARD_SIZE,
        help="records of a shard; an interruption loses at most one shard, or three for each engine if there are several "
        "(default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Build the index, or continue it.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.corpus import read_corpus

    _check_engine(arguments)
    read_corpus(arguments.source)  # raises an error for missing and wrong files before the model is loaded
    silence_libraries()
    from bmretriever_integrations.device import keep_freed_memory
    from bmretriever_integrations.index import build_index
    from bmretriever_integrations.index.manifest import read_manifest

    keep_freed_memory()  # allowed here, because a command owns its process
    try:
        with plain_warnings(), _open_engines(arguments) as engines:
            report = build_index(
                engines,
                arguments.source,
                arguments.to,
                limit=arguments.limit,
                shard_size=arguments.shard_size,
                progress=True,
            )
    except KeyboardInterrupt:
        manifest = read_manifest(Path(arguments.to))
        safe = manifest.records if manifest else 0
        note = f"interrupted: {safe:,} records are safe in {arguments.to}; run the same command to continue"
        write_lines([note], sys.stderr)
        return 130
    write_lines(summary(report, arguments.to))
    return 0


def _check_engine(arguments: argparse.Namespace) -> None:
    """Raise an error for options that would otherwise be ignored."""
    on_ray = arguments.engine == "ray"
    if arguments.devices is not None and (on_ray or arguments.device is not None):
        other = "--engine ray" if on_ray else "--device"
        raise ValueError(
            f"--devices and {other} exclude each other; on a cluster, --workers says how many engines there are"
        )
    for name, value in (("--workers", arguments.workers), ("--ray-address", arguments.ray_address)):
        if value is not None and not on_ray:
            raise ValueError(f"{name} is for a cluster: add --engine ray")


def _open_engines(arguments: argparse.Namespace) -> BMRetrieverEncoder | EncoderPool | RayEngines:
    settings = EncoderSettings(
        model=absolute(arguments.model),
        max_length=arguments.max_length,
        dtype=arguments.dtype,
        quantization=arguments.quantization,
        device=arguments.device,
    )
    if arguments.engine == "ray":
        from bmretriever_integrations.parallel.ray_workers import RayEngines

        return RayEngines(settings, workers=arguments.workers, address=arguments.ray_address)
    if arguments.devices is not None:
        from bmretriever_integrations.parallel import EncoderPool

        return EncoderPool(
            settings.model,
            devices=[device.strip() for device in arguments.devices.split(",")],
            max_length=settings.max_length,
            dtype=settings.dtype,
            quantization=settings.quantization,
        )
    from bmretriever_integrations.encoder import BMRetrieverEncoder

    return BMRetrieverEncoder.from_settings(settings)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print the warning that a worker was lost as one line, and none of texts that are cut, which the summary counts."""
    from tqdm import tqdm

    from bmretriever_integrations.encoder.cut_texts import CutTextWarning
    from bmretriever_integrations.parallel.worker_group import WorkerLostWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", WorkerLostWarning)
        warnings.simplefilter("ignore", CutTextWarning)
        shown = warnings.showwarning

        def show(  # noqa: PLR0917  the module warnings requires this signature
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, WorkerLostWarning):
                tqdm.write(printable(f"warning: {message}"), file=sys.stderr)
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def summary(report: BuildReport, folder: str) -> list[str]:
    """
    Describe what a run did and which records it left out.

    :param report: the report of the run.
    :param folder: the folder of the index, as the user gave it.
    :returns: the lines.
    """
    skipped = report.corpus.skipped
    lines = [f"{folder}: {report.records:,} records, {report.embedded:,} of them embedded now"]
    if report.replaced or report.deleted:
        lines.append(
            f"hidden from search: {report.replaced:,} replaced by a later record of the same id, {report.deleted:,} withdrawn"
        )
    if report.cut:
        lines.append(
            f"cut: {report.cut:,} records are longer than the model reads; what comes after is in no vector. Split long texts"
        )
    if skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
        lines.append(f"left out: {skipped.total():,} ({reasons})")
        lines += [f"  {example}" for example in report.corpus.examples]
        if skipped.total() > len(report.corpus.examples):
            lines.append(f"  and {skipped.total() - len(report.corpus.examples):,} more")
    lines += [f"rebuilt {damage}" for damage in report.rebuilt]
    return lines
