"""Hold the settings that decide which engine is built. They are checked once and can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints import DEFAULT_MODEL

FORWARDS = ("auto", "packed", "padded", "plain")
"""Ways to run a network; :func:`~bmretriever_integrations.forward.choose.choose_forward` explains them."""
DTYPES = ("auto", "float32", "bfloat16", "float16")
"""Number types of weights and activations; :func:`~bmretriever_integrations.device.resolve_dtype` explains "auto"."""
QUANTIZATIONS = ("int8", "fp8")
"""8-bit number types for the weights of linear layers; :mod:`bmretriever_integrations.forward.quantization` explains them."""
MAX_LENGTH = 512
"""Tokens of a sequence, EOS included (the authors' eval.py: ``max_length=512 - 1``, then EOS)."""


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """
    The arguments of :class:`~bmretriever_integrations.BMRetrieverEncoder`, whose constructor explains them.

    Engines with equal settings make the same vectors, so components with equal settings can share one engine.
    """

    model: str = DEFAULT_MODEL
    revision: str | None = None
    device: str | None = None
    dtype: str = "auto"
    quantization: str | None = None
    max_length: int = MAX_LENGTH
    normalize: bool = False
    truncate_dim: int | None = None
    max_batch_tokens: int | None = None
    forward: str = "auto"
    local_files_only: bool = False
    token: str | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.model, Path):
            object.__setattr__(self, "model", str(self.model))
        object.__setattr__(self, "dtype", str(self.dtype).removeprefix("torch."))
        if not isinstance(self.model, str) or not self.model.strip():
            raise ValueError(f"model must be a hub id, a short name or a folder, got {self.model!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.quantization not in (None, *QUANTIZATIONS):
            allowed = ", ".join(map(repr, QUANTIZATIONS))
            raise ValueError(f"quantization must be None or one of {allowed}, got {self.quantization!r}")
        if self.forward not in FORWARDS:
            raise ValueError(f"forward must be one of {', '.join(FORWARDS)}, got {self.forward!r}")
        _check_count("max_length", self.max_length, smallest=2)
        if self.truncate_dim is not None:
            _check_count("truncate_dim", self.truncate_dim, smallest=1)
        if self.max_batch_tokens is not None:
            _check_count("max_batch_tokens", self.max_batch_tokens, smallest=1)

    def check_fits(self, config: Any) -> None:
        """
        Check ``max_length`` and ``truncate_dim`` against a checkpoint.

        :param config: the configuration of the checkpoint's network.
        :raises ValueError: if one of them is too large for the checkpoint.
        """
        limit = getattr(config, "max_position_embeddings", None)
        if limit is not None and self.max_length > limit:
            raise ValueError(f"max_length must be at most {limit} for {self.model}, got {self.max_length}")
        if self.truncate_dim is not None and self.truncate_dim > config.hidden_size:
            raise ValueError(f"truncate_dim must be at most {config.hidden_size}, got {self.truncate_dim}")


def _check_count(name: str, value: Any, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < smallest:
        raise ValueError(f"{name} must be at least {smallest}, got {value}")
