"""How questions are answered. This module loads no engine, so that a process can say at once which options there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.filters.filters import condition
from bmretriever_integrations.index.search.asked import Mode
from bmretriever_integrations.serving.errors import INVALID, ApiError


@dataclass(frozen=True, kw_only=True)
class Options:
    """How questions are answered; see :meth:`~bmretriever_integrations.index.SearchIndex.search`."""

    top_k: int = 10
    mode: Mode = "hybrid"
    filters: Mapping[str, Any] | None = None
    """Maps fields of :class:`~bmretriever_integrations.index.Filters` to values; ``where`` is none of them."""
    instruction: str | None = None
    include_retracted: bool = False

    def checked_filters(self) -> Filters | None:
        """
        Return the filters.

        :raises ApiError: if a field or a value is none that is known, or if a condition in SQL is among them.
        """
        given = {name: value for name, value in (self.filters or {}).items() if value not in (None, [], {}, "")}
        if "where" in given:
            message = "filters have no field 'where': no SQL is taken over HTTP"
            raise ApiError(400, message, param="filters.where", code="unknown_parameter")
        try:
            filters = Filters(**given) if given else None
            condition(filters)  # all of them together may be too many
            return filters
        except (TypeError, ValueError) as error:
            raise ApiError(400, str(error), param=_refused(given), code=INVALID) from None


def _refused(given: Mapping[str, Any]) -> str:
    """Name the field that is refused by itself; none is where two of them contradict each other."""
    for name, value in given.items():
        try:
            Filters(**{name: value})
        except (TypeError, ValueError):
            return f"filters.{name}"
    return "filters"
