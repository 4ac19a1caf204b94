"""Help tests, in this project and in others: write tiny checkpoints offline, and compute reference vectors by a plain loop."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARCHITECTURES", "Architecture", "reference_encode", "write_tiny_checkpoint"]

Architecture = Literal["gpt_neox", "gemma", "mistral", "llama"]
ARCHITECTURES: tuple[Architecture, ...] = ("gpt_neox", "gemma", "mistral", "llama")

_SENTENCES = (
    "Represent this passage\npassage: Metformin lowers blood glucose in adults with type 2 diabetes mellitus.",
    "Given a scientific claim, retrieve documents that support or refute the claim\nQuery: aspirin prevents stroke",
    "Given a question, retrieve relevant documents that best answer the question\nQuery: What causes sickle cell anaemia?",
    "Randomised trials of ACE inhibitors in heart failure showed lower mortality (hazard ratio 0.77, 95% CI 0.68-0.87).",
    "BRCA1 and BRCA2 mutations raise the risk of breast and ovarian cancer; screening starts at age 25.",
)


def write_tiny_checkpoint(path: str | Path, architecture: Architecture, seed: int = 0) -> Path:
    """
    Write a random two-layer checkpoint of width 64 with a small tokenizer, without any download.

    Its folder is like those of the released checkpoints: config.json names a plain model class, the weights are safetensors,
    and there are no sentence-transformers files. The tokenizer adds BOS for Gemma and Mistral and none for GPT-NeoX and Llama
    (the tokenizer of the embedded model's base adds none).

    :param path: the folder; it is created if it does not exist.
    :param architecture: "gpt_neox", "gemma", "mistral" or "llama".
    :param seed: the seed of the random weights.
    :returns: the folder.
    :raises ValueError: if the architecture is none of the four.
    """
    import torch
    from transformers import AutoModel

    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {architecture!r}")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer = _write_sentencepiece_like if architecture in ("gemma", "mistral") else _write_byte_level
    size = write_tokenizer(folder, architecture)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoModel.from_config(_tiny_config(architecture, size))
        for parameter in network.parameters():  # with the usual 0.02, a tiny network would be almost linear
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    return folder


def reference_encode(
    model_path: str | Path, prompts: Sequence[str], max_length: int = 512, device: str = "cpu"
) -> NDArray[np.float32]:
    """
    Compute the vectors as the authors' eval.py does, plainly and slowly, with transformers alone.

    This project calls a vector right if it equals this one. Each prompt is tokenized with the tokenizer's own special tokens and
    cut to ``max_length - 1`` tokens, EOS is appended, the network runs in float32, and the last token's state is the vector. It
    is not normalised. The network runs one text at a time, so there is no padding.

    :param model_path: folder or hub id of a plain checkpoint.
    :param prompts: texts with their templates.
    :param max_length: tokens of a sequence, EOS included.
    :param device: the device on which the network runs; a large network takes minutes on the CPU.
    :returns: *Shape:* (n, width) float32
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(model_path)
    network = AutoModel.from_pretrained(model_path, dtype=torch.float32).eval().to(device)
    vectors = []
    for prompt in prompts:
        ids = tokenizer(prompt, max_length=max_length - 1, truncation=True)["input_ids"]
        with torch.no_grad():
            row = torch.tensor([[*ids, tokenizer.eos_token_id]], device=device)
            hidden = network(input_ids=row).last_hidden_state
        vectors.append(hidden[0, -1].cpu().numpy())
    if not vectors:
        return np.empty((0, network.config.hidden_size), np.float32)
    array: NDArray[np.float32] = np.stack(vectors)
    return array


def _tiny_config(architecture: Architecture, vocabulary: int) -> Any:
    from transformers import GemmaConfig, GPTNeoXConfig, LlamaConfig, MistralConfig

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 2048,
    }
    if architecture == "gpt_neox":
        return GPTNeoXConfig(**shape, rotary_pct=0.25, bos_token_id=0, eos_token_id=0)
    if architecture == "gemma":
        heads = {"num_key_value_heads": 1, "head_dim": 32}
        return GemmaConfig(**shape, **heads, bos_token_id=2, eos_token_id=1, pad_token_id=0)
    if architecture == "mistral":
        return MistralConfig(**shape, num_key_value_heads=2, sliding_window=4096, bos_token_id=1, eos_token_id=2)
    return LlamaConfig(**shape, num_key_value_heads=2, bos_token_id=1, eos_token_id=2, pad_token_id=2)


def _write_byte_level(folder: Path, architecture: Architecture) -> int:
    """Write a byte-level BPE like Pythia's and SmolLM2's: every text has ids, and no special token is added."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    specials = (
        ["<|endoftext|>", "<|padding|>"]
        if architecture == "gpt_neox"
        else ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    if architecture == "gpt_neox":
        tokens = {"bos_token": specials[0], "eos_token": specials[0], "unk_token": specials[0]}
        config = {"tokenizer_class": "GPTNeoXTokenizer", **tokens}
    else:
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": specials[2], "pad_token": specials[2]}
    _write_config(folder, config)
    return tokenizer.get_vocab_size()


def _write_sentencepiece_like(folder: Path, architecture: Architecture) -> int:
    """Write a BPE in SentencePiece's style like Gemma's and Mistral's: "▁" for a space, bytes for unknown words, BOS first."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors, trainers

    gemma = architecture == "gemma"
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] if gemma else ["<unk>", "<s>", "</s>"]
    bos, eos = ("<bos>", "<eos>") if gemma else ("<s>", "</s>")
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.train_from_iterator(_SENTENCES, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    learnt = json.loads(learner.to_str())["model"]
    pieces = sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocabulary = {
        piece: row for row, piece in enumerate([*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *pieces])
    }
    merges = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Replace(" ", "▁")] if gemma else [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    tokens = {"bos_token": bos, "eos_token": eos, "unk_token": "<unk>", "add_bos_token": True, "add_eos_token": False}
    kind = (
        {"tokenizer_class": "GemmaTokenizer", "pad_token": "<pad>"} if gemma else {"tokenizer_class": "LlamaTokenizer"}
    )
    _write_config(folder, {**kind, **tokens})
    return len(vocabulary)


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
