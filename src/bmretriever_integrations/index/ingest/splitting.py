"""What cuts the sections of full texts into passages that the model of an index embeds whole."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.index.ingest.engines import OneEngine, PassageEngines

if TYPE_CHECKING:
    from bmretriever_integrations.passages import PassageSplitter


class SplitterOnDemand:
    """
    Cuts texts for the model of an index. Its tokenizer is loaded at the first text, for most sources have none that is cut.

    How a text is cut depends on the tokenizer and on ``max_length``, and both are in the identity of the engines.
    """

    def __init__(self, engines: PassageEngines, identity: dict[str, Any]) -> None:
        """
        :param engines: embed for the index. An engine of this process counts tokens itself; for others a tokenizer is loaded.
        :param identity: what the engines say of themselves.
        """
        self._engines, self._identity = engines, identity

    @cached_property
    def _splitter(self) -> PassageSplitter:
        from bmretriever_integrations.encoder.passage_counter import PassageCounter
        from bmretriever_integrations.passages import PassageSplitter

        if isinstance(self._engines, OneEngine):
            return PassageSplitter(self._engines.encoder)
        made = self._identity
        counter = PassageCounter(made["model"], revision=made["revision"], max_length=made["max_length"])
        return PassageSplitter(counter)

    def split(self, text: str, title: str | None = None) -> list[str]:
        """
        Cut a text.

        :param text: the text.
        :param title: what each passage is embedded with.
        :raises ValueError: if the title takes more than half of a passage.
        """
        return self._splitter.split(text, title)

    def shortened_title(self, title: str) -> str:
        """
        Return a title that takes no more than that.

        :param title: the title.
        """
        return self._splitter.shortened_title(title)
