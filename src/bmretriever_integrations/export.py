"""Network and tokenizer in memory -> a folder that stock sentence-transformers reads with the right pooling, BOS and EOS."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from bmretriever_integrations.index.files import temporary
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, PASSAGE_PREFIX, TASK_INSTRUCTIONS, query_prompt
from bmretriever_integrations.settings import MAX_LENGTH
from bmretriever_integrations.tokens import PromptTokenizer


def write_sentence_transformer(
    network: Any, tokenizer: Any, folder: Path, *, max_length: int = MAX_LENGTH, normalize: bool = False
) -> Path:
    """
    Write a sentence-transformers folder: Transformer, last-token pooling and, if wanted, Normalize.

    :param network: a decoder of transformers without language head; saved in the dtype it has.
    :param tokenizer: its fast tokenizer; not changed.
    :param folder: where; must not be there yet, or be empty. Written beside it and renamed when whole.
    :param max_length: tokens of a sequence, BOS and EOS included.
    :param normalize: add a Normalize module. The authors' vectors are not normalised.
    :returns: the folder.
    :raises FileExistsError: if ``folder`` is there and not empty.
    :raises ValueError: if the tokenizer has no EOS or is no fast one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = temporary(folder)
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir()
        network.save_pretrained(draft)
        _write_tokenizer(tokenizer, draft, max_length)
        _write_modules(draft, network.config.hidden_size, max_length, normalize)
        if folder.is_dir():
            folder.rmdir()
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _write_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    """Its own first tokens and EOS through the post-processor, which truncation respects; a class that keeps it on reload."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    measured = PromptTokenizer(tokenizer, max_length)
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    first = [(backend.id_to_token(i), i) for i in measured.prefix]
    eos = (backend.id_to_token(measured.eos_id), measured.eos_id)
    parts = [*(f"{token}:0" for token, _ in first), "$A:0", f"{eos[0]}:0"]
    backend.post_processor = TemplateProcessing(single=parts, special_tokens=[*first, eos])
    named = {"eos_token": eos[0], "pad_token": tokenizer.pad_token or eos[0]}
    for name in ("bos_token", "unk_token"):
        if getattr(tokenizer, name) is not None:
            named[name] = getattr(tokenizer, name)
    saved = PreTrainedTokenizerFast(
        tokenizer_object=backend, model_max_length=max_length, padding_side="right", **named
    )
    saved.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    _write_json(path, {**config, "tokenizer_class": "PreTrainedTokenizerFast"})  # GPTNeoXTokenizer would drop EOS


def _write_modules(folder: Path, width: int, max_length: int, normalize: bool) -> None:
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["" if i == 0 else f"{i}_{kind}" for i, kind in enumerate(kinds)]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    for path in paths[1:]:
        (folder / path).mkdir()
    prompts = {key: query_prompt(sentence, "") for key, sentence in TASK_INSTRUCTIONS.items()}
    prompts |= {"query": query_prompt(DEFAULT_INSTRUCTION, "")}
    prompts |= dict.fromkeys(("document", "passage"), PASSAGE_PREFIX)
    _write_json(folder / "modules.json", listed)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    pooling = {"word_embedding_dimension": width, "pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}
    _write_json(folder / "1_Pooling" / "config.json", {**pooling, "include_prompt": True})
    whole = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "dot"}
    _write_json(folder / "config_sentence_transformers.json", whole)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
