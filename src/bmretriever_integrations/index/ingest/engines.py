"""What embeds for the index: the engine of this process, or many engines that :mod:`..parallel` keeps busy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.places.where import Where

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.encoder.vectors import Vectors
    from bmretriever_integrations.parallel.jobs import Call, Progress


@runtime_checkable
class PassageEngines(Protocol):
    """One engine or many, as the index sees them: passages go in as jobs, and several may be under way at once."""

    @property
    def width(self) -> int:
        """Length of a vector."""

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a batch that every engine here can hold."""

    @property
    def slots(self) -> int:
        """Jobs that keep every engine busy."""

    @property
    def cut_texts(self) -> int:
        """Texts that were longer than ``max_length`` so far."""

    def identity(self) -> dict[str, Any]:
        """Everything that decides the vectors."""

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """
        Begin to embed passages.

        :param calls: each a list of texts and a list of their titles; one engine makes them all.
        :param batch_tokens: tokens of a batch, exactly.
        :param done: told as texts are embedded, from any thread.
        :returns: their vectors, in order. *Shape:* (n, width) float32
        """


class OneEngine:
    """The engine of this process as :class:`PassageEngines`: what is submitted is embedded before the call returns."""

    slots = 1

    def __init__(self, encoder: BMRetrieverEncoder) -> None:
        """
        :param encoder: its ``max_batch_tokens`` is set to that of the last job.
        """
        from bmretriever_integrations.parallel.jobs import steady_batch_tokens

        self.encoder = encoder
        self.width = encoder.width
        self.batch_tokens = steady_batch_tokens(encoder)

    @property
    def cut_texts(self) -> int:
        """See :class:`PassageEngines`."""
        return self.encoder.cut_texts

    def identity(self) -> dict[str, Any]:
        """See :class:`PassageEngines`."""
        return self.encoder.identity()

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """See :class:`PassageEngines`; errors are raised here and now."""
        from bmretriever_integrations.parallel.jobs import Job

        if self._begun_with != batch_tokens:  # set once, so that a budget halved for lack of memory stays halved
            self.encoder.max_batch_tokens = self._begun_with = batch_tokens
        future: Future[Vectors] = Future()
        future.set_result(Job("encode_passages", calls, batch_tokens).run(self.encoder, done))
        return future

    _begun_with: int | None = None


class EnginesOnDemand:
    """Engines that are loaded when the first passage must be embedded, for a run that finds nothing new needs none."""

    def __init__(
        self,
        load: Callable[[], PassageEngines],
        folder: Where,
        manifest: Manifest | None,
        identity: dict[str, Any] | None,
    ) -> None:
        """
        :param load: loads them.
        :param folder: the index.
        :param manifest: the manifest that the index has.
        :param identity: what will decide their vectors, as far as that is known without loading them. None loads them to know.
        """
        self._load, self._folder, self._manifest, self._identity = load, folder, manifest, identity

    @cached_property
    def loaded(self) -> PassageEngines:
        """
        The engines, loaded now if they are not yet.

        :raises IndexMismatch: if they would make other vectors than those of the index.
        """
        engines = self._load()
        if self._manifest is not None:
            self._manifest.check_same(Manifest(engines.identity(), self._manifest.batch_tokens), self._folder)
        return engines

    @property
    def width(self) -> int:
        """See :class:`PassageEngines`."""
        return self.loaded.width

    @property
    def batch_tokens(self) -> int:
        """See :class:`PassageEngines`."""
        return self.loaded.batch_tokens

    @property
    def slots(self) -> int:
        """See :class:`PassageEngines`; 1 until they are loaded."""
        return self.loaded.slots if self.is_loaded else 1

    @property
    def cut_texts(self) -> int:
        """See :class:`PassageEngines`."""
        return self.loaded.cut_texts if self.is_loaded else 0

    @property
    def is_loaded(self) -> bool:
        """Whether they were needed so far."""
        return "loaded" in vars(self)

    def identity(self) -> dict[str, Any]:
        """See :class:`PassageEngines`."""
        return self.loaded.identity() if self._identity is None else self._identity

    def submit_passages(self, calls: tuple[Call, ...], batch_tokens: int, done: Progress) -> Future[Vectors]:
        """See :class:`PassageEngines`."""
        return self.loaded.submit_passages(calls, batch_tokens, done)
