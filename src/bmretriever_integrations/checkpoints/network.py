"""Load a network from safetensors files, exactly in the requested number type, whatever other threads load meanwhile."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.decisive_files import weight_files

ATTEMPTS = 20
"""The number of times that a network is built before another thread's changes of the default number type are reported."""

LAYER = re.compile(r"(?:^|\.)(?:layers|h)\.(\d+)\.")
"""The part of a weight's name that says in which layer it is."""


def load_network(folder: Path, dtype: Any, mapped: bool) -> Any:
    """
    Load a network.

    :param folder: a plain checkpoint.
    :param dtype: number type of the weights, a ``torch.dtype``; None takes the widest type of the files.
    :param mapped: whether weights may stay mapped to their file. They must not if they are used in place, because then a change
        of the file would change the network, and the process would be killed where the file becomes shorter.
    :returns: the network without head, in eval mode.
    :raises ValueError: if the files are damaged, pickled or incomplete, or the network of config.json cannot be built.
    :raises FileNotFoundError: if a file of weights is missing.
    :raises RuntimeError: if another thread keeps changing PyTorch's default number type.
    """
    files = [path for path in weight_files(folder) if path.suffix == ".safetensors"]
    if not files:
        raise _no_weights(folder)
    types = _types(files)
    dtype = dtype or _widest(types)
    for _ in range(ATTEMPTS):
        network = _build(folder, dtype)
        if _has_types(network, dtype, files):
            if not mapped and _name_of(dtype) in types:  # weights of another type were copied when they were converted
                copy_weights(network)
            return network.eval()
    raise RuntimeError(
        f"{folder}: another thread keeps changing PyTorch's default number type, e.g. by loading a model; load them one by one"
    )


def embedding_rows(network: Any) -> int:
    """
    Count the ids for which a network has an embedding.

    :param network: a network of transformers.
    """
    return int(network.get_input_embeddings().weight.shape[0])


def copy_weights(network: Any) -> None:
    """
    Copy every weight, one after the other, so that none stays mapped to a file.

    :param network: the network; it is changed.
    """
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data = tensor.data.clone()


def convert(network: Any, dtype: Any) -> Any:
    """
    Convert every weight to a number type. Buffers, such as the frequencies of rotary positions, stay in float32, as they are
    where transformers loads a network in ``dtype``.

    :param network: the network; it is changed.
    :param dtype: the number type.
    :returns: the network.
    """
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype)
    return network


def _no_weights(folder: Path) -> ValueError:
    if any(path.suffix in (".bin", ".pt", ".pth") for path in folder.iterdir()):
        return ValueError(
            f"{folder} has no *.safetensors weights. Pickled weights (.bin, .pt) can run code and are not loaded; convert "
            "them once with save_pretrained(..., safe_serialization=True)."
        )
    return ValueError(
        f"{folder} has no *.safetensors weights: the download or copy is incomplete, or there are pickled weights (.bin) only, "
        "which are not loaded. Download or copy model.safetensors, or all files that model.safetensors.index.json names."
    )


def _types(files: list[Path]) -> set[str]:
    """Return the names of the number types in the files, e.g. "F32"."""
    from safetensors import SafetensorError, safe_open

    found = set()
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  (it is no dict)
        except SafetensorError as error:
            raise ValueError(f"{path} is damaged or incomplete ({error}); download or copy it again") from error
    return found


def _name_of(dtype: Any) -> str:
    """Return the name by which safetensors calls a number type."""
    return {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}.get(str(dtype).removeprefix("torch."), "")


def _widest(types: set[str]) -> Any:
    import torch

    narrow = types & {"F32", "F64", "BF16", "F16"}
    return {frozenset({"BF16"}): torch.bfloat16, frozenset({"F16"}): torch.float16}.get(
        frozenset(narrow), torch.float32
    )


def _build(folder: Path, dtype: Any) -> Any:
    from transformers import AutoModel

    from bmretriever_integrations.device import is_out_of_memory

    try:
        network, report = AutoModel.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            return_dict=True,  # whatever config.json says of the form of the results
        )
    except Exception as error:  # transformers raises whatever a wrong value leads to, e.g. ZeroDivisionError
        if is_out_of_memory(error) or isinstance(error, OSError | ImportError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{folder}: transformers cannot build the network that config.json describes from its weights "
            f"({type(error).__name__}: {reason})"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{folder}: {len(missing)} weights are missing, e.g. {missing[0]}; they would be random")
    layers = getattr(network.config, "num_hidden_layers", None)
    numbered = ((name, LAYER.search(name)) for name in sorted(report["unexpected_keys"]))
    more = [name for name, found in numbered if found and layers is not None and int(found[1]) >= layers]
    if more:
        raise ValueError(
            f"{folder / 'config.json'} says that there are {layers} layers, but the weights have more, e.g. {more[0]}"
        )
    return network


def _has_types(network: Any, dtype: Any, files: list[Path]) -> bool:
    """
    Check every tensor's type, and read weights of another type again from the files.

    transformers creates a network in PyTorch's default number type, which belongs to the whole process. Where another thread
    loads a float16 model at the same time, float32 weights are rounded to float16.
    """
    import torch

    wrong = {name: tensor for name, tensor in network.named_parameters() if tensor.is_floating_point()}
    wrong = {name: tensor for name, tensor in wrong.items() if tensor.dtype != dtype}
    for name, stored in _stored(files, wrong, network.base_model_prefix).items():
        if stored.shape == wrong[name].shape:
            wrong.pop(name).data = stored.to(dtype, copy=True)
    renew_scale(network, dtype)
    buffers = [buffer.dtype for buffer in network.buffers() if buffer.is_floating_point()]
    return not wrong and set(buffers) <= {dtype, torch.float32}


def renew_scale(network: Any, dtype: Any) -> None:
    """
    Make the factor of Gemma's embedding anew, which is in a buffer and in no file. Other networks stay unchanged.

    :param network: the network; it is changed.
    :param dtype: number type of the factor.
    """
    import torch

    for module in network.modules():
        scale = getattr(module, "scalar_embed_scale", None)
        if scale is not None:
            module.embed_scale = torch.tensor(scale, dtype=dtype)


def _stored(files: list[Path], names: Any, prefix: str) -> dict[str, Any]:
    """Read the tensors of the given names; checkpoints with a language head have a prefix before every name."""
    from safetensors import safe_open

    found = {}
    for path in files if names else []:
        with safe_open(path, "pt") as file:
            for key in set(file.keys()):
                name = key if key in names else key.removeprefix(f"{prefix}.")
                if name in names:
                    found[name] = file.get_tensor(key)
    return found
