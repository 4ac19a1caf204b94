"""Base folder -> the network that is trained -> checkpoint folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmretriever_integrations.checkpoints.instructions import PROMPTS
from bmretriever_integrations.checkpoints.lora import AdapterBase, attach_adapter, read_base
from bmretriever_integrations.device import resolve_device, resolve_dtype
from bmretriever_integrations.forward.choose import has_varlen, knows
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.independence import check_independent
from bmretriever_integrations.forward.layout import packed_to, padded_to
from bmretriever_integrations.forward.plain import PlainForward, last_token
from bmretriever_integrations.training.stages.settings import LoraSettings, StageSettings
from bmretriever_integrations.training.stages.state import read_json


@dataclass(frozen=True)
class Base:
    """A base model in memory."""

    network: Any
    """A decoder without head; with LoRA, its linear layers contain the adapter."""
    tokenizer: Any
    """Its tokenizer."""
    adapter: Any
    """The network wrapped by peft, which can save the adapter alone; None where every weight is trained."""
    name: str
    """The name of the base that is written into an adapter: a hub id or an absolute path."""
    folders: tuple[Path, ...]
    """Folders that the files were loaded from."""


class LastTokenVectors(nn.Module):
    """
    Turns token ids into the encoder's vectors: the state of the last token, not normalised unless asked.

    It is the only module of the ``SentenceTransformer`` that is trained. The modules ``Transformer`` and ``Pooling`` of
    sentence-transformers would run the last layer on every token; here it runs on the last token alone
    (:mod:`~bmretriever_integrations.forward.last_layer`).
    """

    def __init__(self, network: Any, normalize: bool, *, packs: bool = False) -> None:
        """
        :param network: a decoder without head.
        :param normalize: whether to scale vectors to length 1.
        :param packs: whether to leave padding out, by the variable-length kernel; :func:`can_pack` tells whether that works.
        """
        super().__init__()
        self.network = network
        self._packs = packs
        way = "varlen" if packs else "grouped"
        self._decoder = FlatDecoder(network, way) if knows(network) and not _drops(network.config) else None
        self.normalize = normalize

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """
        Embed right-padded rows.

        :param features: ``input_ids`` and ``attention_mask``. *Shape:* (rows, length) int64 each.
        :returns: the vectors as ``sentence_embedding``. *Shape:* (rows, width)
        """
        ids, lengths = features["input_ids"], features["attention_mask"].sum(1)
        if self._decoder is not None and self._packs:
            layout = packed_to(lengths.tolist(), ids.device)
            vectors = self._decoder(ids[features["attention_mask"].bool()], layout)
        elif self._decoder is not None:
            layout = padded_to(ids.shape[1], lengths.tolist(), ids.device)
            vectors = self._decoder(ids.flatten(), layout)
        else:  # without a mask: padding comes after every real token, and a causal network never attends to later tokens
            vectors = last_token(self.network(input_ids=ids, use_cache=False).last_hidden_state, lengths)
        if self.normalize:
            vectors = nn.functional.normalize(vectors.float(), dim=-1)
        return {"sentence_embedding": vectors}


def can_pack(network: Any, settings: StageSettings) -> bool:
    """
    Tell whether a stage can run without padding: on CUDA in bfloat16, if PyTorch's variable-length kernel gives right results.

    :param network: a decoder without head, on the CPU or the device.
    :param settings: settings of the stage.
    """
    return settings.bf16 and knows(network) and has_varlen(network.config, resolve_device(None), torch.bfloat16)


def _drops(config: Any) -> bool:
    """Tell whether the network has dropout, which the flat decoder lacks; no released base has it."""
    return any(getattr(config, name, 0.0) for name in ("attention_dropout", "hidden_dropout"))


def open_base(base: str, settings: StageSettings) -> Base:
    """
    Load the base, and set which of its weights are trained.

    :param base: a transformers or sentence-transformers folder, or a hub id; or, if ``settings`` asks for LoRA, the folder of an
        adapter, such as stage 1's ``adapter``, which is then trained further.
    :param settings: settings of the stage.
    :raises FileNotFoundError: if there is no such model.
    :raises ImportError: if ``settings`` ask for LoRA and peft is missing.
    :raises ValueError: if the folder is no checkpoint, its network is not causal, its weights are damaged, an adapter has another
        rank or alpha than ``settings``, the model scales its vectors to length 1 and ``settings`` do not, or they ask for bf16
        on a device that does not compute in it.
    """
    from bmretriever_integrations.checkpoints.loading import load

    check_bf16(settings)
    if (
        settings.lora is not None and find_spec("peft") is None
    ):  # the base may be large: this is said before it is fetched
        raise ImportError('lora needs peft: run pip install "bmretriever-integrations[train]", or set lora to null')
    dtype = (
        torch.bfloat16 if settings.bf16 and settings.lora else torch.float32
    )  # bfloat16 is precise enough for frozen weights
    started = _started_adapter(base, settings.lora)
    source = AdapterBase(base, None) if started is None else read_base(started)
    name = source.model
    loaded = load(name, dtype, revision=source.revision)
    if loaded.normalizes and not settings.unit_vectors:
        raise ValueError(
            f"{base} was trained by cosines and scales its vectors to length 1, and these settings do not; "
            "use `--set normalize=true --set temperature=0.02`"
        )
    network = loaded.network
    if not knows(network):
        check_independent(network, PlainForward(network, 0))
    network.config.use_cache = False
    network.requires_grad_(settings.lora is None)
    adapter = None if settings.lora is None else _add_lora(network, settings, started)
    if settings.gradient_checkpointing:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    name = str(Path(name).resolve()) if Path(name).is_dir() else name
    folders = loaded.folders if started is None else (started, *loaded.folders)
    return Base(network, loaded.tokenizer, adapter, name, folders)


def check_bf16(settings: StageSettings) -> None:
    """
    Refuse bfloat16 on a device that would emulate it, much slower than float32.

    :param settings: settings of the stage.
    :raises ValueError: if they ask for bf16 on such a device.
    """
    device = resolve_device(None)
    if settings.bf16 and resolve_dtype("auto", device) is not torch.bfloat16:
        raise ValueError(f"bf16 is true, but this {device.type} does not compute in bfloat16: set bf16 to false")


def _started_adapter(base: str, lora: LoraSettings | None) -> Path | None:
    """Return the folder of the adapter if ``base`` is an adapter and LoRA is asked for, else None."""
    folder = Path(base).expanduser()
    config = folder / "adapter_config.json"
    if lora is None or not config.is_file():
        return None
    stored = read_json(config)
    rank, alpha = stored.get("r"), stored.get("lora_alpha")
    if (rank, alpha) != (lora.rank, lora.alpha):
        raise ValueError(
            f"{folder} has rank {rank} and alpha {alpha}, the settings say {lora.rank} and {lora.alpha}: "
            "an adapter that is trained further keeps its own; set lora.rank and lora.alpha to them"
        )
    return folder


def _add_lora(network: Any, settings: StageSettings, started: Path | None) -> Any:
    from peft import LoraConfig, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    lora = settings.lora
    assert lora is not None
    if started is not None:
        adapter = attach_adapter(network, started, is_trainable=True)
    else:
        config = LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.target, bias="none"
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            adapter = get_peft_model(network, config)
    if settings.bf16:  # autocast casts for each product; peft would also make a float32 copy of every input and keep it
        for module in network.modules():
            if isinstance(module, BaseTunerLayer):
                module.cast_input_dtype_enabled = False
    return adapter


def save_network(base: Base, output: Path, settings: StageSettings, instructions: Mapping[str, str]) -> None:
    """
    Save what was trained as a checkpoint; of an adapter both the adapter alone and the merged network.

    :param base: from :func:`open_base`, trained.
    :param output: the folder; made if it is not there. The adapter goes to ``adapter`` in it.
    :param settings: settings of the stage.
    :param instructions: the instruction of each task that was trained on; they become the checkpoint's prompts.
    """
    network = base.network
    if base.adapter is not None:
        network = _merged(base, output / "adapter")
    network.config.use_cache = False
    write_checkpoint(network.float().eval(), base.tokenizer, output, settings.unit_vectors, instructions)
    if base.adapter is not None:
        shutil.copy(output / PROMPTS, output / "adapter")


def _merged(base: Base, folder: Path) -> Any:
    """Merge the adapter in the way that loading it does: into the base from the disk, in float32."""
    from bmretriever_integrations.checkpoints.loading import load

    base.adapter.peft_config["default"].base_model_name_or_path = base.name
    base.adapter.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    return load(str(folder), torch.float32).network


def write_checkpoint(
    network: Any, tokenizer: Any, output: Path, normalize: bool, instructions: Mapping[str, str]
) -> None:
    """
    Write a checkpoint into a run's folder, beside its other files.

    :param network: a decoder without head, in float32.
    :param tokenizer: its tokenizer.
    :param output: the folder.
    :param normalize: whether the checkpoint scales its vectors to length 1.
    :param instructions: the instruction of each task that was trained on.
    """
    from bmretriever_integrations.export import write_sentence_transformer

    draft = output / ".checkpoint"
    shutil.rmtree(draft, ignore_errors=True)
    write_sentence_transformer(network, tokenizer, draft, normalize=normalize, instructions=instructions)
    for written in draft.iterdir():
        target = output / written.name
        if target.is_dir():
            shutil.rmtree(target)  # left by a start that was stopped while it saved
        written.replace(target)
    draft.rmdir()
