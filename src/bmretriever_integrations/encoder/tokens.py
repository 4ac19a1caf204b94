"""Turn prompts into token ids: cut them to ``max_length - 1`` tokens and append EOS. The rows are not padded.

Whether a tokenizer appends EOS depends on its flags and on the version of transformers, and the flag can remove the BOS
(transformers 5: ``add_eos_token=True`` alone drops it for Gemma and Mistral). So this module does not use the flag: it tokenizes
the text without special tokens, cuts the ids and appends EOS to every sequence, as the authors' eval.py does. The special tokens
that the tokenizer puts before the text (BOS for Gemma and Mistral, none for Pythia) are found once and put before every sequence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from tokenizers import Tokenizer

WINDOWS = (64, 256, 1024, 4096)
"""The numbers of texts that are tokenized at a time; the last number repeats. The first windows are small so that the device
starts early; later windows are large so that sorting by length leaves little padding."""


PROBES = ("", "a", "The", "What", "1", "(")
"""Beginnings of texts; tokenizers merge some of them with the space before them."""

LEAST_SHARE = 0.1
"""The smallest share of a window's tokens that a prefix must save. Below it, copying its keys to every row costs as much time."""

TEMPLATES_KEPT = 256
"""The number of templates whose ids are remembered; each instruction makes one template."""


@dataclass(frozen=True)
class Window:
    """Prompts that were tokenized together."""

    first: int
    """Position of its first prompt in the call."""
    ids: list[list[int]]
    """Token ids of each prompt."""
    shared: int
    """Number of leading ids that all prompts share with their template; 0 where reusing them would save too little."""
    cut: int
    """Number of prompts that were longer than ``max_length`` and were cut."""
    lengths: list[int]
    """Tokens that the sequence of each prompt would have if it were not cut."""


class PromptTokenizer:
    """A copy of a checkpoint's tokenizer that no call changes, so that many threads may call it."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """
        :param tokenizer: a fast tokenizer of transformers (4.57 or 5.x). It is copied: tokenizers of transformers change
            their state on every call with truncation, which is not thread-safe.
        :param max_length: tokens of a sequence, BOS and EOS included.
        :raises ValueError: if the tokenizer is not a fast one, has no EOS or ends a text with another token, or if ``max_length``
            leaves no token for text.
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
        # whether a text that contains "</s>" has the id of EOS there; transformers sets it at each call
        self._backend.encode_special_tokens = tokenizer.split_special_tokens
        self.eos_id = int(tokenizer.eos_token_id)
        self.prefix = self._special_ids_before_text()
        self.max_length = max_length
        self.room = max_length - 1 - len(self.prefix)
        """Tokens of a prompt that fit into a sequence beside the first special tokens and EOS."""
        self._templates: dict[str, list[int]] = {}
        if max_length < len(self.prefix) + 2:
            raise ValueError(f"max_length must be at least {len(self.prefix) + 2} for this tokenizer, got {max_length}")

    def _special_ids_before_text(self) -> list[int]:
        probe = "a"
        bare = self._backend.encode(probe, add_special_tokens=False).ids
        whole = self._backend.encode(probe, add_special_tokens=True).ids
        for start in range(len(whole) - len(bare) + 1):
            if whole[start : start + len(bare)] == bare:
                self._check_after_text(whole[start + len(bare) :])
                return list(whole[:start])
        raise ValueError(f"cannot tell this tokenizer's special tokens from text: {bare} is not part of {whole}")

    def _check_after_text(self, ids: list[int]) -> None:
        if set(ids) - {self.eos_id}:
            raise ValueError(
                f"the tokenizer puts the tokens {ids} after each text, which are not its EOS ({self.eos_id}); vectors without "
                "them would not be those of its model. Set eos_token to the token that ends a text, or remove it from the "
                "post_processor in tokenizer.json"
            )

    def __call__(self, prompts: Sequence[str]) -> list[list[int]]:
        """
        Tokenize prompts.

        :param prompts: texts with their template.
        :returns: the ids of each prompt: the tokenizer's first special tokens, the text cut to fit, and EOS.
        """
        return self._fitted(self._whole(prompts))

    def _whole(self, prompts: Sequence[str]) -> list[list[int]]:
        """Tokenize prompts without special tokens and without cutting them."""
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(prompts), add_special_tokens=False)]

    def _fitted(self, rows: list[list[int]]) -> list[list[int]]:
        """Cut rows of ids to fit, and put the special tokens around them."""
        return [[*self.prefix, *ids[: self.room], self.eos_id] for ids in rows]

    def lengths(self, prompts: Sequence[str]) -> list[int]:
        """
        Count the tokens that sequences would have if they were not cut, the first special tokens and EOS included.

        :param prompts: texts with their template.
        """
        return [len(self.prefix) + len(ids) + 1 for ids in self._whole(prompts)]

    def text_tokens(self, text: str) -> list[int]:
        """
        Tokenize a text alone, without template, BOS and EOS, and without cutting it.

        :param text: any text.
        """
        return self._whole([text])[0]

    def room_after(self, template: str) -> int:
        """
        Count the tokens of a text that fit into a sequence after a template.

        :param template: a prompt without its text.
        """
        return max(0, self.room - len(self.text_tokens(template)))

    def template(self, text: str) -> list[int]:
        """
        Tokenize the template with which prompts begin.

        The tokenizer may merge the end of the template with the text ("Query: " and "fever" become "Query", ":", " fever"). So
        the template is tokenized before several beginnings of texts, and only the ids that stay the same are returned. A text
        that merges with more of the template has fewer ids in common with it.

        :param text: a prompt without its text.
        :returns: the template's ids, BOS included where there is one, without EOS.
        """
        known = self._templates.get(text)
        if known is None:
            known = common_start([ids[:-1] for ids in self([text + probe for probe in PROBES])])
            if len(self._templates) >= TEMPLATES_KEPT:
                self._templates.clear()
            self._templates[text] = known
        return known

    def windows(self, prompts: Sequence[str], template: str) -> Iterable[Window]:
        """
        Tokenize prompts window by window; each window is tokenized while the caller works on the previous one.

        :param prompts: texts with their template.
        :param template: the template of all prompts, without a text.
        """
        begin = self.template(template)
        spans = list(_spans(len(prompts)))
        if len(spans) == 1:  # a single query needs no thread
            return [self._window(prompts, spans[0], begin)]
        return self._ahead(prompts, spans, begin)

    def _ahead(self, prompts: Sequence[str], spans: list[tuple[int, int]], template: list[int]) -> Iterator[Window]:
        with ThreadPoolExecutor(1, thread_name_prefix="bmretriever-tokens") as thread:
            coming: deque[Future[Window]] = deque()
            for span in spans:
                coming.append(thread.submit(self._window, prompts, span, template))
                if len(coming) > 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()

    def _window(self, prompts: Sequence[str], span: tuple[int, int], template: list[int]) -> Window:
        whole = self._whole(prompts[slice(*span)])
        ids = self._fitted(whole)
        cut = sum(len(row) > self.room for row in whole)
        lengths = [len(self.prefix) + len(row) + 1 for row in whole]
        return Window(span[0], ids, shared_tokens(ids, template), cut, lengths)


def common_start(rows: Sequence[list[int]]) -> list[int]:
    """
    Find the leading ids that all rows have in common.

    :param rows: rows of token ids; at least one.
    """
    first, last = (
        min(rows),
        max(rows),
    )  # all other rows lie between these two in sorted order, so they share their beginning
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


def shared_tokens(rows: Sequence[list[int]], template: list[int]) -> int:
    """
    Count the leading tokens that all rows have in common with their template.

    :param rows: token ids of each row, EOS last.
    :param template: token ids of the template alone, without EOS.
    :returns: their number, or 0 where reusing them would save too little. At least one token of every row is not counted.
    """
    count = len(common_start([template, *rows]))
    count = min(count, min(map(len, rows)) - 1)
    return count if count * len(rows) >= LEAST_SHARE * sum(map(len, rows)) else 0
