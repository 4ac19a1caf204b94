"""Know the right metric and dimension for each vector store, and check a store before anything is written to it.

BMRetriever compares vectors by dot product, and its vectors do not have length 1. Most stores compare by cosine or Euclidean
distance by default; they then rank wrongly without any error.
"""

from __future__ import annotations

from bmretriever_integrations.stores.preflight import check_store
from bmretriever_integrations.stores.settings import STORES, Store, store_settings

__all__ = ["STORES", "Store", "check_store", "store_settings"]
