"""Define the Haystack component that searches an index."""

from __future__ import annotations

import os
from typing import Any, Self

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.document_stores.types import FilterPolicy
from haystack.utils import ComponentDevice

from bmretriever_integrations.encoder.cancelling import run_on_thread
from bmretriever_integrations.index.filters.filters import Filters
from bmretriever_integrations.index.frameworks.haystack import document_of
from bmretriever_integrations.index.search.asked import Mode, mode_of, wanted_of
from bmretriever_integrations.index.search.shared import LazyIndex
from bmretriever_integrations.prompts import resolve_instruction
from haystack_integrations.components.retrievers.bmretriever._filters import as_plain, checked, joined


@component
class BMRetrieverIndexRetriever:
    """
    Finds documents in an index that ``bmretriever index`` made, by vectors, by words, or by both.

    It takes the question itself. The index embeds it with the model, the settings and the template that its vectors were made
    with, so there is no embedder beside it that could be a wrong one.

    Retrievers of the same index with the same model and device share what is open. Each sees what another process adds to the
    index, without being opened again.

    Usage example:

    ```python
    from haystack_integrations.components.retrievers.bmretriever import BMRetrieverIndexRetriever

    retriever = BMRetrieverIndexRetriever(index="papers-index", top_k=5)
    documents = retriever.run("does metformin lower cancer risk", filters={"since": 2015})["documents"]
    ```
    """

    def __init__(
        self,
        *,
        index: str | os.PathLike[str],
        top_k: int = 10,
        mode: Mode | None = None,
        filters: Filters | dict[str, Any] | None = None,
        filter_policy: FilterPolicy = FilterPolicy.REPLACE,
        instruction: str | None = None,
        include_retracted: bool = False,
        model: str | os.PathLike[str] | None = None,
        device: ComponentDevice | None = None,
    ) -> None:
        """
        Create the component; nothing is opened before :meth:`warm_up` or the first run.

        :param index: the folder of the index, or its URL on an object store.
        :param top_k: how many documents a run returns at most.
        :param mode: "hybrid" compares vectors and words, "vector" vectors alone, "text" words alone, for which no model is
            loaded. None takes "hybrid".
        :param filters: what every document fulfils: ``Filters``, a dictionary of their fields, e.g. ``{"since": 2015}``, or a
            filter dictionary of Haystack's.
        :param filter_policy: what the filters of a run do to these: replace them, or add to them.
        :param instruction: the task of the questions: a task key or a sentence; None takes the authors' instruction for
            biomedical questions.
        :param include_retracted: return retracted papers, too; ``meta["retracted"]`` marks them.
        :param model: where the model is now; None takes the name in the index.
        :param device: the device for the model; None takes the fastest device of the machine, which is chosen at warm-up.
        :raises TypeError: if a value has the wrong type.
        :raises ValueError: if a value is not allowed.
        :raises FilterError: if the filters ask for something that cannot be asked.
        """
        if not isinstance(filter_policy, FilterPolicy):
            raise TypeError(f"filter_policy must be a FilterPolicy, got {filter_policy!r}: write FilterPolicy.MERGE")
        if device is not None and not isinstance(device, ComponentDevice):
            raise TypeError(
                f"device must be a ComponentDevice or None, got {device!r}: write ComponentDevice.from_str('cuda:0')"
            )
        wanted_of(top_k, None, include_retracted)
        mode_of(mode, are_words=True)
        resolve_instruction(instruction)
        self.index = _path("index", index)
        self.top_k, self.mode, self.instruction, self.include_retracted = top_k, mode, instruction, include_retracted
        self.filters, self.filter_policy = checked(filters), filter_policy
        self.model = None if model is None else _path("model", model)
        self.device = device
        self._opened = LazyIndex()

    def warm_up(self) -> None:
        """
        Open the index and, unless words alone are compared, load its model. If this was done already, it does nothing.

        :raises FileNotFoundError: if there is no index, or its model is not where it was.
        """
        with self._use() as index:
            if self.mode != "text":
                index.warm_up()

    async def warm_up_async(self) -> None:
        """Do the same as :meth:`warm_up` on another thread, so that the event loop is not blocked."""
        await run_on_thread(None, self.warm_up)

    def close(self) -> None:
        """
        Release the index and its model. Their memory is freed when the last retriever that uses them is closed.

        Runs that have begun end as usual. A later run opens the index again.
        """
        self._opened.release()

    async def close_async(self) -> None:
        """Do the same as :meth:`close`, without blocking the event loop."""
        await run_on_thread(None, self.close)

    @component.output_types(documents=list[Document], retracted_left_out=int)
    def run(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        include_retracted: bool | None = None,
    ) -> dict[str, Any]:
        """
        Find documents.

        :param query: the question.
        :param filters: what every document fulfils: the fields of ``Filters`` as a dictionary, e.g. ``{"since": 2015,
            "publication_types": ["Review"]}``, or a filter dictionary of Haystack's. ``Filters`` themselves will do.
        :param top_k: how many documents, instead of the component's own number.
        :param include_retracted: return retracted papers, too, or leave them out, instead of the component's own choice.
        :returns: a dictionary with the keys ``documents``, best first, each with its score, and ``retracted_left_out``, the
            number of retracted papers that would stand among them.
        :raises TypeError: if the query is not a string.
        :raises ValueError: if the query is empty, or top_k is less than 1.
        :raises FilterError: if the filters ask for something that cannot be asked.
        """
        _check_query(query)
        shown = self.include_retracted if include_retracted is None else include_retracted
        wanted = joined(self.filter_policy, self.filters, checked(filters))
        with self._use() as index:
            hits = index.search(
                query,
                self.top_k if top_k is None else top_k,
                mode=self.mode,
                filters=wanted,
                instruction=self.instruction,
                include_retracted=shown,
            )
        return {"documents": [document_of(hit) for hit in hits], "retracted_left_out": hits.retracted_left_out}

    @component.output_types(documents=list[Document], retracted_left_out=int)
    async def run_async(
        self,
        query: str,
        filters: dict[str, Any] | None = None,
        top_k: int | None = None,
        include_retracted: bool | None = None,
    ) -> dict[str, Any]:
        """
        Find documents on another thread, so that the event loop is not blocked.

        :param query: the question; see :meth:`run`, as for the other parameters, the result and the errors.
        :param filters: see :meth:`run`.
        :param top_k: see :meth:`run`.
        :param include_retracted: see :meth:`run`.
        """
        return await run_on_thread(None, self.run, query, filters, top_k, include_retracted)

    def to_dict(self) -> dict[str, Any]:
        """
        Serialize the component.

        :returns: type and init parameters.
        """
        return default_to_dict(
            self,
            index=self.index,
            top_k=self.top_k,
            mode=self.mode,
            filters=as_plain(self.filters),
            filter_policy=self.filter_policy.value,
            instruction=self.instruction,
            include_retracted=self.include_retracted,
            model=self.model,
            device=self.device,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """
        Create a component from the result of :meth:`to_dict`.

        :param data: the result of :meth:`to_dict`; it is not changed.
        """
        given = dict(data.get("init_parameters", {}))
        if isinstance(given.get("filter_policy"), str):
            given["filter_policy"] = FilterPolicy.from_str(given["filter_policy"])
        return default_from_dict(cls, {**data, "init_parameters": given})

    def _use(self) -> Any:
        return self._opened.use(self.index, self.model, None if self.device is None else self.device.to_torch_str())

    def _get_telemetry_data(self) -> dict[str, Any]:
        return {"mode": self.mode}


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not isinstance(path := os.fspath(value), str):
        raise TypeError(f"{name} must be a str or a path, got {type(value).__name__}")
    return path


def _check_query(query: Any) -> None:
    if not isinstance(query, str):
        raise TypeError(
            "BMRetrieverIndexRetriever expects a string as query. It embeds the question itself, so connect the question and no "
            f"embedding; got {type(query).__name__}."
        )
