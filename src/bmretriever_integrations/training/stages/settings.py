"""Everything that decides a stage's result. Frozen, and checked when it is made, so that no step runs on a wrong value."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bmretriever_integrations.training.yaml_settings import Settings

HIGHEST_TEMPERATURE = 0.5
"""Highest temperature of cosines. A guess, ten times what is customary: the lowest possible loss of a batch of 32 is then 0.4."""


class DataSettings(Settings):
    """One source of pairs within the data folder."""

    path: str
    """A .parquet file or a folder of them, relative to the folder that ``--data`` names."""
    limit: PositiveInt | None = None
    """Number of pairs drawn from the source by the seed; None takes all."""
    weight: PositiveFloat = 1.0
    """How often an epoch shows each of the source's pairs: 2 shows all of them twice, 0.5 half of them once."""


class LoraSettings(Settings):
    """Low-rank adapters instead of training every weight, for backbones whose optimizer state would not fit."""

    rank: PositiveInt = 16
    """Rank of the two matrices of an adapter (STM, arXiv 2602.04731, Table 9, which follows BMRetriever: 16)."""
    alpha: PositiveInt = 32
    """The adapter's product is scaled by ``alpha / rank`` (STM: 32)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapter's inputs that is dropped while training."""
    target: str = "all-linear"
    """Layers that get an adapter, in peft's words (STM: all linear layers)."""


class TeacherSettings(Settings):
    """A stronger retriever whose similarities the model learns to reproduce."""

    model: str = Field(min_length=1)
    """A folder of sentence-transformers, or the hub id of one."""
    query_prompt: str = ""
    """What the teacher gets before each query; ``{instruction}`` in it becomes the pair's instruction."""
    passage_prompt: str = ""
    """What the teacher gets before each passage."""
    false_negative_share: float | None = Field(None, gt=0)
    """Leaves negatives out of InfoNCE that the teacher scores above this share of the positive's score, because they may be
    unlabelled positives (NV-Retriever, arXiv 2407.15831: 0.95). None leaves none out."""


class StageSettings(Settings):
    """Settings of one stage."""

    batch_size: int = Field(gt=1)  # the other rows are the negatives
    """Queries of a step over all processes; the other rows' passages are their negatives."""
    learning_rate: PositiveFloat
    """The highest rate, reached at the end of the warm-up."""
    data: tuple[DataSettings, ...] = Field((), strict=False)  # YAML gives a list
    """Sources and their shares; none takes every .parquet file of the data folder."""
    epochs: PositiveFloat | None = None
    """Length of the stage in passes over the data."""
    max_steps: PositiveInt | None = None
    """Length of the stage in steps; exactly one of ``epochs`` and ``max_steps`` is given."""
    max_length: int = Field(512, gt=2)
    """Most tokens of a text, EOS included (paper's eval.py: 512)."""
    warmup_steps: NonNegativeInt | None = None
    """Steps in which the learning rate rises from 0; None takes ``warmup_share`` of the stage's steps."""
    warmup_share: float | None = Field(None, ge=0, lt=1)
    """Share of the stage's steps in which the learning rate rises, instead of ``warmup_steps``; None takes 0.1 (Tevatron's
    default)."""
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    """How the learning rate falls after the warm-up."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of AdamW."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients longer than this are scaled to it (default of transformers)."""
    temperature: PositiveFloat = 1.0
    """The similarities are divided by this (Tevatron's default: 1)."""
    similarity: Literal["dot", "cosine"] = "dot"
    """Similarity that the loss compares by; the released models use the dot product. A checkpoint that was trained by the cosine
    normalises its vectors, so that their dot product is the cosine."""
    normalize: bool = False
    """Whether vectors are scaled to length 1, in training and in the saved checkpoint; those of the released models are not."""
    negatives: NonNegativeInt = 0
    """Number of hard negatives of each pair that are used, the hardest first."""
    mask_margin: NonNegativeFloat | None = None
    """Leaves out negatives that the model itself scores above the positive by more than this, in units of the similarity;
    they may be unlabelled positives. None leaves none out but those that are known to be positives."""
    distillation: NonNegativeFloat = 0.0
    """Weight of the divergence from the teacher's scores of all candidates of the batch; without a teacher, from the miner's
    scores of the positive and its hard negatives. 0 is the paper's recipe."""
    distillation_temperature: PositiveFloat = 1.0
    """The teacher's or the miner's scores are divided by this before their softmax."""
    teacher: TeacherSettings | None = None
    """The retriever that is distilled; None has none, as the paper."""
    homogeneous: bool = True
    """Whether a batch holds one task, so that its negatives are of the positive's kind. What is left of the tasks after their
    last whole batch, and tasks that are smaller than a batch, share batches."""
    task_exponent: NonNegativeFloat = 1.0
    """A task's share of an epoch grows with its size to this power: 1 shows every pair once an epoch, 0 every task alike."""
    gradient_caching: bool = False
    """Embed twice and hold one mini-batch's activations only (GradCache): any batch size fits, at about a third more time. It is
    left out in steps whose texts fit into one mini-batch; with several processes, only if those of every step would."""
    mini_batch_tokens: PositiveInt = 16_384
    """Most tokens embedded at once, without padding."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass instead of kept."""
    bf16: bool = False
    """Whether to compute in bfloat16; weights that are trained stay float32."""
    lora: LoraSettings | None = None
    """Adapters that are trained instead of the weights; None trains every weight."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the batches, of the sources' limits and of an adapter's first weights."""
    eval_share: float = Field(0.01, ge=0, lt=1)
    """Largest share of the queries that is held out, with all their pairs; by a hash of the query, so it is the same in every
    run. Pairs of other queries with a held-out positive are not trained on either."""
    eval_pairs: NonNegativeInt = 1000
    """Most pairs that are held out and evaluated."""
    eval_every: PositiveInt = 100
    """Steps between two evaluations."""
    save_every: PositiveInt = 100
    """Steps between two saved states, from which a killed run resumes."""
    log_every: PositiveInt = 10
    """Steps between two logged losses."""

    def warmup(self, steps: int) -> int:
        """
        Give the number of steps in which the learning rate rises.

        :param steps: steps of the stage.
        :raises ValueError: if the warm-up takes all of them, because the learning rate would never be reached.
        """
        if self.warmup_steps is None:
            return int((0.1 if self.warmup_share is None else self.warmup_share) * steps)
        if self.warmup_steps >= steps:
            raise ValueError(
                f"warmup_steps is {self.warmup_steps}, but the stage has {steps} steps, so the learning rate would never be "
                "reached: set warmup_steps to null and warmup_share to 0.1, or raise epochs or max_steps"
            )
        return self.warmup_steps

    @property
    def unit_vectors(self) -> bool:
        """Return whether the similarity is that of vectors of length 1, so that the saved checkpoint normalises."""
        return self.normalize or self.similarity == "cosine"

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if (self.epochs is None) == (self.max_steps is None):
            raise ValueError(f"give epochs or max_steps, one of them; got {self.epochs} and {self.max_steps}")
        if self.warmup_steps is not None and self.warmup_share is not None:
            raise ValueError(
                f"give warmup_steps or warmup_share, one of them; got {self.warmup_steps} and {self.warmup_share}"
            )
        if self.max_steps is not None:
            self.warmup(self.max_steps)
        if self.save_every % self.log_every:
            raise ValueError(
                f"save_every must be a multiple of log_every, or a resumed run's next logged loss would be the mean of fewer "
                f"steps; got {self.save_every} and {self.log_every}"
            )
        return self

    @model_validator(mode="after")
    def _check_loss(self) -> Self:
        if self.distillation and not self.negatives and not self.teacher:
            raise ValueError(
                "distillation compares scores of the positive and its hard negatives: set negatives above 0, name a teacher, or "
                "set distillation to 0"
            )
        if self.teacher and not self.distillation and self.teacher.false_negative_share is None:
            raise ValueError(
                "the teacher changes nothing: set distillation above 0, or teacher.false_negative_share to a number"
            )
        if self.unit_vectors and self.temperature > HIGHEST_TEMPERATURE:
            name = "normalize" if self.normalize else "similarity: cosine"
            raise ValueError(
                f"{name} with temperature {self.temperature} leaves the logits within {1 / self.temperature:.2g} of 0 and next "
                "to nothing is learnt; set a temperature such as 0.02 or 0.05, or compare by the dot product without normalize"
            )
        return self
