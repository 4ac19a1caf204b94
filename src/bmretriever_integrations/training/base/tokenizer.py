"""Texts -> a byte-level BPE tokenizer of their own words, for the base of "mini"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

END = "<|im_end|>"
"""The EOS and padding token, named as in SmolLM2; it is row 2 there and here."""
SPECIALS = ("<|endoftext|>", "<|im_start|>", END)
FEWEST = 4
"""Fewest occurrences of a pair of pieces that is merged: a rarer one would hardly be trained."""


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """
    Learn a vocabulary from texts.

    General vocabularies cut medical words into pieces without a meaning of their own, and hold each word several times: with and
    without a space before it, in lower case and with a capital letter. Here texts are lower-cased and every word starts with a
    space, after a bracket too, so that a word has one spelling and more rows are left for words. Each digit is a token.

    :param texts: the training texts.
    :param size: number of rows of the vocabulary.
    :returns: a tokenizer that appends EOS itself, for trainers and servers that do not append it.
    :raises ValueError: if the size is too small for the 256 bytes, or the texts are too few for it.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if size <= len(alphabet) + len(SPECIALS):
        raise ValueError(
            f"size must be above {len(alphabet) + len(SPECIALS)}, the bytes and special tokens; got {size}"
        )
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.BertPreTokenizer(),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=FEWEST,
        special_tokens=list(SPECIALS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    if backend.get_vocab_size() < size:
        raise ValueError(
            f"the texts give only {backend.get_vocab_size()} rows, {size} were asked for: give more texts, or lower the size"
        )
    return wrap_tokenizer(backend)


def wrap_tokenizer(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """
    Make a transformers tokenizer that appends EOS.

    :param backend: the vocabulary and its rules; :data:`END` must be in it.
    """
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, backend.token_to_id(END))])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=END, padding_side="right", model_max_length=512
    )
