"""SmolLM2's embedding matrix and a new vocabulary -> the untrained base of "mini": one layer that averages.

SmolLM2-135M is too slow to train on a CPU, and its first layers alone do not represent a whole text at its last token. Its word
vectors can be used again: each row of the new vocabulary starts as the mean of SmolLM2's rows for that word. The one layer
starts as the average of all tokens, which is what a bag-of-words retriever computes; training turns the average into attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaModel, PreTrainedTokenizerFast

WIDTH = 576
HEAD_WIDTH = 64
MLP_WIDTH = 1536
# These are the values of SmolLM2-135M's config.json. It has three key-value heads; nine keep all 576 dimensions of a token.
NORM = 20.0**0.5
"""Norm of a vector before training. With dot products and temperature 1 the logits are then within +-20, the range of a cosine
at the usual temperature of 0.05 (SimCSE); training changes the norm."""
ROW_NORM = 3.2
"""Mean norm of a row of SmolLM2-135M's embedding matrix (measured)."""
GAIN = 4.0
"""Factor of the average, which the layer adds to the end token's own row. With factor 1 that row would outweigh short texts."""


def build_base(rows: Tensor, of_rows: Any, tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> LlamaModel:
    """
    Make the untrained base.

    :param rows: an embedding matrix. *Shape:* (vocabulary, 576)
    :param of_rows: the tokenizer of that matrix.
    :param tokenizer: the tokenizer of the base, from :func:`~bmretriever_integrations.training.base.tokenizer.train_tokenizer`.
    :param seed: decides the small random weights of the layer's queries and keys.
    :returns: the network with one layer, in float32.
    """
    import torch
    from transformers import LlamaConfig, LlamaModel

    heads = WIDTH // HEAD_WIDTH
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=MLP_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_theta=100_000.0,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
        use_cache=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = LlamaModel(config)
        layer = network.layers[0]
        with torch.no_grad():
            network.embed_tokens.weight.copy_(word_rows(rows, of_rows, tokenizer))
            for projection in (layer.self_attn.q_proj, layer.self_attn.k_proj):
                torch.nn.init.normal_(projection.weight, std=0.02)  # nearly equal attention to every token
            torch.nn.init.eye_(layer.self_attn.v_proj.weight)
            layer.self_attn.o_proj.weight.copy_(torch.eye(WIDTH) * GAIN)
            torch.nn.init.zeros_(layer.mlp.down_proj.weight)
            network.norm.weight.fill_(NORM / WIDTH**0.5)
    return network.eval()


def word_rows(rows: Tensor, of_rows: Any, tokenizer: PreTrainedTokenizerFast) -> Tensor:
    """
    Give every piece of a vocabulary the mean of another model's rows for it, in lower case and with a capital letter.

    :param rows: the other model's embedding matrix. *Shape:* (its vocabulary, width)
    :param of_rows: the other model's tokenizer.
    :param tokenizer: the vocabulary.
    :returns: the rows, each of norm :data:`ROW_NORM`. *Shape:* (vocabulary, width) float32
    """
    import torch

    centred = rows - rows.mean(0)  # what all rows share says nothing of a word
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    found = torch.empty(len(pieces), rows.shape[1])
    for row, ids in enumerate(_ids_of_pieces(pieces, of_rows)):
        found[row] = torch.stack([centred[form].mean(0) * len(form) ** 0.5 for form in ids]).mean(0)
    scaled: Tensor = found / found.norm(dim=1, keepdim=True).clamp_min(1e-3) * ROW_NORM
    return scaled


def _ids_of_pieces(pieces: Sequence[str], of_rows: Any) -> list[list[list[int]]]:
    """Find the other tokenizer's ids of each piece's two forms; the form of a lone byte or special token is its name."""
    from tokenizers.decoders import ByteLevel

    decoder = ByteLevel()
    forms = []
    for piece in pieces:
        text = decoder.decode([piece]) or piece
        space = " " if text.startswith(" ") else ""
        forms.append(sorted({text, space + text[len(space) :].capitalize()}))
    flat = [form for of_piece in forms for form in of_piece]
    ids = iter(of_rows(flat, add_special_tokens=False)["input_ids"])
    return [[next(ids) or [0] for _ in of_piece] for of_piece in forms]
