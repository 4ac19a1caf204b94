"""Open the systems that ``bmretriever evaluate`` measures: BM25, models and baselines, each closed before the next is opened."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.checkpoints.instructions import OF_QUERIES, stored_instructions
from bmretriever_integrations.settings import EncoderSettings

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.evaluation.systems.comparison import System
    from bmretriever_integrations.evaluation.systems.stored_vectors import VectorChoice


@dataclass(frozen=True)
class Baseline:
    """One ``--baseline``, with the prompts that follow it on the command line."""

    model: str
    """Folder or hub id."""
    query_prompt: str | None = None
    passage_prompt: str | None = None


class SetPrompt(argparse.Action):
    """An action of argparse that adds a prompt to the preceding baseline."""

    def __call__(  # noqa: D102  argparse's own
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if not namespace.baseline:
            parser.error(f"{option_string} belongs to the --baseline before it; there is none")
        *others, last = namespace.baseline
        namespace.baseline = [*others, replace(last, **{self.dest: values})]


def named_models(arguments: argparse.Namespace) -> tuple[dict[str, EncoderSettings], dict[str, Baseline]]:
    """
    Give each model and baseline a name: the name of its folder if that is unique, else the argument of the user.

    :param arguments: the arguments of the command.
    :returns: a dict of names and settings of the models, and a dict of names and baselines. A model that is given twice is
        measured once.
    """
    models = list(dict.fromkeys(arguments.model or [DEFAULT_MODEL]))
    baselines = list(dict.fromkeys(arguments.baseline or []))
    names = _names([*models, *(baseline.model for baseline in baselines)])
    settings = {
        name: EncoderSettings(
            model=model,
            device=arguments.device,
            dtype=arguments.dtype,
            quantization=arguments.quantization,
            max_length=arguments.max_length,
            truncate_dim=arguments.truncate_dim,
        )
        for name, model in zip(names, models, strict=False)
    }
    return settings, dict(zip(names[len(models) :], baselines, strict=True))


def _names(models: Sequence[str]) -> list[str]:
    short = [
        Path(model).expanduser().resolve().name if Path(model).expanduser().is_dir() else model for model in models
    ]
    taken = ["BM25", *short, *(_hybrid(name) for name in short)]
    return [name if taken.count(name) == 1 else model for name, model in zip(short, models, strict=True)]


def _hybrid(name: str) -> str:
    return f"{name} hybrid"


def open_systems(
    models: dict[str, EncoderSettings],
    baselines: dict[str, Baseline],
    instruction: str | None,
    device: str | None,
    choice: VectorChoice,
    *,
    hybrid: bool = False,
) -> Generator[System, None, None]:
    """
    Open BM25, then each model, then each baseline. A model is closed before the next one is loaded.

    :param models: maps the name of each model to its settings.
    :param baselines: maps the name of each baseline to the baseline.
    :param instruction: the instruction for the queries of all tasks, or None for each task's own. A task without one gets the
        instruction that the folder of the model stores as its default, else the general one.
    :param device: the device of the baselines.
    :param choice: the form in which the models' document vectors are stored.
    :param hybrid: after each model, open the index's hybrid search with its vectors, too.
    """
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.evaluation.systems.bm25 import Bm25
    from bmretriever_integrations.evaluation.systems.dense import DenseRetriever

    yield Bm25()
    progress = sys.stderr.isatty()
    for name, settings in models.items():
        own = stored_instructions(settings.model).get(OF_QUERIES)
        with BMRetrieverEncoder(**asdict(settings), instruction=own, progress=progress) as encoder:
            if hybrid:
                yield from _with_hybrid(name, encoder, instruction)
            else:
                yield DenseRetriever(name, encoder, instruction, choice)
    for name, baseline in baselines.items():
        from bmretriever_integrations.evaluation.systems.baseline import SentenceTransformerBaseline

        yield SentenceTransformerBaseline(
            name,
            baseline.model,
            query_prompt=baseline.query_prompt,
            passage_prompt=baseline.passage_prompt,
            device=device,
            progress=progress,
        )


def _with_hybrid(name: str, encoder: BMRetrieverEncoder, instruction: str | None) -> Iterator[System]:
    from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
    from bmretriever_integrations.evaluation.systems.hybrid import HybridRetriever, TaskIndices

    # Windows removes no file that is still open
    with tempfile.TemporaryDirectory(prefix="bmretriever-", ignore_cleanup_errors=True) as folder:
        indices = TaskIndices(Path(folder), encoder)
        dense = DenseRetriever(name, encoder, instruction, indices=indices)
        yield dense
        yield HybridRetriever(_hybrid(name), dense, indices)
