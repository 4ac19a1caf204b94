"""Write a network and its tokenizer as a folder that plain sentence-transformers reads with the right pooling, BOS and EOS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmretriever_integrations.checkpoints.instructions import OF_QUERIES, PROMPTS
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.files import whole_folder
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, PASSAGE_PREFIX, TASK_INSTRUCTIONS, query_prompt
from bmretriever_integrations.settings import MAX_LENGTH

POOLING_MODES = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
"""The pooling modes that sentence-transformers 2 to 5 write. Servers that read the folder expect every key, true or false."""


def write_sentence_transformer(
    network: Any,
    tokenizer: Any,
    folder: Path,
    *,
    max_length: int = MAX_LENGTH,
    normalize: bool = False,
    instructions: Mapping[str, str] | None = None,
) -> Path:
    """
    Write a sentence-transformers folder: Transformer, last-token pooling and, if requested, Normalize.

    :param network: a decoder of transformers without language head; it is saved in its own dtype.
    :param tokenizer: the network's fast tokenizer; it is not changed.
    :param folder: the folder to write; it must not exist, or must be empty. It appears only when it is complete.
    :param max_length: tokens of a sequence, BOS and EOS included.
    :param normalize: add a Normalize module. The authors' vectors are not normalised.
    :param instructions: a dict of names and instructions, which become prompts beside :data:`TASK_INSTRUCTIONS`; the one named
        "query" is the default of queries.
    :returns: the folder.
    :raises FileExistsError: if ``folder`` exists and is not empty.
    :raises OSError: if the folder cannot be written, e.g. because the disk is full; no files are left then.
    :raises ValueError: if the tokenizer has no EOS or is not a fast one.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    with whole_folder(folder) as draft:
        fill(draft, network, tokenizer, max_length, normalize, instructions=instructions or {})
    return folder


def fill(
    folder: Path, network: Any, tokenizer: Any, max_length: int, normalize: bool, *, instructions: Mapping[str, str]
) -> None:
    """
    Write the files of a sentence-transformers folder into an empty folder.

    :param folder: the empty folder.
    :param network: as in :func:`write_sentence_transformer`.
    :param tokenizer: as in :func:`write_sentence_transformer`.
    :param max_length: as in :func:`write_sentence_transformer`.
    :param normalize: as in :func:`write_sentence_transformer`.
    :param instructions: as in :func:`write_sentence_transformer`.
    :raises OSError: if a file cannot be written, e.g. because the disk is full.
    :raises ValueError: if the tokenizer has no EOS or is not a fast one.
    """
    from safetensors import SafetensorError

    from bmretriever_integrations.checkpoints.one_at_a_time import transformers_alone

    _write_tokenizer(tokenizer, folder, max_length)
    write_modules(folder, network.config.hidden_size, max_length, normalize)
    _write_prompts(folder, instructions)
    try:
        with transformers_alone(bars=False):
            network.save_pretrained(folder)
    except SafetensorError as error:
        raise OSError(f"{folder.parent}: the weights could not be written: {error}") from error
    _write_config(folder)
    for weights in folder.glob("*.safetensors"):  # safetensors lets only the owner read its files
        weights.chmod((folder / "config.json").stat().st_mode)


def _write_config(folder: Path) -> None:
    """Remove the training folder's path from config.json, and add the names of rotary settings that transformers 4.57 reads."""
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config.pop("_name_or_path", None)
    rope = config.get("rope_parameters")
    if rope and config["model_type"] == "gpt_neox":
        config |= {"rotary_emb_base": rope["rope_theta"], "rotary_pct": rope["partial_rotary_factor"]}
    elif rope:
        config["rope_theta"] = rope["rope_theta"]
    write_json(path, config)


def _write_tokenizer(tokenizer: Any, folder: Path, max_length: int) -> None:
    """Write a tokenizer whose post-processor adds the first tokens and EOS, also to cut texts and after it is loaded again."""
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
    # a class such as GPTNeoXTokenizer would replace the post-processor, and EOS with it
    write_json(path, {**config, "tokenizer_class": "PreTrainedTokenizerFast"})


def write_modules(folder: Path, width: int | None, max_length: int, normalize: bool) -> None:
    """
    Write the files that say how vectors are made of the network's states: of the last token, and perhaps normalised.

    :param folder: the folder of the checkpoint, without modules.
    :param width: length of a vector; None leaves it to the network.
    :param max_length: tokens of a sequence, BOS and EOS included.
    :param normalize: add a Normalize module.
    """
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["" if i == 0 else f"{i}_{kind}" for i, kind in enumerate(kinds)]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    for path in paths[1:]:
        (folder / path).mkdir()
    write_json(folder / "modules.json", listed)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    modes = {f"pooling_mode_{mode}": mode == "lasttoken" for mode in POOLING_MODES}
    pooling = {"word_embedding_dimension": width, **modes, "include_prompt": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)


def _write_prompts(folder: Path, instructions: Mapping[str, str]) -> None:
    sentences = {**TASK_INSTRUCTIONS, OF_QUERIES: DEFAULT_INSTRUCTION, **instructions}
    prompts = {key: query_prompt(sentence, "") for key, sentence in sentences.items()}
    prompts |= dict.fromkeys(("document", "passage"), PASSAGE_PREFIX)
    whole = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "dot"}
    write_json(folder / PROMPTS, whole)


def write_json(path: Path, content: Any) -> None:
    """
    Write a JSON file in a readable form.

    :param path: the file.
    :param content: plain values.
    """
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
