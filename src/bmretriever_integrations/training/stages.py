"""One stage of the recipe: InfoNCE over in-batch (and hard) negatives, on the sentence-transformers trainer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.training.negatives import mine_bm25
from bmretriever_integrations.training.pairs import Pair, Source, read_pairs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """Everything that decides a stage's result; one YAML file."""

    sources: list[Source]
    max_steps: int
    batch_size: int
    learning_rate: float
    max_length: int = 512
    """Tokens, EOS included (the released models: 512)."""
    warmup_steps: int = 100
    temperature: float = 1.0
    hard_negatives: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "max_length", "learning_rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2: the other rows are the negatives")


def load_settings(path: Path) -> StageSettings:
    """
    Read one stage's YAML.

    :param path: the file.
    :raises ValueError: on a key that no setting has; names it and the allowed ones.
    """
    import yaml

    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    allowed = {setting.name for setting in fields(StageSettings)}
    unknown = set(given) - allowed
    if unknown:
        raise ValueError(f"{path}: unknown settings {sorted(unknown)}; allowed: {sorted(allowed)}")
    given["sources"] = [Source(**source) for source in given["sources"]]
    return StageSettings(**given)


def pairs_by_task(settings: StageSettings, data: Path) -> dict[str, list[Pair]]:
    """
    Read all sources of a stage, a list for each task: a batch holds one task only, so its negatives are of one kind.

    :param settings: the stage.
    :param data: the folder that the sources' paths start from.
    """
    tasks: dict[str, list[Pair]] = defaultdict(list)
    for source in settings.sources:
        for pair in read_pairs(data, source, settings.seed):
            tasks[pair.task].append(pair)
    return {task: pairs for task, pairs in tasks.items() if len(pairs) >= settings.batch_size}


def train_stage(base: Path, data: Path, output: Path, settings: StageSettings, progress: bool = True) -> list[float]:
    """
    Train one stage and save the checkpoint.

    :param base: folder of the model to start from; its tokenizer must append EOS by itself.
    :param data: the folder that the sources' paths start from.
    :param output: where the checkpoint goes.
    :param settings: the stage.
    :param progress: show the trainer's bar.
    :returns: the logged training losses, one every ten steps.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import dot_score

    model = _open_model(base, settings.max_length)
    datasets = {}
    for task, pairs in pairs_by_task(settings, data).items():
        columns = {"anchor": [p.query for p in pairs], "positive": [p.positive for p in pairs]}
        if settings.hard_negatives:
            columns["negative"] = mine_bm25(pairs, settings.seed)
        datasets[task] = Dataset.from_dict(columns)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(output / "trainer"),
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        lr_scheduler_type="linear",
        batch_sampler="no_duplicates",
        multi_dataset_batch_sampler="proportional",
        seed=settings.seed,
        logging_steps=10,
        save_strategy="no",
        report_to=[],
        disable_tqdm=not progress,
    )
    loss = MultipleNegativesRankingLoss(model, scale=1.0 / settings.temperature, similarity_fct=dot_score)
    trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=datasets, loss=loss)
    trainer.train()
    _save(model, output)
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _open_model(base: Path, max_length: int) -> SentenceTransformer:
    """Last-token pooling, no normalisation (the released models' convention); a Llama takes the shorter way to its vector."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from bmretriever_integrations.forward.last_token import shorten

    transformer = Transformer(str(base), max_seq_length=max_length)
    shorten(transformer.auto_model)
    width = transformer.auto_model.config.hidden_size
    return SentenceTransformer(modules=[transformer, Pooling(width, "lasttoken")], device=None)


def _save(model: SentenceTransformer, output: Path) -> None:
    """Save as a folder whose class and limit are those that users load: the plain model, 512 tokens."""
    from transformers import LlamaModel

    network = model[0].auto_model
    if isinstance(network, LlamaModel):
        network.__class__ = LlamaModel
    model.max_seq_length = 512
    model.save(str(output), create_model_card=False)
