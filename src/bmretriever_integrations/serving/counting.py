"""Counts tokens while texts are embedded, so that no text is tokenized a second time for its count alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bmretriever_integrations.encoder.tokens import PromptTokenizer, Window


class CountingTokenizer(PromptTokenizer):
    """A tokenizer that notes how many tokens each prompt of a call had. One thread may use it."""

    def __init__(self, tokenizer: PromptTokenizer) -> None:
        """
        :param tokenizer: the engine's; what it knows is shared.
        """
        self.__dict__.update(tokenizer.__dict__)
        self._lengths: dict[str, int] = {}

    def windows(self, prompts: Sequence[str], template: str) -> Iterator[Window]:
        """
        Tokenize prompts; see :meth:`~bmretriever_integrations.encoder.tokens.PromptTokenizer.windows`.

        :param prompts: texts with their template.
        :param template: the template of all prompts.
        """
        self._lengths = {}
        for window in super().windows(prompts, template):
            self._lengths |= zip(prompts[window.first :], window.lengths, strict=False)
            yield window

    def counted(self, prompts: Sequence[str]) -> list[int]:
        """
        Return the tokens that prompts of the last call had before they were cut, the special tokens included.

        :param prompts: some of the last call's.
        """
        return [self._lengths[prompt] for prompt in prompts]
