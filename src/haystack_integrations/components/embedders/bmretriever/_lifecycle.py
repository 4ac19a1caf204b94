"""Cold, warm, closed, copied, written down: what both embedders do alike."""

from __future__ import annotations

import asyncio
import copy
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Self, TypeVar

from haystack import default_from_dict, default_to_dict
from haystack.utils.auth import TokenSecret
from haystack.utils.hf import deserialize_hf_model_kwargs

from haystack_integrations.components.embedders.bmretriever._backend import _BMRetrieverEmbeddingBackend
from haystack_integrations.components.embedders.bmretriever._settings import EmbedderSettings

P = ParamSpec("P")
Result = TypeVar("Result")

_RESOURCES = ("embedding_backend", "executor", "async_executor", "_loading", "_choosing")


class Lifecycle(EmbedderSettings):
    """Holds the engine and the worker thread between warm-up and close."""

    embedding_backend: _BMRetrieverEmbeddingBackend | None
    executor: ThreadPoolExecutor | None

    def _open_backend(self) -> _BMRetrieverEmbeddingBackend:
        raise NotImplementedError

    def _start_cold(self) -> None:
        self.embedding_backend = None
        self.executor = None
        self._loading = threading.Lock()
        self._choosing = threading.Lock()  # never held for long: the event loop waits for it

    def warm_up(self) -> None:
        """
        Load the model, or join a component of equal settings that has it; does nothing if that is done.

        :raises FileNotFoundError: if the model is neither on this machine nor to be had from the hub.
        :raises ValueError: if a parameter asks for what this engine does not do; nothing is loaded then.
        """
        self._worker()
        with self._loading:
            if self.embedding_backend is None:
                self.embedding_backend = self._open_backend()

    async def warm_up_async(self) -> None:
        """Do as :meth:`warm_up`, on the worker thread: the event loop stays free."""
        await self._on_worker(self.warm_up)

    def close(self) -> None:
        """
        Let the model go; the last component that uses it frees its memory.

        Calls of ``run_async`` that have begun are finished first. An executor that was passed in is left running. A later call
        warms up again.
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
        """Do as :meth:`close`; the event loop stays free."""
        await asyncio.to_thread(self.close)

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
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._worker(), lambda: function(*args, **kwargs))

    def to_dict(self) -> dict[str, Any]:
        """
        Serialize the component.

        :returns: type and init parameters; without model, secrets and executor.
        :raises ValueError: if the token is a plain string: ``Secret.from_env_var`` can be written down.
        """
        names = [
            name for name in inspect.signature(type(self).__init__).parameters if name not in ("self", "async_executor")
        ]
        parameters = {name: copy.deepcopy(getattr(self, name)) for name in names}
        parameters["device"] = self.chosen_device  # None stays None: a file made beside a GPU loads on a laptop
        if self.model_kwargs:
            parameters["model_kwargs"] = {key: str(value) for key, value in self.model_kwargs.items()}
        return default_to_dict(self, **parameters)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Make the component that :meth:`to_dict` wrote down.

        :param data: what :meth:`to_dict` returned; it is not changed.
        :returns: the component, cold.
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
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(self._cold_state(), memo))
        return twin

    def _cold_state(self) -> dict[str, Any]:
        kept = {name: value for name, value in vars(self).items() if name not in _RESOURCES}
        return {**kept, "async_executor": None}
