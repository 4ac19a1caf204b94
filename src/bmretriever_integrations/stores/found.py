"""What is read from a live store, and the metrics' names in each store's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bmretriever_integrations.stores.settings import Metric


@dataclass(frozen=True, kw_only=True)
class Found:
    """The metric and the dimension that were read from a live store."""

    store: str
    """The kind of store: a key of :data:`~bmretriever_integrations.stores.STORES`."""
    metric: Metric
    """The metric in this package's words."""
    named: str
    """The metric in the store's own words."""
    width: int | None
    """Dimension of the store's vectors; None where the first vector decides it."""
    scores_fall: bool = False
    """Whether the store returns distances as scores, so that the best hit has the smallest score."""
    width_limit: int | None = None
    """The most dimensions that the store's index accepts; None if there is no limit."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the caller wants to check: a part of the store, and the kind of vectors that will go into it."""

    unit: bool
    """Whether the vectors have length 1."""
    collection: str | None = None
    """Name of the collection in a Qdrant client."""
    vector_name: str | None = None
    """Name of one vector in a Qdrant collection that has several."""


Reader = Callable[[Any, Asked], Found]
"""A function that reads one kind of store."""

_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "ip": "dot",
        "dot": "dot",
        "dot_product": "dot",
        "inner_product": "dot",
        "cosine": "cosine",
        "cosine_similarity": "cosine",
        "l2": "l2",
        "euclid": "l2",
        "l2_distance": "l2",
        "innerproduct": "dot",
        "cosinesimil": "cosine",
    }
)


def ranks_rightly(metric: Metric, unit: bool) -> bool:
    """
    Tell whether a metric ranks vectors in the same order as the dot product.

    :param metric: the metric of the store.
    :param unit: whether the vectors have length 1.
    """
    return metric == "dot" or (unit and metric in ("cosine", "l2"))


def metric_of(named: str) -> Metric:
    """
    Return a store's metric in this package's words.

    :param named: the metric in the store's own words.
    """
    return _METRICS.get(named.casefold(), "other")
