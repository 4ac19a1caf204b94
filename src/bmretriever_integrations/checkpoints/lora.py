"""Merge a LoRA adapter into its base, with peft."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.decisive_files import read_object
from bmretriever_integrations.checkpoints.network import convert

UNMERGEABLE = ("megatron_config", "layer_replication", "alora_invocation_tokens")
"""Keys of adapter_config.json that change more than weights; ``megatron_config`` even imports a module by its name."""
WRAPPED = "base_model.model."
"""What peft writes before every name of a weight."""
EMBEDDINGS = ("embed_tokens", "embed_in", "wte", "word_embeddings")
"""Names by which the decoders of transformers call their embeddings of tokens."""


@dataclass(frozen=True)
class AdapterBase:
    """Which checkpoint an adapter was trained on."""

    model: str
    """A hub id or a path."""
    revision: str | None
    """Its commit, branch or tag on the hub; None for a path, or if the adapter names none."""


def read_base(folder: Path) -> AdapterBase:
    """
    Read which base an adapter was trained on, and refuse adapters that cannot be merged.

    :param folder: the adapter's folder.
    :returns: the base. A relative path that exists inside the adapter's folder is taken from there, because adapter and base may
        have been copied together.
    :raises ValueError: if adapter_config.json is damaged, is not that of a LoRA adapter, or names no base but itself.
    """
    path = folder / "adapter_config.json"
    config = read_object(path)
    if config.get("peft_type") != "LORA":
        raise ValueError(
            f"{path}: peft_type must be LORA, got {config.get('peft_type')!r}; merge other adapters with peft"
        )
    for key in UNMERGEABLE:
        if config.get(key):
            raise ValueError(f"{path}: adapters with {key} cannot be merged into a base; use peft")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        raise ValueError(
            f"{path} names no base (base_model_name_or_path is {base!r}); set it to the hub id or folder of the checkpoint on "
            "which the adapter was trained"
        )
    inner = folder / base if (folder / base).is_dir() else Path(base).expanduser()
    if not inner.is_dir():
        return AdapterBase(base, config.get("revision"))
    if inner.resolve() == folder.resolve():
        raise ValueError(
            f"{path} names its own folder as base (base_model_name_or_path is {base!r}); set it to the hub id or folder of the "
            "checkpoint on which the adapter was trained"
        )
    return AdapterBase(str(inner), None)


def merge_adapter(network: Any, folder: Path, dtype: Any) -> Any:
    """
    Merge an adapter into its base.

    Each weight is merged in float32 and then rounded once. Otherwise, a shift that is small beside its weight would be lost.

    :param network: the base, without head, in the number type of its files.
    :param folder: the adapter's folder.
    :param dtype: number type of the merged network.
    :returns: the merged network in eval mode.
    :raises ImportError: as :func:`attach_adapter`.
    :raises ValueError: as :func:`attach_adapter`, and if a layer cannot be merged.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = attach_adapter(network, folder, is_trainable=False)
    for module in wrapped.modules():
        if isinstance(module, BaseTunerLayer) and hasattr(module, "merge"):
            base = module.get_base_layer().float()
            try:
                module.merge()
            except RuntimeError as error:  # e.g. lora_bias=True on a layer without bias
                raise ValueError(f"{folder}: the adapter cannot be merged into its base ({error}); use peft") from error
            base.to(dtype)
    wrapped.unload()  # takes peft's layers out of the network again; what they changed is merged
    return convert(network, dtype).eval()


def attach_adapter(network: Any, folder: Path, *, is_trainable: bool) -> Any:
    """
    Attach an adapter to its base.

    When an adapter's weights do not fit the base, peft only warns and the vectors are those of the base; here that is an error.
    Adapters that were trained with the language head name the decoder inside the whole network, e.g. ``gpt_neox.layers``. For
    them, peft is given a module that holds the decoder under that name. What they change in the head is left out, since vectors
    do not depend on it. If the adapter has embeddings of new tokens, the base gets rows for them.

    :param network: the base, without head.
    :param folder: the adapter's folder (adapter_config.json and adapter_model.safetensors).
    :param is_trainable: whether the adapter's weights are to be trained further.
    :returns: the network, wrapped by peft.
    :raises ImportError: if peft is not installed.
    :raises ValueError: if the weights do not fit the base, or are damaged.
    """
    try:
        from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    except ImportError as error:
        raise ImportError(
            f"{folder} is a LoRA adapter: run 'pip install \"bmretriever-integrations[train]\"' for peft"
        ) from error
    state = _read_weights(folder)
    inner = f"{WRAPPED}{network.base_model_prefix}."
    headed = any(name.startswith(inner) for name in state)
    if headed:
        state = {name: tensor for name, tensor in state.items() if name.startswith(inner)}
    _add_rows(network, state)
    whole = _under_its_name(network) if headed else network
    config = PeftConfig.from_pretrained(str(folder))
    config.inference_mode = not is_trainable
    config.base_model_name_or_path = network.name_or_path  # a folder of the cache, where the adapter names a hub id
    config.task_type = None  # the base has no head, whatever task the adapter was trained for
    parts = [name for name, _ in whole.named_modules()]
    saved = [name for name in config.modules_to_save or () if any(f".{part}".endswith(f".{name}") for part in parts)]
    config.modules_to_save = saved or None
    try:
        wrapped = get_peft_model(whole, config)
        report = set_peft_model_state_dict(wrapped, state)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{folder}: the adapter does not fit its base {type(network).__name__}: {reason}") from error
    absent = [name for name in report.missing_keys if "lora_" in name]
    if report.unexpected_keys or absent:
        example = (list(report.unexpected_keys) or absent)[0]
        raise ValueError(
            f"{folder}: the adapter does not fit its base {type(network).__name__} ({len(report.unexpected_keys)} weights "
            f"are unknown to the base, {len(absent)} weights are missing, e.g. {example}); check base_model_name_or_path"
        )
    _set_exactly(wrapped, state)
    return wrapped


def _read_weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    with _opened(folder) as weights:
        state = load_file(weights)
    # where both were resized and trained, peft writes an embedding twice: under its name, and under that of its own wrapper
    return {name: tensor for name, tensor in state.items() if ".modules_to_save." not in name}


@contextmanager
def _opened(folder: Path) -> Iterator[Path]:
    """Find the file of an adapter's weights, and explain what fails while it is read."""
    from safetensors import SafetensorError

    weights = folder / "adapter_model.safetensors"
    if not weights.is_file():
        raise ValueError(f"{folder} has no adapter_model.safetensors; pickled adapters (.bin) are not loaded")
    try:
        yield weights
    except SafetensorError as error:
        raise ValueError(f"{weights} is damaged or incomplete ({error}); copy or download it again") from error


def _under_its_name(network: Any) -> Any:
    """Make a module that holds the decoder under the name that it has inside a network with a language head."""
    from torch.nn import Module

    whole = Module()
    whole.add_module(network.base_model_prefix, network)
    whole.config, whole.name_or_path = network.config, network.name_or_path
    whole.get_input_embeddings = network.get_input_embeddings
    return whole


def _add_rows(network: Any, state: dict[str, Any]) -> None:
    """Give the base as many rows of embeddings as the adapter has."""
    embedding = network.get_input_embeddings()
    name = next(name for name, module in network.named_modules() if module is embedding)
    rows = _rows_in({key: tensor.shape for key, tensor in state.items()}, name)
    if rows is not None and rows != embedding.weight.shape[0]:
        network.resize_token_embeddings(rows, mean_resizing=False)


def _rows_in(shapes: Mapping[str, Sequence[int]], name: str) -> int | None:
    """Count the rows of the embeddings among an adapter's weights; None if it has none."""
    for key, shape in shapes.items():
        _, found, rest = key.partition(f".{name}.")
        if found and "lora_embedding_A" in rest:
            return shape[1]
        if found and rest in ("weight", "base_layer.weight", "token_adapter.base_layer.weight"):
            return shape[0]
    return None


def rows_of_adapter(folder: Path) -> int | None:
    """
    Count the ids for which an adapter has embeddings of its own, without loading its weights.

    :param folder: the adapter's folder.
    :returns: their number, or None if the base's embeddings stay.
    :raises ValueError: if the weights are missing or damaged.
    """
    from safetensors import safe_open

    with _opened(folder) as weights, safe_open(weights, "np") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys() if ".modules_to_save." not in name}  # noqa: SIM118
    return next((rows for name in EMBEDDINGS if (rows := _rows_in(shapes, name)) is not None), None)


def _set_exactly(wrapped: Any, state: dict[str, Any]) -> None:
    """Set the adapter's weights to those of the file: another thread may have changed the type in which peft created them."""
    for name, parameter in wrapped.named_parameters():
        saved = state.get(name.replace(".modules_to_save.default", "").replace(".default", ""))
        if saved is not None and ("lora_" in name or ".modules_to_save." in name):
            parameter.data = saved.float().clone()
