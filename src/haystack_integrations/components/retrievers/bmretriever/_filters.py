"""Filters of a Haystack component: what a run adds to those of the component, and their form in YAML."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from haystack.document_stores.types import FilterPolicy, apply_filter_policy
from haystack.errors import FilterError

from bmretriever_integrations.index.filters.filters import Filters, condition, filters_of

AnyFilters = Filters | dict[str, Any] | None
"""Our filters, a dictionary of their fields, or a dictionary of Haystack's."""


def checked(filters: Any) -> AnyFilters:
    """
    Check filters.

    :param filters: any.
    :returns: the filters, a dictionary of the fields of our filters made into them.
    :raises FilterError: if they ask for something that cannot be asked.
    :raises TypeError: if they are of no kind that is known.
    """
    if filters is not None and not isinstance(filters, Filters | Mapping):
        raise TypeError(f"filters must be Filters, a dict or None, got {type(filters).__name__}")
    try:
        known = filters_of(filters)
        condition(known)
    except ValueError as error:
        raise FilterError(str(error)) from error
    return known  # type: ignore[return-value]


def joined(policy: FilterPolicy, of_component: AnyFilters, of_run: AnyFilters) -> Any:
    """
    Apply the filter policy, as Haystack does for its own filters.

    :param policy: REPLACE takes those of the run if there are any. MERGE takes both; where both ask for the same field, those of
        the run count.
    :param of_component: filters of the constructor.
    :param of_run: filters of this run.
    :raises FilterError: if one is a dictionary of Haystack's, the other is not, and they are to be merged.
    """
    if policy is FilterPolicy.REPLACE or not of_component or not of_run:
        return of_run or of_component
    if isinstance(of_component, Filters) and isinstance(of_run, Filters):
        return checked({**of_component.as_dict(), **of_run.as_dict()})
    if isinstance(of_component, Filters) or isinstance(of_run, Filters):
        raise FilterError(
            "filters of a run and of the component can be merged if both are Filters, or if both are dictionaries of Haystack's; "
            f"got {of_run!r:.200} and {of_component!r:.200}"
        )
    return apply_filter_policy(policy, of_component, of_run)


def as_plain(filters: AnyFilters) -> dict[str, Any] | None:
    """
    Return filters in the form in which they are saved.

    :param filters: those of a component.
    """
    return filters.as_dict() if isinstance(filters, Filters) else copy.deepcopy(filters)
