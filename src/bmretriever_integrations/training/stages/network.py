"""Base folder -> the network that is trained; and back to a folder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmretriever_integrations.device import resolve_device, resolve_dtype
from bmretriever_integrations.forward.choose import knows
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.layout import padded_to
from bmretriever_integrations.pooling import last_token
from bmretriever_integrations.training.stages.settings import LoraSettings, StageSettings


@dataclass(frozen=True)
class Base:
    """A base model in memory."""

    network: Any
    """A decoder without head; its layers hold the adapters where there are any."""
    tokenizer: Any
    adapter: Any
    """peft's view of the network, which saves the adapter alone; None where every weight is trained."""
    name: str
    """What an adapter calls its base: a hub id or an absolute path."""
    folders: tuple[Path, ...]
    """Where its files are."""


class LastTokenVectors(nn.Module):
    """
    Token ids -> vectors, as the encoder makes them: right padding, the last token's state, no normalisation unless asked.

    The one module of the ``SentenceTransformer`` that is trained. Its own ``Transformer`` and ``Pooling`` would run the last
    layer on every token; here it runs on the last one (:mod:`~bmretriever_integrations.forward.last_layer`).
    """

    def __init__(self, network: Any, normalize: bool) -> None:
        """
        :param network: a decoder without head.
        :param normalize: scale vectors to length 1.
        """
        super().__init__()
        self.network = network
        self._decoder = FlatDecoder(network, "grouped") if knows(network) and not _drops(network.config) else None
        self.normalize = normalize

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """
        Embed right-padded rows.

        :param features: ``input_ids`` and ``attention_mask``. *Shape:* (rows, length) int64 each.
        :returns: ``sentence_embedding``. *Shape:* (rows, width)
        """
        ids, lengths = features["input_ids"], features["attention_mask"].sum(1)
        if self._decoder is not None:
            layout = padded_to(ids.shape[1], lengths.tolist(), ids.device)
            vectors = self._decoder(ids.flatten(), layout)
        else:  # no mask: right padding comes after every real token, and a causal kernel never looks ahead
            vectors = last_token(self.network(input_ids=ids, use_cache=False).last_hidden_state, lengths)
        if self.normalize:
            vectors = nn.functional.normalize(vectors.float(), dim=-1)
        return {"sentence_embedding": vectors}


def _drops(config: Any) -> bool:
    """Whether it is trained with dropout, which the flat decoder has not; no released base is."""
    return any(getattr(config, name, 0.0) for name in ("attention_dropout", "hidden_dropout"))


def open_base(base: str, settings: StageSettings) -> Base:
    """
    Load the model to start from and make trainable what is to be trained.

    :param base: a plain or a sentence-transformers folder, or a hub id.
    :param settings: the stage.
    :raises FileNotFoundError: if it is nowhere to be found.
    :raises ValueError: if the folder is no checkpoint, its weights are damaged, or bf16 is asked for where the device does not
        compute in it.
    """
    from safetensors import SafetensorError

    from bmretriever_integrations.loading import load
    from bmretriever_integrations.settings import EncoderSettings

    check_bf16(settings)
    dtype = torch.bfloat16 if settings.bf16 and settings.lora else torch.float32  # frozen weights need no more
    try:
        loaded = load(EncoderSettings(model=base), dtype)
    except SafetensorError as error:
        raise ValueError(f"the weights of base {base} are damaged: {error}; fetch or make them again") from error
    network = loaded.network
    network.config.use_cache = False
    network.requires_grad_(settings.lora is None)
    adapter = None if settings.lora is None else _add_lora(network, settings.lora)
    if settings.gradient_checkpointing:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    folder = Path(base)
    return Base(network, loaded.tokenizer, adapter, str(folder.resolve()) if folder.is_dir() else base, loaded.folders)


def check_bf16(settings: StageSettings) -> None:
    """
    Refuse bfloat16 where it would be emulated, at a fraction of float32's speed.

    :param settings: the stage.
    :raises ValueError: if it asks for bf16 on a device without.
    """
    device = resolve_device(None)
    if settings.bf16 and resolve_dtype("auto", device) is not torch.bfloat16:
        raise ValueError(f"bf16 is true, but this {device.type} does not compute in bfloat16: set bf16 to false")


def _add_lora(network: Any, lora: LoraSettings) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.target, bias="none"
    )
    return get_peft_model(network, config)


def save_network(base: Base, output: Path, settings: StageSettings) -> None:
    """
    Save what was trained as a checkpoint; of an adapter both the adapter alone and the merged network.

    :param base: from :func:`open_base`, trained.
    :param output: the folder; made if it is not there. The adapter goes to ``adapter`` in it.
    :param settings: the stage.
    """
    network = base.network
    if base.adapter is not None:
        network = _merged(base, output / "adapter")
    network.config.use_cache = False
    write_checkpoint(network.float().eval(), base.tokenizer, output, settings.normalize)


def _merged(base: Base, folder: Path) -> Any:
    """Merge as whoever loads the adapter will: into the base as it is on the disk, in float32."""
    from bmretriever_integrations.loading import load
    from bmretriever_integrations.settings import EncoderSettings

    base.adapter.peft_config["default"].base_model_name_or_path = base.name
    base.adapter.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return load(EncoderSettings(model=str(folder)), torch.float32).network


def write_checkpoint(network: Any, tokenizer: Any, output: Path, normalize: bool) -> None:
    """
    Write a checkpoint into a run's folder, beside what is there.

    :param network: a decoder without head, in float32.
    :param tokenizer: its tokenizer.
    :param output: the folder.
    :param normalize: whether its vectors are scaled to length 1.
    """
    from bmretriever_integrations.export import write_sentence_transformer

    draft = output / ".checkpoint"
    shutil.rmtree(draft, ignore_errors=True)
    write_sentence_transformer(network, tokenizer, draft, normalize=normalize)
    for written in draft.iterdir():
        target = output / written.name
        if target.is_dir():
            shutil.rmtree(target)  # left by a start that was stopped while it saved
        written.replace(target)
    draft.rmdir()
