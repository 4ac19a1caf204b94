"""nomic-embed-text-v1.5: its GGUF file -> the network and tokenizer of transformers -> a sentence-transformers folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints.gguf_file import GgufFile
from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone
from bmretriever_integrations.files import whole_folder

if TYPE_CHECKING:
    from torch import Tensor

MAX_LENGTH = 512
"""Tokens of a text, [CLS] and [SEP] included. The network was trained to read 2,048; most abstracts are shorter than 512."""
PROMPTS = {"query": "search_query: ", "document": "search_document: "}
"""What the authors put before a text. Without it the vectors are worse."""
OF_TENSORS = {
    "token_embd": "embeddings.word_embeddings",
    "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm",
    "attn_output": "self_attn.o_proj",
    "attn_output_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "layer_output_norm": "post_mlp_layernorm",
}
"""Names of a tensor in GGUF and in transformers. The layer's queries, keys and values are one tensor in GGUF, ``attn_qkv``."""


def open_nomic(gguf: Path) -> tuple[Any, Any]:
    """
    Read a network of the kind "nomic-bert" and turn its weights into float32.

    :param gguf: a GGUF file that holds the network and its WordPiece vocabulary, e.g. ``nomic-embed-text-v1.5.f16.gguf``.
    :returns: a ``NomicBertModel`` and its tokenizer, which lower-cases and puts [CLS] before and [SEP] after a text.
    :raises ImportError: if transformers is older than 5.5.
    :raises ValueError: if the file is damaged or holds another kind of network.
    """
    try:
        from transformers import NomicBertConfig, NomicBertModel
    except ImportError as error:
        raise ImportError("transformers 5.5 or newer holds this network: `pip install 'transformers>=5.5'`") from error

    file = GgufFile(gguf)

    def value(key: str) -> Any:
        return file.metadata.get(key)

    kind = value("general.architecture")
    if kind != "nomic-bert":
        raise ValueError(f"{gguf} holds a network of the kind {kind}; only nomic-bert can be read here")
    words = value("tokenizer.ggml.tokens")
    config = NomicBertConfig(
        vocab_size=len(words),
        hidden_size=value("nomic-bert.embedding_length"),
        num_hidden_layers=value("nomic-bert.block_count"),
        num_attention_heads=value("nomic-bert.attention.head_count"),
        intermediate_size=value("nomic-bert.feed_forward_length"),
        max_position_embeddings=value("nomic-bert.context_length"),
        type_vocab_size=value("tokenizer.ggml.token_type_count"),
        layer_norm_eps=value("nomic-bert.attention.layer_norm_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": value("nomic-bert.rope.freq_base")},
        pad_token_id=value("tokenizer.ggml.padding_token_id"),
    )
    network = NomicBertModel(config, add_pooling_layer=False)
    network.load_state_dict(dict(_weights(file)))
    return network.eval(), _tokenizer(words)


def _weights(file: GgufFile) -> Iterator[tuple[str, Tensor]]:
    """Give each tensor its name in transformers, and cut queries, keys and values apart."""
    import torch

    for tensor in file:
        values = torch.from_numpy(file[tensor])
        *block, name, kind = tensor.split(".")  # "blk.0.ffn_up.weight", "token_embd.weight"
        layer = f"layers.{block[1]}." if block else ""
        if name == "attn_qkv":
            for letter, part in zip("qkv", values.chunk(3), strict=True):
                yield f"{layer}self_attn.{letter}_proj.{kind}", part
        else:
            yield f"{layer}{OF_TENSORS[name]}.{kind}", values


def _tokenizer(words: list[str]) -> Any:
    """Make BERT's tokenizer. GGUF marks the start of a word, and not, as BERT does, its continuation by ``##``."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    def as_in_bert(word: str) -> str:
        if word.startswith("[") and word.endswith("]"):
            return word
        return word[1:] if word.startswith("\u2581") else f"##{word}"

    rows = {as_in_bert(word): row for row, word in enumerate(words)}
    named = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    backend = Tokenizer(models.WordPiece(rows, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("[SEP]", rows["[SEP]"]), ("[CLS]", rows["[CLS]"]))
    backend.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=MAX_LENGTH, **named)


def write_teacher(network: Any, tokenizer: Any, folder: Path) -> Path:
    """
    Write a folder that ``SentenceTransformer`` reads: the mean of the tokens' vectors, of length 1, and the authors' prompts.

    :param network: the network of :func:`open_nomic`.
    :param tokenizer: its tokenizer.
    :param folder: the folder to write; it must not exist. It appears only when it is complete.
    :returns: the folder.
    :raises FileExistsError: if the folder exists.
    :raises OSError: if the folder cannot be written, e.g. because the disk is full; no files are left then.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    if folder.exists():
        raise FileExistsError(f"{folder} exists already; name a new folder")
    with (
        whole_folder(folder) as draft,
        tempfile.TemporaryDirectory(dir=folder.parent) as plain,
        transformers_alone(bars=False),
    ):
        network.save_pretrained(plain)
        tokenizer.save_pretrained(plain)
        modules = [Transformer(plain, max_seq_length=MAX_LENGTH), Pooling(network.config.hidden_size), Normalize()]
        SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save(str(draft), create_model_card=False)
    return folder
