"""Everything that decides a stage's result. Frozen, checked when it is made, so that no step runs on a wrong value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bmretriever_integrations.training.yaml_settings import Checked


@dataclass(frozen=True, kw_only=True)
class DataSettings(Checked):
    """One source of pairs within the data folder."""

    path: str
    """A .parquet file or a folder of them, from the folder that ``--data`` names."""
    limit: int | None = None
    """Pairs drawn from it, by the seed; None takes all."""
    weight: float = 1.0
    """How often an epoch shows each of its pairs: 2 shows all of them twice, 0.5 half of them once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _above("limit", self.limit, 0)
        _above("weight", self.weight, 0)


@dataclass(frozen=True, kw_only=True)
class LoraSettings(Checked):
    """Low-rank adapters instead of training every weight; for backbones whose optimizer state would not fit."""

    rank: int = 16
    """STM's published table, which follows BMRetriever: 16."""
    alpha: int = 32
    """Same source: 32."""
    dropout: float = 0.0
    target: str = "all-linear"
    """Layers that get an adapter, in peft's words. Same source: all linear layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _above("rank", self.rank, 0)
        _above("alpha", self.alpha, 0)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")


@dataclass(frozen=True, kw_only=True)
class StageSettings(Checked):
    """One stage."""

    batch_size: int
    """Queries of a step over all processes; the other rows' passages are their negatives."""
    learning_rate: float
    data: tuple[DataSettings, ...] = ()
    """Sources and their shares; none takes every .parquet file of the data folder."""
    epochs: float | None = None
    max_steps: int | None = None
    """Length of the stage; exactly one of the two is given."""
    max_length: int = 512
    """Tokens, EOS included (paper's eval.py: 512)."""
    warmup_steps: int = 100
    """Steps in which the rate rises from 0 (STM's published table: 100)."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled to it (default of transformers)."""
    temperature: float = 1.0
    """Divides the similarities (Tevatron's default: 1)."""
    similarity: Literal["dot", "cosine"] = "dot"
    """What the loss compares by; released models: dot product."""
    normalize: bool = False
    """Scale vectors to length 1, in training and in the saved checkpoint; released models: no."""
    negatives: int = 0
    """Hard negatives of each pair that are used, the hardest first."""
    mask_margin: float | None = None
    """Leave out negatives that the model itself scores above the positive by more than this, in units of the similarity;
    they may be unlabelled positives. None leaves none out but those that are known to be positives."""
    distillation: float = 0.0
    """Weight of the divergence from the miner's scores; 0 is the paper's recipe."""
    distillation_temperature: float = 1.0
    """Divides the miner's scores before their softmax."""
    homogeneous: bool = True
    """Each batch from one task, so that its negatives are of the positive's kind."""
    task_exponent: float = 1.0
    """A task's share of the batches grows with its size to this power: 1 shows every pair once an epoch, 0 every task alike."""
    gradient_caching: bool = False
    """Embed twice and hold one mini-batch's activations only (GradCache): any batch size fits, at about a third more time."""
    mini_batch_tokens: int = 16_384
    """Tokens embedded at once."""
    gradient_checkpointing: bool = False
    bf16: bool = False
    """Compute in bfloat16; weights that are trained stay float32."""
    lora: LoraSettings | None = None
    """None trains every weight."""
    seed: int = 0
    eval_share: float = 0.01
    """Share of the queries that is held out, with all their pairs; by a hash of the query, so it is the same in every run."""
    eval_pairs: int = 1000
    """Most held-out pairs that are used to evaluate."""
    eval_every: int = 100
    """Steps between two evaluations."""
    save_every: int = 100
    """Steps between two states that a killed run resumes from."""
    log_every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        _above("batch_size", self.batch_size, 1)  # the other rows are the negatives
        positive = ("learning_rate", "epochs", "max_steps", "max_grad_norm", "temperature", "distillation_temperature")
        for name in (*positive, "mini_batch_tokens", "eval_every", "save_every", "log_every"):
            _above(name, getattr(self, name), 0)
        _above("max_length", self.max_length, 2)
        for name in (
            "warmup_steps",
            "weight_decay",
            "negatives",
            "mask_margin",
            "distillation",
            "task_exponent",
            "eval_pairs",
            "seed",
        ):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be below 0, got {value}")
        if not 0 <= self.eval_share < 1:
            raise ValueError(f"eval_share must be at least 0 and below 1, got {self.eval_share}")
        if self.seed >= 2**32:
            raise ValueError(f"seed must be below 2^32, got {self.seed}")
        self._check_together()

    def _check_together(self) -> None:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError(f"give epochs or max_steps, one of them; got {self.epochs} and {self.max_steps}")
        if self.save_every % self.log_every:
            raise ValueError(
                f"save_every must be a multiple of log_every, or a resumed run's next logged loss would be the mean of fewer "
                f"steps; got {self.save_every} and {self.log_every}"
            )
        if self.distillation and not self.negatives:
            raise ValueError(
                "distillation compares scores of the positive and its hard negatives: set negatives above 0"
            )
        if self.normalize and self.similarity == "dot" and self.temperature == 1:
            raise ValueError(
                "normalize with temperature 1 leaves the logits within 1 of each other and nothing is learnt; "
                "set a temperature such as 0.02 or 0.05"
            )


def _above(name: str, value: float | None, bound: float) -> None:
    if value is not None and not value > bound:
        raise ValueError(f"{name} must be above {bound}, got {value}")
