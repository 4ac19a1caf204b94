"""Random weights in the released models' shapes: made once on the device, and handed to whoever loads a checkpoint."""

from __future__ import annotations

import copy
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import save_file

from bmretriever_integrations.export import write_sentence_transformer

SHARPER = ("query_key_value", "q_proj", "k_proj")
"""Random queries and keys are made larger, so that attention picks words out and a vector depends on its text."""
OUTWARD = ("attention.dense", "dense_4h_to_h", "o_proj", "down_proj")
"""What a layer adds is made smaller the more layers there are, as GPT-2 starts, so that rounding does not pile up with depth."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


class Weights:
    """A network with random weights. Whoever loads it in its own number type shares them; in another, gets a copy."""

    def __init__(self, config: Any, seed: int, device: str, dtype: torch.dtype) -> None:
        """
        :param config: the configuration of the network.
        :param seed: the seed of the random numbers.
        :param device: where they are drawn and stay.
        :param dtype: number type of the weights.
        """
        from transformers import AutoModel

        with torch.device(device):
            self._network = AutoModel.from_config(copy.deepcopy(config), dtype=dtype).eval()
        draw = torch.Generator(device).manual_seed(seed)
        with torch.no_grad():
            for name, weight in self._network.named_parameters():
                weight.copy_(_random(name, weight, config, draw))

    def network(self, dtype: torch.dtype) -> Any:
        """
        Give a network of these weights.

        :param dtype: number type that it is wanted in.
        """
        shared = self._network.parameters() if dtype == self._network.dtype else ()
        network = copy.deepcopy(self._network, {id(weight): weight for weight in shared})
        # not network.to(): it would round the rotary frequencies, too, which loading leaves in float32
        for weight in network.parameters():
            weight.data = weight.data.to(dtype)
        network.config.dtype = dtype
        return network


@contextmanager
def served(weights: Mapping[Path, Weights]) -> Iterator[None]:
    """
    Let transformers' loader, on which all contenders stand, take weights from here instead of from a file.

    A 7B model in bfloat16 would go over the disk with 14 GB, once for each contender.

    :param weights: by the folder that a contender is given, see :func:`write_folder`.
    """
    from transformers import AutoModel

    load = AutoModel.from_pretrained

    def from_pretrained(
        folder: Any,
        *arguments: Any,
        dtype: Any = None,
        attn_implementation: str | None = None,
        output_loading_info: bool = False,
        **options: Any,
    ) -> Any:
        found = weights.get(Path(folder))
        if found is None:
            more = {"dtype": dtype, "attn_implementation": attn_implementation}
            more = {name: value for name, value in more.items() if value is not None}
            return load(folder, *arguments, output_loading_info=output_loading_info, **more, **options)
        if dtype in (None, "auto"):
            dtype = torch.float32  # as the released checkpoints are stored
        network = found.network(getattr(torch, dtype) if isinstance(dtype, str) else dtype)
        if attn_implementation is not None:
            network.set_attn_implementation(attn_implementation)
        return (network, {"missing_keys": [], "unexpected_keys": []}) if output_loading_info else network

    with patch.object(AutoModel, "from_pretrained", from_pretrained):
        yield


def write_folder(folder: Path, config: Any, tokenizer: Path) -> Path:
    """
    Write what a released folder holds beside its weights, and a file without weights in their place.

    :param folder: where; made if it is not there.
    :param config: the configuration of the network.
    :param tokenizer: folder of the tokenizer's two files.
    :returns: the folder.
    """
    return _write(folder, config, tokenizer, {})


def write_checkpoint(folder: Path, config: Any, tokenizer: Path, seed: int, device: str) -> Path:
    """
    Write random weights as the released folders look: config.json, model.safetensors, tokenizer.json, tokenizer_config.json.

    :param folder: where; made if it is not there.
    :param config: the configuration of the network.
    :param tokenizer: folder of the tokenizer's two files.
    :param seed: the seed of the random numbers.
    :param device: where they are drawn; a GPU is faster for the large ones.
    :returns: the folder.
    """
    state = Weights(config, seed, device, torch.float32).network(torch.float32).state_dict()
    return _write(folder, config, tokenizer, {name: weight.cpu() for name, weight in state.items()})


def _write(folder: Path, config: Any, tokenizer: Path, state: dict[str, torch.Tensor]) -> Path:
    from transformers import MODEL_MAPPING

    folder.mkdir(parents=True)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config.architectures = [MODEL_MAPPING[type(config)].__name__]
    config.dtype = "float32"  # as the released ones are stored
    config.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(tokenizer / name, folder / name)
    return folder


def _random(name: str, weight: torch.Tensor, config: Any, draw: torch.Generator) -> torch.Tensor:
    """Linear maps that keep a vector's size, words of size 1 a component, norms and biases as a fresh network has them."""
    gemma = config.model_type == "gemma"
    if weight.ndim == 1:
        scales = name.endswith("norm.weight") and not gemma  # Gemma's scale by 1 + weight
        return torch.ones_like(weight) if scales else torch.zeros_like(weight)
    spread = 1 / math.sqrt(weight.shape[1])
    if "embed" in name and not gemma:  # Gemma multiplies its words by the root of the width
        spread = 1.0
    elif any(part in name for part in SHARPER):
        spread *= math.sqrt(2)
    elif any(part in name for part in OUTWARD):
        spread /= math.sqrt(2 * config.num_hidden_layers)
    return torch.randn(weight.shape, generator=draw, device=draw.device) * spread


class _Linked:
    """Stands for a network whose weights are on the disk already, so that a second folder need not hold a copy."""

    def __init__(self, checkpoint: Path, config: Any) -> None:
        self.checkpoint, self.config = checkpoint, config

    def save_pretrained(self, folder: Path) -> None:
        self.config.save_pretrained(folder)
        os.link(self.checkpoint / "model.safetensors", folder / "model.safetensors")


def write_for_peers(checkpoint: Path, folder: Path) -> Path:
    """
    Write the folder that gives sentence-transformers, and what stands on it, the right vectors: ours, as ``bmretriever export``.

    :param checkpoint: a folder of :func:`write_checkpoint` or :func:`write_folder`.
    :param folder: where, on the same disk.
    :returns: the folder.
    """
    from transformers import AutoConfig, AutoTokenizer

    network = _Linked(checkpoint, AutoConfig.from_pretrained(checkpoint))
    return write_sentence_transformer(network, AutoTokenizer.from_pretrained(checkpoint), folder)
