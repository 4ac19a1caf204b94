"""Hold and check the parameters of the two embedders. They cannot change after the constructor."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from haystack.utils import ComponentDevice, Secret

from bmretriever_integrations.precision import Precision, check_ranges
from bmretriever_integrations.prompts import resolve_instruction
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings

DEFAULT_TOKEN = Secret.from_env_var(["HF_API_TOKEN", "HF_TOKEN"], strict=False)
DTYPE_KEYS = ("dtype", "torch_dtype")
MODEL_KEYS = (*DTYPE_KEYS, "quantization")
"""Keys that ``model_kwargs`` accepts."""
TOKENIZER_KEYS = ("model_max_length",)
"""Keys that ``tokenizer_kwargs`` accepts."""
ADVICE = {
    "model_kwargs": "The engine chooses the attention and the device's layout itself.",
    "tokenizer_kwargs": "The engine handles EOS, BOS, padding and cutting itself, whatever the tokenizer's flags are.",
    "config_kwargs": "The checkpoint's config is used unchanged.",
    "encode_kwargs": "Every option has its own parameter, e.g. batch_size, truncate_dim or max_length.",
}
"""Maps each parameter of keyword arguments to the advice in its error message."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EmbedderSettings:
    """The parameters that both embedders have. The embedders' constructors define the defaults and explain the parameters."""

    model: str
    device: ComponentDevice | None
    token: Secret | None
    prefix: str
    suffix: str
    batch_size: int
    progress_bar: bool
    normalize_embeddings: bool
    trust_remote_code: bool
    local_files_only: bool
    truncate_dim: int | None
    model_kwargs: dict[str, Any] | None
    tokenizer_kwargs: dict[str, Any] | None
    config_kwargs: dict[str, Any] | None
    precision: Precision
    encode_kwargs: dict[str, Any] | None
    backend: Literal["torch"]
    revision: str | None
    quantization_ranges: list[list[float]] | None
    max_length: int
    async_executor: ThreadPoolExecutor | None
    chosen_device: ComponentDevice | None = field(default=None, init=False)
    """The device that the user gave, or None; ``device`` is the device that is used on this machine."""

    def __post_init__(self) -> None:
        if isinstance(self.model, Path):
            object.__setattr__(self, "model", str(self.model))
        if self.device is not None:
            _check_device(self.device)
        object.__setattr__(self, "chosen_device", self.device)
        object.__setattr__(self, "device", ComponentDevice.resolve_device(self.device))
        if self.token is not None and not isinstance(
            self.token, Secret
        ):  # the value is not shown, it may be a real token
            raise TypeError(
                f"token must be a haystack.utils.Secret or None, got {type(self.token).__name__}: write "
                "Secret.from_env_var('HF_TOKEN'), or Secret.from_token(...) if the pipeline is never saved"
            )
        for name in ("prefix", "suffix"):
            check_string(name, getattr(self, name))
        if not isinstance(self.batch_size, int) or isinstance(self.batch_size, bool) or self.batch_size < 1:
            raise ValueError(f"batch_size must be an int of at least 1, got {self.batch_size!r}")
        for name in ADVICE:
            _check_dict(name, getattr(self, name))
        if self.quantization_ranges is not None:  # arrays cannot be written to YAML
            object.__setattr__(self, "quantization_ranges", [[*map(float, row)] for row in self.quantization_ranges])
        self._engine_settings(token=None)

    def engine_settings(self) -> EncoderSettings:
        """
        Make the settings of the engine. The token's value is read only here, at warm-up.

        Normalisation, precision, progress bar and batch size are no settings of the engine, so components that differ only in
        them share an engine.

        :raises ValueError: if the engine does not support the value of a parameter. The constructor accepts such values, so that
            pipelines for other embedders can be loaded and inspected, but they cannot be run.
        """
        if self.trust_remote_code:
            raise ValueError("trust_remote_code must be False: the engine runs no code from a checkpoint")
        if self.backend != "torch":
            raise ValueError(f"backend must be 'torch', got {self.backend!r}: the vectors are checked on PyTorch only")
        _check_keys("model_kwargs", self.model_kwargs, MODEL_KEYS)
        _check_keys("tokenizer_kwargs", self.tokenizer_kwargs, TOKENIZER_KEYS)
        _check_keys("config_kwargs", self.config_kwargs, ())
        _check_keys("encode_kwargs", self.encode_kwargs, ())
        check_ranges(self.precision, self.quantization_ranges)
        return self._engine_settings(token=self.token.resolve_value() if self.token else None)

    def _engine_settings(self, token: str | None) -> EncoderSettings:
        return EncoderSettings(
            model=self.model,
            revision=self.revision,
            device=ComponentDevice.resolve_device(self.device).to_torch_str(),
            dtype=self._dtype(),
            quantization=(self.model_kwargs or {}).get("quantization"),
            max_length=self._max_length(),
            truncate_dim=self.truncate_dim,
            local_files_only=self.local_files_only,
            token=token,
        )

    def _dtype(self) -> str:
        kwargs = self.model_kwargs or {}
        given = {str(kwargs[key]).removeprefix("torch.") for key in DTYPE_KEYS if key in kwargs}
        if len(given) > 1:
            raise ValueError(f"model_kwargs names two number types, {' and '.join(sorted(given))}: keep 'dtype' alone")
        return given.pop() if given else "auto"

    def _max_length(self) -> int:
        cut: int = (self.tokenizer_kwargs or {}).get("model_max_length", self.max_length)
        if self.max_length not in (MAX_LENGTH, cut):
            raise ValueError(
                f"max_length={self.max_length} and tokenizer_kwargs={self.tokenizer_kwargs} contradict each other: give one"
            )
        return cut


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TextSettings(EmbedderSettings):
    """The text embedder's parameters."""

    instruction: str | None

    def __post_init__(self) -> None:
        super().__post_init__()
        resolve_instruction(self.instruction)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DocumentSettings(EmbedderSettings):
    """The document embedder's parameters."""

    meta_fields_to_embed: list[str] | None
    embedding_separator: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check_string("embedding_separator", self.embedding_separator)
        if isinstance(self.meta_fields_to_embed, str):
            raise TypeError(f"meta_fields_to_embed must be a list of str: write [{self.meta_fields_to_embed!r}]")
        object.__setattr__(self, "meta_fields_to_embed", list(self.meta_fields_to_embed or []))


def check_string(name: str, value: Any) -> None:
    """
    Check that a value is a string.

    :param name: the name of the parameter, for the message.
    :param value: the value.
    :raises TypeError: if it is not a str.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}")


def _check_device(device: Any) -> None:
    if not isinstance(device, ComponentDevice):
        raise ValueError(
            f"Invalid component device type '{type(device).__name__}'. Must either be None or ComponentDevice, e.g. "
            "ComponentDevice.from_str('cuda:0')."
        )
    if device.has_multiple_devices:
        raise ValueError(
            f"device must be one device, got a device map: {device.to_dict()['device_map']}. One engine runs on one device; "
            "use ComponentDevice.from_str('cuda:0'), and a component for each device."
        )


def _check_dict(name: str, given: Any) -> None:
    if given is not None and not isinstance(given, dict):
        raise TypeError(f"{name} must be a dict or None, got {type(given).__name__}")


def _check_keys(name: str, given: dict[str, Any] | None, allowed: Collection[str]) -> None:
    unknown = sorted(set(given or ()) - set(allowed), key=str)
    if unknown:
        may = f"it takes {', '.join(map(repr, allowed))}" if allowed else "it takes no keys"
        raise ValueError(f"{name} holds {', '.join(map(repr, unknown))}, but {may}. {ADVICE[name]}")
