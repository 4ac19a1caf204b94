"""Load the tokenizer of a model by its name or folder, as the whole checkpoint would be loaded, but without its weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.config_files import check_config_files, check_is_checkpoint
from bmretriever_integrations.checkpoints.decisive_files import SMOLLM2_FILE
from bmretriever_integrations.checkpoints.hub import Hub
from bmretriever_integrations.checkpoints.int8_adapter import is_int8_adapter
from bmretriever_integrations.checkpoints.loading import find_folder
from bmretriever_integrations.checkpoints.locate import MOST_ADAPTERS
from bmretriever_integrations.checkpoints.lora import read_base, rows_of_adapter
from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone
from bmretriever_integrations.checkpoints.sentence_transformer import read_modules
from bmretriever_integrations.checkpoints.smollm2 import is_smollm2, open_smollm2_tokenizer
from bmretriever_integrations.checkpoints.tokenizer import check_tokenizer, has_tokenizer, load_tokenizer


@dataclass(frozen=True)
class TokenizerAlone:
    """A tokenizer, and what a checkpoint says about the length of its texts."""

    tokenizer: Any
    """A tokenizer of transformers."""
    rows: int
    """The number of ids for which the network has an embedding."""
    positions: int | None
    """The most tokens of a sequence that the network takes; None if it names no limit."""
    max_length: int | None
    """Tokens of a sequence in the settings of a sentence-transformers folder; None if there are none."""


def load_tokenizer_alone(model: str, revision: str | None, hub: Hub) -> TokenizerAlone:
    """
    Load a model's tokenizer. A model that is not on this machine is downloaded whole, since it will be needed to embed.

    :param model: a short name, a hub id or a folder.
    :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
    :param hub: the options for requests to the hub.
    :raises FileNotFoundError: as :func:`~bmretriever_integrations.checkpoints.loading.load`.
    :raises ValueError: as :func:`~bmretriever_integrations.checkpoints.loading.load`, but for what is wrong with the weights.
    """
    return _of_model(model, revision, hub, 0)


def _of_model(model: str, revision: str | None, hub: Hub, adapters: int) -> TokenizerAlone:
    folder, _ = find_folder(model, revision, hub)
    with transformers_alone(bars=False):
        return _of_folder(folder, hub, adapters)


def _of_folder(folder: Path, hub: Hub, adapters: int) -> TokenizerAlone:
    if (folder / "modules.json").is_file():
        modules = read_modules(folder)
        return replace(_of_module(modules.network, hub, adapters), max_length=modules.max_length)
    return _of_module(folder, hub, adapters)


def _of_module(folder: Path, hub: Hub, adapters: int) -> TokenizerAlone:
    if not (folder / "adapter_config.json").is_file():
        return _of_network(folder)
    base = read_base(folder)
    check_config_files(folder)
    if adapters >= MOST_ADAPTERS:
        raise ValueError(
            f"{folder}: this adapter's base is an adapter, and so on for more than {MOST_ADAPTERS} of them"
        )
    alone = _of_model(base.model, base.revision, hub, adapters + 1)
    tokenizer = load_tokenizer(folder) if has_tokenizer(folder) else alone.tokenizer
    rows = alone.rows if is_int8_adapter(folder) else rows_of_adapter(folder) or alone.rows
    check_tokenizer(tokenizer, rows, folder)
    return replace(alone, tokenizer=tokenizer, rows=rows)


def _of_network(folder: Path) -> TokenizerAlone:
    from transformers import AutoConfig

    if is_smollm2(folder):
        config, tokenizer = open_smollm2_tokenizer(folder / SMOLLM2_FILE)
        return TokenizerAlone(tokenizer, config.vocab_size, config.max_position_embeddings, None)
    check_is_checkpoint(folder)
    check_config_files(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    tokenizer = load_tokenizer(folder)
    check_tokenizer(tokenizer, config.vocab_size, folder)
    return TokenizerAlone(tokenizer, config.vocab_size, getattr(config, "max_position_embeddings", None), None)
