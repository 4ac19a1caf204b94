"""Load, release, copy and serialize an embedder; both embedders share this code. An embedder without a loaded model is cold."""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Self, TypeVar

from haystack import default_from_dict, default_to_dict
from haystack.utils.auth import TokenSecret
from haystack.utils.hf import deserialize_hf_model_kwargs

from bmretriever_integrations.encoder.cancelling import run_on_thread
from haystack_integrations.components.embedders.bmretriever._backend import _BMRetrieverEmbeddingBackend
from haystack_integrations.components.embedders.bmretriever._settings import EmbedderSettings

P = ParamSpec("P")
Result = TypeVar("Result")

_RESOURCES = ("embedding_backend", "executor", "async_executor", "_loading", "_choosing")
"""Attributes that are not copied or pickled."""


class Lifecycle(EmbedderSettings):
    """Holds the engine and the worker thread between warm-up and close."""

    embedding_backend: _BMRetrieverEmbeddingBackend | None
    executor: ThreadPoolExecutor | None

    def _open_backend(self) -> _BMRetrieverEmbeddingBackend:
        raise NotImplementedError

    def _start_cold(self) -> None:
        self.embedding_backend = None
        self._start_without_threads()
        _alive.add(self)

    def _start_without_threads(self) -> None:
        self.executor = None
        self._loading = threading.Lock()
        self._choosing = threading.Lock()  # held for a short time only, because the event loop waits for it

    def _forget_threads(self) -> None:
        """Do without the threads of the parent process, which a forked process does not have."""
        self._start_without_threads()
        object.__setattr__(self, "async_executor", None)

    def warm_up(self) -> None:
        """
        Load the model, or share the model of a component with equal settings. If it is already loaded, this does nothing.

        :raises FileNotFoundError: if the model is neither on this machine nor on the hub, or the hub cannot be reached.
        :raises ValueError: if the engine does not support the value of a parameter; nothing is loaded then.
        """
        self._worker()
        with self._loading:
            if self.embedding_backend is None:
                self.embedding_backend = self._open_backend()

    async def warm_up_async(self) -> None:
        """Do the same as :meth:`warm_up` on the worker thread, so that the event loop is not blocked."""
        await self._on_worker(self.warm_up)

    def close(self) -> None:
        """
        Release the model. Its memory is freed when the last component that uses it is closed.

        Calls of ``run_async`` that have started are finished first. An executor that the user passed is not shut down. A later
        call loads the model again.
        """
        with self._choosing:
            executor, self.executor = self.executor, None
        if executor is not None and executor is not self.async_executor:
            executor.shutdown(wait=True)
        with self._loading:
            backend, self.embedding_backend = self.embedding_backend, None
        if isinstance(backend, _BMRetrieverEmbeddingBackend):
            backend.close()

    async def close_async(self) -> None:
        """Do the same as :meth:`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

    @property
    def width(self) -> int:
        """The number of values of an embedding; reading it loads the model."""
        return self._warm_backend().width(self.precision, self.quantization_ranges)

    @property
    def normalize(self) -> bool:
        """Whether the embeddings have length 1; reading it may load the model."""
        if self.precision != "float32":  # numbers of 8 bits and signs have other lengths
            return False
        return self.normalize_embeddings or self._warm_backend().lease.engine.normalize

    def _warm_backend(self) -> _BMRetrieverEmbeddingBackend:
        if self.embedding_backend is None:
            self.warm_up()
        backend = self.embedding_backend
        if backend is None:
            raise RuntimeError(f"this {type(self).__name__} was closed by another thread while it was warming up")
        return backend

    def _embed(self, texts: list[str], **choice: str) -> Any:
        return self._warm_backend().embed(
            texts,
            batch_size=self.batch_size,
            show_progress_bar=self.progress_bar,
            normalize_embeddings=self.normalize_embeddings,
            precision=self.precision,
            quantization_ranges=self.quantization_ranges,
            **(self.encode_kwargs or {}),
            **choice,
        )

    def _worker(self) -> ThreadPoolExecutor:
        with self._choosing:
            if self.executor is None:
                self.executor = self.async_executor or ThreadPoolExecutor(1, f"async-{type(self).__name__}-{id(self)}")
            return self.executor

    async def _on_worker(self, function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        return await run_on_thread(self._worker(), function, *args, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """
        Serialize the component.

        :returns: type and init parameters, without the loaded model, the token's value and the executor.
        :raises ValueError: if the token is a plain string. A token of ``Secret.from_env_var`` can be serialized.
        """
        names = [
            name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "async_executor")
        ]
        parameters = {name: copy.deepcopy(getattr(self, name)) for name in names}
        parameters["device"] = (
            self.chosen_device
        )  # None stays None, so that a file from a machine with a GPU loads on others
        if self.model_kwargs:
            parameters["model_kwargs"] = {key: str(value) for key, value in self.model_kwargs.items()}
        return default_to_dict(self, **parameters)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Create a component from the result of :meth:`to_dict`.

        :param data: the result of :meth:`to_dict`; it is not changed.
        :returns: the component, without a loaded model.
        """
        data = copy.deepcopy(data)
        if data.get("init_parameters", {}).get("model_kwargs"):
            deserialize_hf_model_kwargs(data["init_parameters"]["model_kwargs"])
        return default_from_dict(cls, data)

    def _get_telemetry_data(self) -> dict[str, Any]:
        return {"model": self.model}

    def __getstate__(self) -> dict[str, Any]:
        if isinstance(self.token, TokenSecret):
            raise ValueError("Cannot pickle token-based secret. Use Secret.from_env_var, which is read at warm-up.")
        return self._cold_state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_cold()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self._cold_state(), memo))
        return copied

    def _cold_state(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name not in _RESOURCES}
        return {**kept, "async_executor": None}


def _forget_all_threads() -> None:
    for component in list(_alive):
        component._forget_threads()


_alive: weakref.WeakSet[Lifecycle] = weakref.WeakSet()
"""All components of this process."""

if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget_all_threads)
