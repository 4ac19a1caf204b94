"""Everything that the routes share: the names of the model, the engine, the index, and the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.index import SearchIndex
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.names import ModelNames
from bmretriever_integrations.serving.search import Searcher
from bmretriever_integrations.serving.settings import Limits


@dataclass(frozen=True)
class Service:
    """One model and, if there is one, an index that was made with it."""

    names: ModelNames
    embedder: Embedder
    limits: Limits
    searcher: Searcher | None = None
    """None where embeddings alone are served."""
    index_name: str | None = None
    """The name of the index's folder, without the place where it lies."""

    @classmethod
    def of_model(cls, encoder: BMRetrieverEncoder, limits: Limits, served_as: str | None = None) -> Service:
        """
        Serve embeddings alone.

        :param encoder: the engine; the caller closes it.
        :param limits: the bounds.
        :param served_as: the name of the model for clients; None takes the last part of its own.
        """
        return cls(ModelNames(encoder.settings.model, served_as), Embedder(encoder, limits), limits)

    @classmethod
    def of_index(
        cls, index: SearchIndex, encoder: BMRetrieverEncoder, limits: Limits, served_as: str | None = None
    ) -> Service:
        """
        Serve an index and embeddings.

        :param index: the index; the caller closes it.
        :param encoder: the engine that ``index.open_encoder()`` gave; the caller closes it.
        :param limits: the bounds.
        :param served_as: the name of the model for clients; None takes the last part of its own.
        """
        names, embedder = ModelNames(encoder.settings.model, served_as), Embedder(encoder, limits)
        name = PurePath(str(index.folder).rstrip("/")).name
        return cls(names, embedder, limits, Searcher(index, embedder, limits), name)

    def start(self) -> None:
        """Begin to embed."""
        self.embedder.start()

    async def close(self) -> None:
        """Finish what was accepted."""
        await self.embedder.close()
        if self.searcher is not None:
            self.searcher.close()
