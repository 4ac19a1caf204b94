"""Load a checkpoint's tokenizer, and refuse one that cannot tell texts apart or does not fit the network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.decisive_files import VOCABULARY_FILES, read_object

PROBES = ("aspirin lowers fever", "insulin", "7")
"""Texts whose ids must differ."""


def has_tokenizer(folder: Path) -> bool:
    """
    Tell whether a folder has a file that holds a tokenizer's vocabulary.

    :param folder: a checkpoint's folder.
    """
    return any(path.is_file() for pattern in VOCABULARY_FILES for path in folder.glob(pattern))


def load_tokenizer(folder: Path) -> Any:
    """
    Load a tokenizer from a folder.

    :param folder: the folder.
    :returns: a tokenizer of transformers.
    :raises ValueError: if the folder has no vocabulary, or the tokenizer's files are damaged.
    """
    from transformers import AutoTokenizer

    if not has_tokenizer(folder):  # transformers 5 makes an empty tokenizer then
        raise ValueError(
            f"{folder} has no tokenizer: none of {', '.join(VOCABULARY_FILES)} is there. Copy or download these files, too, or "
            "save the tokenizer into the folder with its save_pretrained"
        )
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).is_file():
            read_object(folder / name)
    # transformers 4 would read the file that the key tokenizer_file of tokenizer_config.json names, wherever it lies
    own = {"tokenizer_file": str(folder / "tokenizer.json")} if (folder / "tokenizer.json").is_file() else {}
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True, **own)
    except ImportError:  # e.g. sentencepiece is not installed; the message says how to install it
        raise
    except Exception as error:  # the tokenizers library raises Exception itself for a damaged tokenizer.json
        reason = " ".join(str(error).split())[:200]
        if "trust_remote_code" in str(error):
            reason = (
                "its class comes with code of its own, which is never run; save it as a class that transformers has"
            )
        raise ValueError(
            f"{folder}: the tokenizer cannot be read ({type(error).__name__}: {reason}); copy or download tokenizer.json and "
            "tokenizer_config.json again"
        ) from error


def check_tokenizer(tokenizer: Any, rows: int, folder: Path) -> None:
    """
    Check that a tokenizer can tell texts apart, and that the network has an embedding for each of its ids.

    Special tokens that are not used and have no embedding are taken out of the tokenizer; a text that contains one of them would
    otherwise have an id that the network does not know.

    :param tokenizer: a tokenizer of transformers.
    :param rows: the number of ids for which the network has an embedding.
    :param folder: the checkpoint's folder, for messages.
    :raises ValueError: if it gives two probe texts the same ids, or none, or has other tokens than special ones without an
        embedding.
    """
    try:
        ids = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in PROBES]
    except (
        Exception
    ) as error:  # the tokenizers library raises Exception itself, e.g. for a vocabulary without the unknown token
        raise ValueError(
            f"{folder}: the tokenizer cannot tokenize {PROBES[0]!r} ({error}); copy or download the tokenizer's files again"
        ) from error
    if not all(ids) or len(set(ids)) < len(ids):
        raise ValueError(
            f"{folder}: the tokenizer gives different texts the same ids, or none ({ids[0][:4]} for {PROBES[0]!r}, "
            f"{ids[1][:4]} for {PROBES[1]!r}), so all texts would get one vector; copy or download the tokenizer's files again"
        )
    late = {token: row for token, row in tokenizer.get_vocab().items() if row >= rows}
    if not late:
        return
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    used = {tokenizer.eos_token_id or 0, *tokenizer(PROBES[0])["input_ids"]}
    if late.keys() - special or max(used) >= rows or not hasattr(tokenizer, "_tokenizer"):
        raise ValueError(
            f"{folder}: the tokenizer has {max(late.values()) + 1} tokens, but the network's embedding has {rows} rows. Use "
            "the tokenizer with which it was trained, or save the network again after resize_token_embeddings(len(tokenizer))"
        )
    _take_out(tokenizer, set(late))


def _take_out(tokenizer: Any, tokens: set[str]) -> None:
    """
    Take special tokens without an embedding out of a tokenizer, so that a text which contains one of them is plain text.

    Some classes of transformers add such tokens by themselves, e.g. GemmaTokenizer "<mask>".
    """
    from tokenizers import Tokenizer

    whole = json.loads(tokenizer.backend_tokenizer.to_str())
    whole["added_tokens"] = [token for token in whole["added_tokens"] if token["content"] not in tokens]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(whole))
