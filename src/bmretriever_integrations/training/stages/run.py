"""One stage from its pairs to its checkpoint: the order of all steps."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.training.pairs.schema import Pair
from bmretriever_integrations.training.stages import data as pairs
from bmretriever_integrations.training.stages import state
from bmretriever_integrations.training.stages.record import describe_run
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import find_sources

Loss = Callable[[Any, StageSettings], Any]
"""Makes the loss of the ``SentenceTransformer`` that is trained, as losses of sentence-transformers are."""
Evaluator = Callable[[list[Pair], PromptTokenizer, StageSettings], Any]
"""Makes an evaluator, as those of sentence-transformers are, of the held-out pairs."""
LONGEST_WAIT = timedelta(days=2)
"""How long processes wait for the first one's rows and teacher; on CUDA, PyTorch itself lets them wait ten minutes."""


def train_stage(
    base: str | Path,
    data: Path,
    output: Path,
    settings: StageSettings,
    *,
    loss: Loss | None = None,
    evaluator: Evaluator | None = None,
    name: str = "stage",
    progress: bool = True,
) -> dict[str, Any]:
    """
    Train one stage, or resume where an earlier start of the same run was killed.

    Every process of ``accelerate launch`` or ``torchrun`` calls this in the same way. The output folder gets the checkpoint (with
    LoRA: the merged one, and the adapter alone in ``adapter``), ``training.json`` and ``tensorboard``; its ``states`` are
    removed at the end.

    :param base: a transformers or sentence-transformers folder, a hub id, or with LoRA the folder of an adapter.
    :param data: the folder of the pairs, or one .parquet file.
    :param output: the folder of the run.
    :param settings: settings of the stage.
    :param loss: a function or class that makes the loss; None takes
        :class:`~bmretriever_integrations.training.stages.loss.StageLoss`, which says what a loss is given.
    :param evaluator: a function or class that makes the evaluator of the held-out pairs; None takes
        :class:`~bmretriever_integrations.training.stages.heldout.HeldOutEvaluator`.
    :param name: name of the run in the progress bar.
    :param progress: whether to show the bar.
    :returns: what ``training.json`` holds.
    :raises FileNotFoundError: if base, teacher or data are missing.
    :raises ImportError: if ``settings`` ask for LoRA and peft is missing.
    :raises ValueError: if a file holds no pairs, there are fewer different pairs than a batch, the warm-up takes all steps,
        ``output`` holds something else or only damaged states, or the device does not compute in bfloat16 though ``bf16`` is
        true. All of this is found before the first step.
    :raises BlockingIOError: if another process trains into ``output``.
    :raises FloatingPointError: if the loss is no longer finite.
    """
    from accelerate import PartialState

    from bmretriever_integrations.training.stages.heldout import HeldOutEvaluator
    from bmretriever_integrations.training.stages.loss import StageLoss
    from bmretriever_integrations.training.stages.network import check_bf16, open_base, save_network
    from bmretriever_integrations.training.stages.teacher import prepare_teacher

    sources = find_sources(data, settings)
    check_bf16(settings)
    processes = PartialState(**_cpu_backend(), timeout=LONGEST_WAIT)
    if settings.batch_size % processes.num_processes:
        raise ValueError(f"batch_size {settings.batch_size} cannot be split among {processes.num_processes} processes")
    with _quiet(), ExitStack() as held:
        opened = open_base(str(base), settings)
        identity = state.describe(opened.folders, sources, settings, _name(loss or StageLoss))
        with processes.main_process_first():
            if processes.is_main_process:
                held.enter_context(state.locked(output))
            if state.claim(output, identity):
                return state.read_json(output / state.RECORD)
            rows = pairs.prepare(output / state.STATES, sources, settings)
            taught = prepare_teacher(output / state.STATES, rows.training, sources, settings, progress=progress)
        rows = replace(rows, teacher=taught)
        trainer = _trainer(opened, rows, output, settings, (loss or StageLoss, evaluator or HeldOutEvaluator))
        _watch(trainer, output, name if progress else None)
        resumed = state.newest_state(output)
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        record = describe_run(trainer, rows, settings, processes.num_processes)
        if processes.is_main_process:
            save_network(opened, output, settings, record["instructions"])
            write_whole(output / state.RECORD, (json.dumps(record, indent=1) + "\n").encode())
            shutil.rmtree(output / state.STATES)
        processes.wait_for_everyone()
    return record


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the bars and warnings of transformers; the settings have been checked by us before."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about names that differ between transformers 4.57 and 5
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _cpu_backend() -> dict[str, Any]:
    import torch

    return {} if torch.cuda.is_available() or torch.backends.mps.is_available() else {"cpu": True}


def _trainer(
    opened: Any, rows: pairs.Rows, output: Path, settings: StageSettings, makers: tuple[Loss, Evaluator]
) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

    from bmretriever_integrations.training.stages.collator import PromptCollator
    from bmretriever_integrations.training.stages.network import LastTokenVectors, can_pack
    from bmretriever_integrations.training.stages.sampler import TaskBatches
    from bmretriever_integrations.training.stages.trainer import StageTrainer, columns_of, training_arguments

    tokenizer = PromptTokenizer(opened.tokenizer, settings.max_length)
    packs = can_pack(opened.network, settings)
    model = SentenceTransformer(modules=[LastTokenVectors(opened.network, settings.normalize, packs=packs)])
    dataset = Dataset.from_file(str(rows.training))
    sampler = TaskBatches(columns_of(dataset), settings)
    make_loss, make_evaluator = makers
    return StageTrainer(
        sampler=sampler,
        model=model,
        args=training_arguments(settings, output / state.STATES, sampler.steps, evaluate=bool(rows.held_out)),
        train_dataset=dataset,
        data_collator=PromptCollator(tokenizer, settings.negatives, rows.teacher),
        evaluator=make_evaluator(rows.held_out, tokenizer, settings) if rows.held_out else None,
        loss=make_loss(model, settings),
    )


def _watch(trainer: Any, output: Path, name: str | None) -> None:
    """Show our progress bar instead of transformers' printed dictionaries, and write TensorBoard's files."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers import PrinterCallback
    from transformers.integrations import TensorBoardCallback

    from bmretriever_integrations.training.stages.trainer import LastStep, ProgressBar

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(LastStep())
    if trainer.is_world_process_zero():
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(output / state.TENSORBOARD))))
    if name is not None:
        trainer.add_callback(ProgressBar(name))


def _name(maker: Any) -> str:
    return f"{maker.__module__}.{maker.__qualname__}"
