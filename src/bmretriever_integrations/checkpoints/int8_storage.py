"""Store a checkpoint inside this package: int8 rows with one float32 scale each, a quarter of the size of float32."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints.network import renew_scale

if TYPE_CHECKING:
    from torch import Tensor

SCALE = ".scale"
"""Suffix in the name of a tensor that holds the scales of an int8 tensor's rows."""


MODELS = Path(str(files("bmretriever_integrations"))) / "models"
"""The folder of the checkpoints inside the installed package."""


def embedded_folder(name: str) -> Path:
    """
    Find the folder of a checkpoint inside the installed package.

    :param name: its short name, "mini" or "small".
    :raises FileNotFoundError: if this installation lacks it.
    """
    folder = MODELS / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"model {name!r} belongs to this package, but {folder} is missing: reinstall the package, or take another model"
        )
    return folder


def open_embedded(folder: Path) -> Any:
    """
    Open the network of a checkpoint that :func:`pack` wrote.

    :param folder: the folder of the checkpoint.
    :returns: the float32 network in eval mode.
    :raises FileNotFoundError: if the weights are missing, e.g. in a source tree without them.
    :raises ValueError: if the weights are damaged or do not fit config.json.
    """
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModel

    weights = folder / "model.int8.safetensors"
    if not weights.is_file():
        raise FileNotFoundError(
            f"{weights} is missing: this installation lacks the embedded model; reinstall the package"
        )
    try:
        state = unpack(load_file(weights))
        config = AutoConfig.from_pretrained(folder)
        with torch.device("meta"):  # drawing random weights takes longer than reading the right ones
            network = AutoModel.from_config(config)
        network.load_state_dict(state, assign=True)  # copying would round where another thread changed the default type
        network.rotary_emb = type(network.rotary_emb)(config)  # its frequencies are in no file
        renew_scale(network, torch.float32)
        if any(buffer.is_meta for buffer in network.buffers()):
            raise ValueError(f"a network of the kind {config.model_type} has buffers that are in no file")
    except Exception as error:  # transformers raises whatever a wrong value leads to, e.g. ZeroDivisionError
        if isinstance(error, OSError | ImportError | MemoryError):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{weights} is damaged or does not fit config.json ({type(error).__name__}: {reason}); copy it again"
        ) from error
    return network.eval()


def pack(checkpoint: Path, folder: Path) -> None:
    """
    Write a checkpoint with int8 weights.

    :param checkpoint: a folder with config.json, model.safetensors and a tokenizer, in float32.
    :param folder: the folder to write; it is created if it does not exist.
    """
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoTokenizer

    small: dict[str, Tensor] = {}
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        small.update(quantize_rows(name, tensor) if tensor.ndim == 2 else {name: tensor.float()})
    folder.mkdir(parents=True, exist_ok=True)
    save_file(small, folder / "model.int8.safetensors", metadata={"format": "pt", "rows": "int8 times float32 scale"})
    _write_tokenizer(AutoTokenizer.from_pretrained(checkpoint), folder)
    config = AutoConfig.from_pretrained(checkpoint).to_diff_dict()
    config = {
        key: value for key, value in config.items() if not key.startswith("_")
    }  # without the path of the folder in which it was trained
    if rope := config.get("rope_parameters"):  # transformers 5 writes rope_parameters, 4.57 reads rope_theta
        config["rope_theta"] = rope["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer without a trainer's truncation and padding, and under a class that all releases have."""
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(folder / "tokenizer.json"), pretty=False)  # half the size
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "padding_side": "right"}
    tokens = {"eos_token": tokenizer.eos_token, "pad_token": tokenizer.pad_token}
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **tokens}, indent=2) + "\n", encoding="utf-8")


def unpack(small: dict[str, Tensor]) -> dict[str, Tensor]:
    """
    Convert int8 rows back to float32 tensors. All tensors are new, so that none stays mapped to a file.

    :param small: tensors as :func:`pack` stores them.
    """
    return {
        name: tensor.float() * small[name + SCALE] if name + SCALE in small else tensor.clone()
        for name, tensor in small.items()
        if not name.endswith(SCALE)
    }


def quantize_rows(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """
    Quantize symmetrically with one scale for each row: the largest weight of a row becomes 127.

    :param name: the tensor's name.
    :param tensor: *Shape:* (rows, columns)
    :returns: the int8 tensor under its name, and its float32 scales, of the shape (rows, 1), under the name with :data:`SCALE`.
    """
    import torch

    scale = tensor.float().abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
    return {name: torch.round(tensor.float() / scale).to(torch.int8), name + SCALE: scale}
