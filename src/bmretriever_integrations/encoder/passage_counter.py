"""Define PassageCounter, which counts tokens as an engine does and loads a tokenizer alone."""

from __future__ import annotations

from pathlib import Path

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.checkpoints.hub import Hub
from bmretriever_integrations.checkpoints.tokenizer_alone import load_tokenizer_alone
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import PASSAGE_PREFIX
from bmretriever_integrations.settings import MAX_LENGTH, EncoderSettings


class PassageCounter:
    """
    Counts tokens exactly as a :class:`~bmretriever_integrations.BMRetrieverEncoder` of the same model, without its weights.

    Many threads may call one counter. A pickle holds the arguments without the token, and loads the tokenizer again.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        max_length: int = MAX_LENGTH,
        local_files_only: bool = False,
        token: str | None = None,
    ) -> None:
        """
        Load a tokenizer. A model that is not on this machine is downloaded whole, since it will be needed to embed.

        :param model: a hub id, a short name ("410M", "1B", "2B", "7B", "small", "mini"), or a folder, as the engine takes them.
        :param revision: commit, branch or tag on the hub; None takes the pinned commit of a released checkpoint.
        :param max_length: tokens of a sequence, BOS and EOS included.
        :param local_files_only: do not connect to the hub.
        :param token: access token for the hub.
        :raises FileNotFoundError: if the model is not found.
        :raises ValueError: if a setting is out of range, or if the folder is not a suitable checkpoint.
        """
        settings = EncoderSettings(
            model=str(model) if isinstance(model, Path) else model,
            revision=revision,
            max_length=max_length,
            local_files_only=local_files_only,
            token=token,
        )
        alone = load_tokenizer_alone(settings.model, revision, Hub(token, local_files_only))
        self.settings = settings.fitted_length(alone.max_length, alone.positions)
        self.tokenizer = PromptTokenizer(alone.tokenizer, self.settings.max_length)

    @property
    def passage_tokens(self) -> int:
        """The most tokens that a passage may have, its title included, to be embedded whole; see :meth:`text_tokens`."""
        return self.tokenizer.room_after(PASSAGE_PREFIX)

    def text_tokens(self, text: str) -> list[int]:
        """
        Tokenize a text alone, without template, BOS and EOS.

        :param text: any text; it is not cut.
        :returns: the ids of its tokens.
        """
        return self.tokenizer.text_tokens(text)

    def __setstate__(self, settings: EncoderSettings) -> None:
        self.__init__(  # type: ignore[misc]
            settings.model,
            revision=settings.revision,
            max_length=settings.max_length,
            local_files_only=settings.local_files_only,
            token=settings.token,
        )

    def __getstate__(self) -> EncoderSettings:
        return self.settings

    def __repr__(self) -> str:
        return f"PassageCounter({self.settings.model!r}, max_length={self.settings.max_length})"
