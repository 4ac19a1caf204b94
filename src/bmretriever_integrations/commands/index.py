"""``bmretriever index``: files -> a folder that can be searched."""

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
    parser.add_argument("--to", required=True, metavar="DIR", help="output folder; an unfinished index is resumed")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="short name, hub id or folder (default: %(default)s)")
    parser.add_argument("--limit", type=positive, metavar="N", help="index the first N records only")
    parser.add_argument(
        "--max-length", type=positive, default=MAX_LENGTH, help="tokens of a passage (default: %(default)s)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="auto", help="number type of the model (default: %(default)s)"
    )
    parser.add_argument("--quantization", choices=QUANTIZATIONS, help="put the linear layers into this (default: none)")
    parser.add_argument("--device", help="e.g. cuda:1 or cpu (default: the best that is there)")
    parser.add_argument(
        "--devices",
        metavar="D,D",
        help="several devices of this machine at once, e.g. cuda:0,cuda:1; same bytes as with one of their kind",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="this machine, or a Ray cluster (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="engines on the cluster (default: one a GPU, or one a machine)"
    )
    parser.add_argument(
        "--ray-address",
        metavar="A",
        help="of the cluster (default: RAY_ADDRESS, or this machine's, or a new one on it)",
    )
    parser.add_argument(
        "--shard-size",
        type=positive,
        default=SHARD_SIZE,
        help="records of a shard; a stop costs one shard at most, three for each of several engines (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Build the index, or go on with it.

    :param arguments: as declared.
    """
    from bmretriever_integrations.commands.screen import silence_libraries
    from bmretriever_integrations.corpus import read_corpus

    _check_engine(arguments)
    read_corpus(arguments.source)  # complains of missing and wrong files before the model is loaded
    silence_libraries()
    from bmretriever_integrations.device import keep_freed_memory
    from bmretriever_integrations.index import build_index
    from bmretriever_integrations.index.manifest import read_manifest

    keep_freed_memory()  # this process is ours
    try:
        with _plain_warnings(), _open_engines(arguments) as engines:
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
        sys.stderr.write(f"interrupted: {safe:,} records are safe in {arguments.to}; run the same command to go on\n")
        return 130
    sys.stdout.write(summary(report, arguments.to))
    return 0


def _check_engine(arguments: argparse.Namespace) -> None:
    """Refuse what would be passed over without a word."""
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
def _plain_warnings() -> Iterator[None]:
    """Say that a worker was lost in one line, beside the bar."""
    from tqdm import tqdm

    from bmretriever_integrations.parallel.worker_group import WorkerLostWarning

    with warnings.catch_warnings():
        warnings.simplefilter("always", WorkerLostWarning)
        shown = warnings.showwarning

        def show(  # noqa: PLR0917  the signature is the module's
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, WorkerLostWarning):
                tqdm.write(f"warning: {message}", file=sys.stderr)
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def summary(report: BuildReport, folder: str) -> str:
    """
    Say what a run did, and name what it left out.

    :param report: the report of the run.
    :param folder: the index, as the user wrote it.
    :returns: lines.
    """
    skipped = report.corpus.skipped
    lines = [f"{folder}: {report.records:,} records, {report.embedded:,} of them embedded now"]
    if report.replaced or report.deleted:
        lines.append(
            f"hidden from search: {report.replaced:,} replaced by a later record of the same id, {report.deleted:,} withdrawn"
        )
    if skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
        lines.append(f"left out: {skipped.total():,} ({reasons})")
        lines += [f"  {example}" for example in report.corpus.examples]
        if skipped.total() > len(report.corpus.examples):
            lines.append(f"  and {skipped.total() - len(report.corpus.examples):,} more")
    lines += [f"rebuilt {damage}" for damage in report.rebuilt]
    return "\n".join(lines) + "\n"
