"""The names under which a model is served: one for passages, one for queries, so that a client cannot mix them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Literal, get_args

from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.serving.errors import INVALID, ApiError

Kind = Literal["query", "passage"]
"""What a text is to the model."""
KINDS: tuple[Kind, ...] = get_args(Kind)
OF_QUERIES = "-query"
"""The end of the name for queries."""


class ModelNames:
    """The names of one model."""

    def __init__(self, model: str, served_as: str | None = None) -> None:
        """
        :param model: a hub id, a short name or a folder.
        :param served_as: the name for passages; None takes the last part of ``model``, so that no path is told to clients.
        :raises ValueError: if passages would have a name that promises queries.
        """
        known = find_checkpoint(model)
        hub_id = known.hub_id if known else None
        self.passages = served_as or PurePath(hub_id or model).name
        """The name under which texts are embedded as passages."""
        if self.passages.endswith(OF_QUERIES):
            raise ValueError(
                f"the model would be served as {self.passages!r:.200}, and names that end in {OF_QUERIES!r} promise queries: "
                "choose another name for passages by --name"
            )
        self.queries = f"{self.passages}{OF_QUERIES}"
        """The name under which texts are embedded as queries."""
        self._kinds: dict[str, Kind] = {self.passages: "passage", self.queries: "query"}
        for other in (hub_id, known.name if known else None):  # clients may also name the checkpoint in full
            if other is not None and served_as is None:
                self._kinds |= {other: "passage", f"{other}{OF_QUERIES}": "query"}

    def kind(self, model: str, input_type: Kind | None = None) -> Kind:
        """
        Tell what the texts of a request are.

        :param model: the model that the request names.
        :param input_type: what the request says itself; None if it leaves that to the model's name.
        :raises ApiError: if there is no such model, or if the two contradict each other.
        """
        named = self._kinds.get(model)
        if named is None:
            raise ApiError(
                404, f"there is no model {model!r:.100}; {self.ways()}", param="model", code="model_not_found"
            )
        if named == "query" and input_type == "passage":
            message = f"{model!r} embeds queries, and input_type is 'passage'; {self.ways()}"
            raise ApiError(400, message, param="input_type", code=INVALID)
        return input_type or named

    def ways(self) -> str:
        """Say how a request names what it embeds."""
        return (
            f"name {self.passages!r} to embed passages and {self.queries!r} to embed queries, or {self.passages!r} with "
            "input_type 'query' or 'passage'"
        )
