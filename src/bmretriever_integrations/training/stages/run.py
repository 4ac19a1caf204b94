"""One stage from its pairs to its checkpoint: the order of all steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.files import write_whole
from bmretriever_integrations.training.stages import data as pairs
from bmretriever_integrations.training.stages import state
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.versions import versions_of

PACKAGES = ("torch", "transformers", "sentence-transformers", "accelerate", "datasets", "peft")


def train_stage(
    base: str | Path, data: Path, output: Path, settings: StageSettings, *, name: str = "stage", progress: bool = True
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
    :param name: name of the run in the progress bar.
    :param progress: whether to show the bar.
    :returns: what ``training.json`` holds.
    :raises FileNotFoundError: if base or data are missing.
    :raises ValueError: if a file holds no pairs, there are fewer pairs than a batch, ``output`` holds something else, or the
        device does not compute in bfloat16 though ``bf16`` is true. All of this is found before the first step.
    :raises BlockingIOError: if another process trains into ``output``.
    :raises FloatingPointError: if the loss is no longer finite.
    """
    from accelerate import PartialState

    from bmretriever_integrations.training.stages.network import check_bf16, open_base, save_network

    sources = pairs.find_sources(data, settings)
    check_bf16(settings)
    processes = PartialState(**_cpu_backend())
    if settings.batch_size % processes.num_processes:
        raise ValueError(f"batch_size {settings.batch_size} cannot be split among {processes.num_processes} processes")
    with _quiet(), ExitStack() as held:
        opened = open_base(str(base), settings)
        identity = state.describe(opened.folders, sources, settings)
        with processes.main_process_first():
            if processes.is_main_process:
                held.enter_context(state.locked(output))
            if state.claim(output, identity):
                record: dict[str, Any] = json.loads((output / state.RECORD).read_text(encoding="utf-8"))
                return record
            rows = pairs.prepare(output / state.STATES, sources, settings)
        trainer = _trainer(opened, rows, output, settings)
        _watch(trainer, output, name if progress else None)
        resumed = state.newest_state(output)
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        record = _record(trainer, settings, processes.num_processes)
        if processes.is_main_process:
            save_network(opened, output, settings)
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


def _trainer(opened: Any, rows: pairs.Rows, output: Path, settings: StageSettings) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer

    from bmretriever_integrations.training.stages.collator import PromptCollator
    from bmretriever_integrations.training.stages.heldout import HeldOutEvaluator
    from bmretriever_integrations.training.stages.loss import StageLoss
    from bmretriever_integrations.training.stages.network import LastTokenVectors, can_pack
    from bmretriever_integrations.training.stages.sampler import TaskBatches
    from bmretriever_integrations.training.stages.trainer import StageTrainer, columns_of, training_arguments

    tokenizer = PromptTokenizer(opened.tokenizer, settings.max_length)
    packs = can_pack(opened.network, settings)
    model = SentenceTransformer(modules=[LastTokenVectors(opened.network, settings.normalize, packs=packs)])
    dataset = Dataset.from_file(str(rows.training))
    return StageTrainer(
        sampler=TaskBatches(columns_of(dataset), settings),
        model=model,
        args=training_arguments(settings, output / state.STATES, evaluate=bool(rows.held_out)),
        train_dataset=dataset,
        data_collator=PromptCollator(tokenizer, settings.negatives),
        evaluator=HeldOutEvaluator(rows.held_out, tokenizer, settings) if rows.held_out else None,
        loss=StageLoss(model, settings),
    )


def _watch(trainer: Any, output: Path, name: str | None) -> None:
    """Show our progress bar instead of transformers' printed dictionaries, and write TensorBoard's files."""
    from torch.utils.tensorboard import SummaryWriter
    from transformers import PrinterCallback
    from transformers.integrations import TensorBoardCallback

    from bmretriever_integrations.training.stages.trainer import ProgressBar

    trainer.remove_callback(PrinterCallback)
    if trainer.is_world_process_zero():
        trainer.add_callback(TensorBoardCallback(SummaryWriter(str(output / state.TENSORBOARD))))
    if name is not None:
        trainer.add_callback(ProgressBar(name))


def _record(trainer: Any, settings: StageSettings, processes: int) -> dict[str, Any]:
    history = trainer.state.log_history
    scores = {
        entry["step"]: {key.removeprefix("eval_"): entry[key] for key in ("eval_ndcg@10", "eval_recall@10")}
        for entry in history
        if "eval_ndcg@10" in entry
    }  # by step, because a resumed run evaluates again at the step where it starts
    tokens = int(trainer.accelerator.reduce(_tensor(trainer, trainer.loss.tokens), "sum"))
    return {
        "losses": [(entry["step"], entry["loss"]) for entry in history if "loss" in entry],
        "evaluations": sorted(scores.items()),
        "steps": trainer.state.global_step,
        "seconds": round(trainer.seconds, 1),
        "tokens": tokens,
        "tokens_per_second": round(tokens / trainer.seconds),
        "processes": processes,
        "device": _device_name(trainer.args.device),
        "settings": settings.model_dump(),
        "versions": versions_of(PACKAGES),
        "commit": _commit(),
    }


def _tensor(trainer: Any, number: int) -> Any:
    import torch

    return torch.tensor(number, device=trainer.args.device)


def _device_name(device: Any) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def _commit() -> str | None:
    """Return the git commit of the source tree that this code is run from, if it is one."""
    run = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return run.stdout.strip() or None
