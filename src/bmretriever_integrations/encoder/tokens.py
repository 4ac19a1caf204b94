"""Prompt -> token ids: cut to ``max_length - 1``, EOS appended by us; ragged, unpadded.

Whether a tokenizer appends EOS depends on its flags and on the version of transformers, and asking for it can cost the BOS
(transformers 5: ``add_eos_token=True`` alone drops it for Gemma and Mistral). So EOS is never asked for: the ids of the bare
text are cut and EOS is appended to every sequence, as the authors' eval.py does. What the tokenizer puts before the text (BOS
for Gemma and Mistral, nothing for Pythia) is measured once and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any

from tokenizers import Tokenizer

WINDOWS = (64, 256, 1024, 4096)
"""Texts tokenized at a time; the last size repeats. The first windows are small so that the device starts early, the later
ones large so that sorting by length leaves little padding."""


PROBES = ("", "a", "The", "What", "1", "(")
"""Beginnings of texts that tokenizers merge, or do not merge, with a space before them."""

TEMPLATES_KEPT = 256
"""Templates whose ids are remembered: each instruction is one."""


class PromptTokenizer:
    """A private, unchanging copy of a checkpoint's tokenizer; safe to call from many threads."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """
        :param tokenizer: a fast tokenizer of transformers (4.57 or 5.x). It is copied: tokenizers of transformers change
            their state on every call with truncation, which is not thread-safe.
        :param max_length: tokens of a sequence, BOS and EOS included.
        :raises ValueError: if it is no fast tokenizer, has no EOS, or leaves no room for text.
        """
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise ValueError(
                f"{type(tokenizer).__name__} is not backed by the tokenizers library. Save the checkpoint with a "
                "tokenizer.json (load it with use_fast=True, then save_pretrained)."
            )
        if tokenizer.eos_token_id is None:
            raise ValueError(
                "the tokenizer names no eos_token: last-token pooling needs one; set it in tokenizer_config.json"
            )
        self._backend = Tokenizer.from_str(backend.to_str())
        self._backend.no_truncation()
        self._backend.no_padding()
        self.eos_id = int(tokenizer.eos_token_id)
        self.prefix = self._special_ids_before_text()
        self.max_length = max_length
        self._templates: dict[str, list[int]] = {}
        if max_length < len(self.prefix) + 2:
            raise ValueError(f"max_length must be at least {len(self.prefix) + 2} for this tokenizer, got {max_length}")

    def _special_ids_before_text(self) -> list[int]:
        probe = "a"
        bare = self._backend.encode(probe, add_special_tokens=False).ids
        whole = self._backend.encode(probe, add_special_tokens=True).ids
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                return list(whole[:start])
        raise ValueError(f"cannot tell this tokenizer's special tokens from text: {bare} is not part of {whole}")

    def __call__(self, prompts: Sequence[str]) -> list[list[int]]:
        """
        Tokenize prompts.

        :param prompts: texts with their template.
        :returns: for each prompt its ids: the tokenizer's own first tokens, the text cut to fit, EOS.
        """
        room = self.max_length - 1 - len(self.prefix)
        encodings = self._backend.encode_batch_fast(list(prompts), add_special_tokens=False)
        return [[*self.prefix, *encoding.ids[:room], self.eos_id] for encoding in encodings]

    def template(self, text: str) -> list[int]:
        """
        Tokenize the beginning that prompts have in common.

        Its end may be merged with what follows ("Query: " and "fever" make "Query", ":", " fever"), so only the ids that it
        keeps before several beginnings of a text count. A text that merges with still more of it has fewer in common.

        :param text: a prompt without its text.
        :returns: its ids, BOS included where there is one, without EOS.
        """
        known = self._templates.get(text)
        if known is None:
            known = common_start([ids[:-1] for ids in self([text + probe for probe in PROBES])])
            if len(self._templates) >= TEMPLATES_KEPT:
                self._templates.clear()
            self._templates[text] = known
        return known

    def ahead(self, prompts: Sequence[str]) -> Iterator[tuple[int, list[list[int]]]]:
        """
        Tokenize in windows, each while the caller works on the one before.

        :param prompts: texts with their template.
        :returns: an iterator over (index of the window's first prompt, ids of its prompts).
        """
        spans = list(_spans(len(prompts)))
        if len(spans) == 1:
            yield 0, self(prompts)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="bmretriever-tokens") as worker:
            pending = None
            for start, end in spans:
                following = worker.submit(self, prompts[start:end])
                if pending is not None:
                    yield pending[0], pending[1].result()
                pending = (start, following)
            if pending is not None:
                yield pending[0], pending[1].result()


def common_start(rows: Sequence[list[int]]) -> list[int]:
    """
    Find what rows of ids begin with, all of them.

    :param rows: at least one.
    """
    first, last = (
        min(rows),
        max(rows),
    )  # what these two have in common, all rows between them in the order of lists have too
    for place, (one, other) in enumerate(zip(first, last, strict=False)):
        if one != other:
            return first[:place]
    return first


def _spans(count: int) -> Iterator[tuple[int, int]]:
    start = 0
    for size in chain(WINDOWS, repeat(WINDOWS[-1])):
        if start >= count:
            return
        yield start, min(start + size, count)
        start += size


def check_texts(texts: Sequence[str], name: str) -> list[str]:
    """
    Refuse what no tokenizer can take, before any work is done.

    :param texts: a list of strings.
    :param name: what to call it in the message.
    :returns: the texts as a list.
    :raises TypeError: if it is one string, or an element is no string.
    :raises ValueError: if a text holds a lone surrogate, half of a character that UTF-8 cannot carry.
    """
    if isinstance(texts, str | bytes):
        raise TypeError(f"{name} must be a list of str, got one {type(texts).__name__}: write [text]")
    checked = list(texts)
    for position, text in enumerate(checked):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{position}] must be a str, got {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{name}[{position}] holds a lone surrogate (U+{ord(text[error.start]):04X} at character {error.start}), "
                "which is no character. Repair it with "
                "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')."
            ) from None
    return checked


def check_passages(texts: Sequence[str], titles: Sequence[str | None] | None) -> tuple[list[str], list[str]]:
    """
    Refuse passages that no engine can take, before any work is done.

    :param texts: the passages.
    :param titles: a title, "" or None for each; None where no passage has one.
    :returns: texts, and as many titles, "" where there is none.
    :raises TypeError: if one of them is no list of strings.
    :raises ValueError: if they differ in length or a text holds a lone surrogate.
    """
    checked = check_texts(texts, "texts")
    heads = [""] * len(checked) if titles is None else check_texts([title or "" for title in titles], "titles")
    if len(heads) != len(checked):
        raise ValueError(f"titles must be as many as texts: got {len(heads)} titles for {len(checked)} texts")
    return checked, heads
