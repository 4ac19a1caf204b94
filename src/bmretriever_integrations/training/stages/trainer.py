"""The trainer of sentence-transformers with our batches, our loss and our states."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from tqdm import tqdm
from transformers import TrainerCallback

from bmretriever_integrations.training.stages.collator import TEXTS
from bmretriever_integrations.training.stages.sampler import TaskBatches
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.state import PROGRESS, complete_state, read_json

WEIGHTS = "trained.safetensors"
"""File of the trained weights in a state."""
LOADER_PROCESSES = 4
"""Most processes that make batches. A guess: enough that a GPU does not wait for a batch to be tokenized; not measured."""
STATES_KEPT = 2
"""Number of states on the disk. The newest may be incomplete after a kill; then the run resumes from the one before it."""


class StageTrainer(SentenceTransformerTrainer):  # type: ignore[misc]  # sentence-transformers is skipped by mypy
    """Saves only the trained weights, and marks a state when it is complete."""

    def __init__(self, *, sampler: TaskBatches, **of_trainer: Any) -> None:
        """
        :param sampler: gives the batches of the whole stage.
        :param of_trainer: arguments of the trainer of sentence-transformers.
        """
        self.sampler = sampler
        self.seconds_before = 0.0
        """Seconds that earlier starts of this run have trained."""
        self.tokens = 0
        """Number of tokens that this process has trained on, without padding."""
        self._started = time.monotonic()
        super().__init__(**of_trainer)

    @property
    def seconds(self) -> float:
        """Return the seconds of training; those of earlier starts count up to their last state."""
        return self.seconds_before + time.monotonic() - self._started

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and stop if the loss is not finite: the weights are lost then, and a state of them must not be saved."""
        super().log(logs, start_time)
        if not math.isfinite(logs.get("loss", 0.0)):
            raise FloatingPointError(
                f"the loss is {logs['loss']} at step {self.state.global_step}: "
                "lower learning_rate, or raise warmup_steps or temperature"
            )

    def compute_loss(self, model: Any, inputs: dict[str, Any], *of_trainer: Any, **more: Any) -> Any:
        """Count the tokens, whatever the loss is."""
        self.tokens += int(inputs[f"{TEXTS}_attention_mask"].sum())
        return super().compute_loss(model, inputs, *of_trainer, **more)

    def get_batch_sampler(self, *_dataset: Any, **_settings: Any) -> TaskBatches:
        """Return our sampler instead of the trainer's own."""
        return self.sampler

    def add_model_card_callback(self, *_arguments: Any) -> None:
        """Add no callback: a model card would read the whole data set for statistics."""

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        from safetensors.torch import save_file

        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        trained = {name: tensor.detach().cpu().contiguous() for name, tensor in self._trained().items()}
        save_file(trained, folder / WEIGHTS)

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: tensor for name, tensor in self.model.named_parameters() if tensor.requires_grad}

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        from safetensors.torch import load_file

        folder = Path(resume_from_checkpoint)
        stored, own = load_file(folder / WEIGHTS), self._trained()
        if stored.keys() != own.keys():
            raise ValueError(f"{folder} holds other weights than this model trains; remove that folder")
        with torch.no_grad():
            for name, tensor in stored.items():
                own[name].copy_(tensor)
        progress = read_json(folder / PROGRESS)
        self.seconds_before = progress["seconds"]
        self.tokens = progress["tokens"]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes the state of its own random numbers
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            progress = {"step": self.state.global_step, "seconds": self.seconds, "tokens": self.tokens}
            complete_state(folder, progress)


class LastStep(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Logs the loss of the last step and evaluates after it, however many steps there are between two of them otherwise."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        """Ask for both at the end."""
        if state.global_step >= state.max_steps:
            control.should_log = True
            control.should_evaluate = args.eval_strategy != "no"  # some releases of transformers do this themselves


class ProgressBar(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Shows one line: steps, steps per second, time left, the last loss and score."""

    def __init__(self, stage: str) -> None:
        """
        :param stage: name of the stage, shown before the bar.
        """
        self._stage = stage
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        """Show the bar, in the main process only."""
        if state.is_world_process_zero:
            self._bar = tqdm(
                total=state.max_steps, initial=state.global_step, desc=self._stage, unit="step", smoothing=0.05
            )

    def on_step_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        """Update the number of steps."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_more: Any) -> None:  # noqa: ARG002
        """Show the newest loss and score after the bar."""
        for key, name in (("loss", "loss"), ("eval_ndcg@10", "ndcg@10")):
            if key in (logs or {}):
                self._shown[name] = f"{logs[key]:.3f}"
        if self._bar is not None:
            self._bar.set_postfix(self._shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:  # noqa: ARG002
        """Close the bar; its last line stays on the screen."""
        if self._bar is not None:
            self._bar.close()


def training_arguments(settings: StageSettings, states: Path, steps: int, evaluate: bool) -> Any:
    """
    Translate the settings into those of the trainer.

    :param settings: settings of the stage.
    :param states: folder of the states to resume from.
    :param steps: steps of the stage.
    :param evaluate: whether there are held-out pairs.
    :raises ValueError: if the warm-up takes all steps.
    """
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(states),
        per_device_train_batch_size=settings.batch_size,  # of all processes together, because of split_batches
        accelerator_config={"split_batches": True},
        num_train_epochs=1,  # the sampler gives the batches of the whole stage
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup(steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        bf16=settings.bf16,
        seed=settings.seed,
        logging_steps=settings.log_every,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy="steps" if evaluate else "no",
        eval_steps=settings.eval_every,
        eval_on_start=evaluate,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=STATES_KEPT,
        report_to=[],
        disable_tqdm=True,
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        dataloader_pin_memory=torch.cuda.is_available(),
        dataloader_num_workers=loader_processes(),
        dataloader_drop_last=True,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # more would be DataParallel, which multiplies the batch
    return arguments


def loader_processes() -> int:
    """Give the number of processes that make batches while a GPU computes; 0 on a CPU, where the network needs all cores."""
    return min(LOADER_PROCESSES, (os.cpu_count() or 1) - 1) if torch.cuda.is_available() else 0


def columns_of(dataset: Any) -> dict[str, Any]:
    """
    Read the columns that the sampler needs into memory, about 30 bytes a row.

    :param dataset: rows of :data:`~bmretriever_integrations.training.stages.data.ROW_SCHEMA`.
    """
    table = dataset.data.table
    columns = {name: table.column(name).to_numpy() for name in ("query_key", "positive_key", "repeats")}
    tasks = table.column("task").combine_chunks().dictionary_encode()
    names = np.asarray(tasks.dictionary.to_pylist())
    return {**columns, "task": names[tasks.indices.to_numpy()]}
