"""The released models' true shapes, and what a token costs in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bmretriever_integrations.checkpoints import find_checkpoint

PYTHIA = {
    "vocab_size": 50304,
    "max_position_embeddings": 2048,
    "rotary_pct": 0.25,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
# Shapes: config.json of EleutherAI/pythia-410m, EleutherAI/pythia-1b, google/gemma-2b and BMRetriever/BMRetriever-7B.
SHAPES: dict[str, dict[str, Any]] = {
    "410M": {**PYTHIA, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096},
    "1B": {**PYTHIA, "hidden_size": 2048, "num_attention_heads": 8, "intermediate_size": 8192},
    "2B": {
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "hidden_size": 2048,
        "num_attention_heads": 8,
        "num_key_value_heads": 1,
        "head_dim": 256,
        "intermediate_size": 16384,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
    "7B": {
        "vocab_size": 32000,
        "max_position_embeddings": 32768,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "rms_norm_eps": 1e-5,
        "sliding_window": 4096,
        "bos_token_id": 1,
        "eos_token_id": 2,
    },
}
TINY_DEPTH = 4
TINY = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}


def whole_depth(model: str) -> int:
    """
    Layers of the released model.

    :param model: its short name.
    """
    known = find_checkpoint(model)
    if known is None or model not in SHAPES:
        raise ValueError(f"model must be one of {', '.join(SHAPES)}, got {model!r}")
    return known.layers


def config_of(model: str, layers: int, tiny: bool = False) -> Any:
    """
    The configuration of a released model, or of a slice of it.

    :param model: its short name.
    :param layers: how many of its layers; 0 is all.
    :param tiny: keep the kind of network but make it narrow, for a smoke run.
    """
    from transformers import GemmaConfig, GPTNeoXConfig, MistralConfig

    kind = {"2B": GemmaConfig, "7B": MistralConfig}.get(model, GPTNeoXConfig)
    shape = {**SHAPES[model], "num_hidden_layers": layers or (TINY_DEPTH if tiny else whole_depth(model))}
    if tiny:
        shape |= TINY | ({"vocab_size": 32000} if model == "2B" else {})
        shape |= {"head_dim": 32} if "head_dim" in shape else {}
        shape |= {"num_key_value_heads": 2} if model == "7B" else {}
    return kind(**shape)


def thin_config(config: Any) -> Any:
    """
    Two thin layers of a network's true width: what a corpus costs in memory beyond the weights, at little work.

    :param config: the configuration of the network, whose width and vocabulary are kept.
    """
    from transformers import MistralConfig

    return MistralConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=2,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=64,
    )


def layer_weights(config: Any) -> tuple[int, int]:
    """
    Count the weights of the linear layers of one decoder layer.

    :param config: the configuration of the network.
    :returns: all of them, and those that make keys and values.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    head = getattr(config, "head_dim", None) or width // heads
    keys = getattr(config, "num_key_value_heads", None) or heads
    matrices_of_mlp = 2 if config.model_type == "gpt_neox" else 3  # the others have a gate
    keys_and_values = width * head * 2 * keys
    return (
        width * head * 2 * heads + keys_and_values + matrices_of_mlp * width * config.intermediate_size,
        keys_and_values,
    )


def flops(config: Any, lengths: Sequence[float], known: float = 0.0, last_token: bool = False) -> float:
    """
    Count the floating-point operations that a causal forward does for these sequences, padding left out.

    Two for each weight of a layer and token, and two products over the causal half of each attention matrix.

    :param config: the configuration of the network.
    :param lengths: tokens of each sequence.
    :param known: tokens at the beginning of each sequence whose keys and values are there already: nothing is computed for
        them, but the others attend to them.
    :param last_token: whether the last layer computes keys and values alone for all tokens but the last one of a sequence.
    """
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    weights, keys_and_values = layer_weights(config)
    tokens = sum(lengths) - known * len(lengths)
    a_product = 4 * config.num_attention_heads * head  # of one query with one key, and of what comes out with one value
    attention = a_product * sum(n * (n + 1) - known * (known + 1) for n in lengths) / 2
    layer = 2 * weights * tokens + attention
    if not last_token:
        return float(config.num_hidden_layers * layer)
    last = 2 * keys_and_values * tokens + 2 * (weights - keys_and_values) * len(lengths) + a_product * sum(lengths)
    return float((config.num_hidden_layers - 1) * layer + last)


def computed_flops(config: Any, lengths: Sequence[float], tokens: float, is_ours: bool) -> float:
    """
    Count the operations that a contender really does, padding included, for the tokens that its network was given.

    :param config: the configuration of the network.
    :param lengths: tokens of each text.
    :param tokens: that the network was given for all of them.
    :param is_ours: whether it is this engine, which shares the prefix and saves most of the last layer. The others pad.
    """
    if not is_ours:
        return flops(config, lengths) * tokens / sum(lengths)
    known = max(0.0, (sum(lengths) - tokens) / len(lengths))
    return flops(config, lengths, known, last_token=True)
