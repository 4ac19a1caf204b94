"""Hold the settings that decide which engine is built. They are checked once and can be compared."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints import DEFAULT_MODEL

if TYPE_CHECKING:
    from bmretriever_integrations.checkpoints.loading import Loaded

FORWARDS = ("auto", "packed", "padded", "plain")
"""Ways to run a network; :func:`~bmretriever_integrations.forward.choose.choose_forward` explains them."""
DTYPES = ("auto", "float32", "bfloat16", "float16")
"""Number types of weights and activations; :func:`~bmretriever_integrations.device.resolve_dtype` explains "auto"."""
SHORT_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}
"""Short names of number types, which are taken, too."""
QUANTIZATIONS = ("int8", "fp8")
"""8-bit number types for the weights of linear layers; :mod:`bmretriever_integrations.forward.quantization` explains them."""
MAX_LENGTH = 512
"""Tokens of a sequence, EOS included (the authors' eval.py: ``max_length=512 - 1``, then EOS)."""


def asked_quantization(named: str | None) -> str | None:
    """
    Return the setting that made weights which an engine's identity names.

    :param named: None, one of :data:`QUANTIZATIONS`, or "int7", as "int8" is named on a CPU that gives a weight 7 bits.
    """
    return "int8" if named == "int7" else named


def path_as_text(value: Any) -> Any:
    """
    Turn a path into text. Any other value stays as it is, for the check that comes next.

    :param value: what the user gave for a model or an index.
    """
    return os.fspath(value) if isinstance(value, os.PathLike) else value


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
        object.__setattr__(self, "model", path_as_text(self.model))
        dtype = str(self.dtype).removeprefix("torch.")
        object.__setattr__(self, "dtype", SHORT_DTYPES.get(dtype, dtype))
        if not isinstance(self.model, str) or not self.model.strip():
            raise ValueError(f"model must be a hub id, a short name or a folder, got {self.model!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.quantization not in (None, *QUANTIZATIONS):
            allowed = ", ".join(map(repr, QUANTIZATIONS))
            raise ValueError(f"quantization must be None or one of {allowed}, got {self.quantization!r}")
        if self.forward not in FORWARDS:
            raise ValueError(f"forward must be one of {', '.join(FORWARDS)}, got {self.forward!r}")
        for name in ("normalize", "local_files_only"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        _check_count("max_length", self.max_length, smallest=2)
        if self.truncate_dim is not None:
            _check_count("truncate_dim", self.truncate_dim, smallest=1)
        if self.max_batch_tokens is not None:
            _check_count("max_batch_tokens", self.max_batch_tokens, smallest=1)

    def fitted(self, loaded: Loaded) -> EncoderSettings:
        """
        Check ``max_length`` and ``truncate_dim`` against a checkpoint, and take the length that its own settings ask for.

        :param loaded: the checkpoint.
        :returns: settings with the ``max_length`` of a sentence-transformers folder where that is smaller than the default and
            the default was not changed; else the same settings.
        :raises ValueError: if one of them is too large for the checkpoint, or if the folder keeps some dimensions only and
            ``truncate_dim`` does not say how many.
        """
        config = loaded.network.config
        if loaded.truncate_dim is not None and self.truncate_dim is None:
            raise ValueError(
                f"config_sentence_transformers.json of {self.model} keeps {loaded.truncate_dim} dimensions; pass "
                f"truncate_dim={loaded.truncate_dim} to do so, or truncate_dim={config.hidden_size} to keep all"
            )
        if self.truncate_dim is not None and self.truncate_dim > config.hidden_size:
            raise ValueError(f"truncate_dim must be at most {config.hidden_size}, got {self.truncate_dim}")
        return self.fitted_length(loaded.max_length, getattr(config, "max_position_embeddings", None))

    def fitted_length(self, own: int | None, positions: int | None) -> EncoderSettings:
        """
        Check ``max_length`` against a checkpoint, and take the length that its own settings ask for.

        :param own: tokens of a sequence in the settings of a sentence-transformers folder; None if there are none.
        :param positions: the most tokens of a sequence that the network takes; None if it names no limit.
        :returns: settings with the folder's own length where that is smaller than the default and the default was not changed;
            else the same settings.
        :raises ValueError: if ``max_length`` is too large for the checkpoint.
        """
        if own is not None and own < self.max_length:
            if self.max_length != MAX_LENGTH:
                raise ValueError(
                    f"max_length must be at most {own} for {self.model}, because the folder's own settings "
                    f"(sentence_bert_config.json or tokenizer_config.json) cut texts there; got {self.max_length}"
                )
            return replace(self, max_length=own).fitted_length(None, positions)
        if positions is not None and self.max_length > positions:
            raise ValueError(f"max_length must be at most {positions} for {self.model}, got {self.max_length}")
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave the token out of pickles, which may be stored; a loaded object has no token."""
        return {**self.__dict__, "token": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> EncoderSettings:
        """Return the object itself, which never changes, so that a copy keeps the token."""
        return self

    def __copy__(self) -> EncoderSettings:
        """Return the object itself; see :meth:`__deepcopy__`."""
        return self


def _check_count(name: str, value: Any, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int, got {value!r}")
    if value < smallest:
        raise ValueError(f"{name} must be at least {smallest}, got {value}")
