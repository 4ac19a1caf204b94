"""Run ``bmretriever index``, which embeds files into a folder that can be searched."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.commands.arguments import positive
from bmretriever_integrations.corpus.forms import FORMS
from bmretriever_integrations.corpus.sources import KINDS, check_sources
from bmretriever_integrations.settings import DTYPES, MAX_LENGTH, QUANTIZATIONS
from bmretriever_integrations.terminal.characters import printable
from bmretriever_integrations.terminal.streams import write_lines

if TYPE_CHECKING:
    from bmretriever_integrations.index import BuildReport

INTERRUPTED = 130
"""Exit status after Ctrl-C."""
NAMES = 3
"""The number of sources that a line names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare the command's arguments.

    :param parser: the parser of this command.
    """
    forms = ", ".join(form.name for form in FORMS)
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE", help=f"files ({', '.join(KINDS)}; each also .gz): {forms}"
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="DIR",
        help="folder of the index, or s3://bucket/folder; one that is there is brought up to date",
    )
    parser.add_argument("--model", help=f"short name, hub id or folder (default: the index's, or {DEFAULT_MODEL})")
    parser.add_argument("--limit", type=positive, metavar="N", help="index the first N records only")
    parser.add_argument(
        "--max-length",
        type=positive,
        metavar="N",
        help=f"the most tokens of a passage (default: the index's, or {MAX_LENGTH})",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="auto",
        help="number type of the model (default: the index's, or %(default)s)",
    )
    parser.add_argument(
        "--quantization", choices=QUANTIZATIONS, help="number type of the linear layers (default: the index's, or none)"
    )
    parser.add_argument("--device", help="e.g. cuda:1 or cpu (default: the fastest device)")
    parser.add_argument(
        "--devices",
        metavar="D,D",
        help="several devices of this machine, e.g. cuda:0,cuda:1; the vectors are the same as with one such device",
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
        "--strict", action="store_true", help="stop at a damaged source, instead of going on with what is readable"
    )


def run(arguments: argparse.Namespace) -> int:
    """
    Build the index, or bring it up to date.

    :param arguments: the values of the arguments that :func:`add_arguments` declares.
    """
    from bmretriever_integrations.commands.index_engines import engines_for
    from bmretriever_integrations.index import build_index

    # missing and wrong files are named before the model is loaded
    check_sources(arguments.source, strict=arguments.strict or len(arguments.source) == 1)
    try:
        with plain_warnings(), ExitStack() as closing:
            engines = engines_for(arguments, closing)
            report = build_index(
                engines,
                arguments.source,
                arguments.to,
                limit=arguments.limit,
                strict=arguments.strict,
                progress=True,
            )
    except KeyboardInterrupt:
        note = (
            f"interrupted: {_safe(arguments.to):,} records are safe in {arguments.to}; run the same command to continue"
        )
        write_lines([note], sys.stderr)
        return INTERRUPTED
    write_lines(summary(report, arguments.to))
    return 0


def _safe(folder: str) -> int:
    from bmretriever_integrations.index.table import open_table

    table = open_table(folder)
    return 0 if table is None else int(table.count_rows())


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
    corpus = report.corpus
    lines = [f"{folder}: {report.records:,} records; {report.embedded:,} embedded now"]
    others = [
        (report.updated, "with new metadata only, whose vectors were kept"),
        (report.unchanged, "unchanged"),
        (report.outdated, "older than another record of the same id"),
        (report.held_back, "withdrawn by PubMed"),
    ]
    counted = [f"{count:,} {what}" for count, what in others if count]
    lines += [f"also read: {', '.join(counted)}"] * bool(counted)
    if report.withdrawn:
        lines.append(f"removed: {report.withdrawn:,} records that PubMed withdrew")
    if report.removed:
        lines.append(f"removed: {report.removed:,} passages that the newest versions of their articles do not have")
    if report.undecided:
        lines.append(
            f"undecided: {report.undecided:,} PubMed records differ from others of their ids, and neither says that it is newer; "
            "those that were read last are kept"
        )
    if report.not_read_again:
        lines.append(f"not read again, because unchanged: {_some(report.not_read_again)}")
    if report.cut:
        lines.append(
            f"cut: {report.cut:,} records are longer than the model reads; what comes after is in no vector. Split long texts"
        )
    lines += [f"damaged: {source}" for source in corpus.damaged]
    if corpus.skipped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(corpus.skipped.items()))
        lines.append(f"left out: {corpus.skipped.total():,} ({reasons})")
        lines += [f"  {example}" for example in corpus.examples]
        if corpus.skipped.total() > len(corpus.examples):
            lines.append(f"  and {corpus.skipped.total() - len(corpus.examples):,} more")
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMES]) + (f" and {len(names) - NAMES:,} more" if len(names) > NAMES else "")
