"""The right metric and dimension for each vector store, and a check before anything is written.

BMRetriever compares by dot product and its vectors are not of length 1, while most stores compare by cosine or Euclidean distance
unless told otherwise; they then rank wrongly without any error.
"""

from __future__ import annotations

from bmretriever_integrations.stores.preflight import check_store
from bmretriever_integrations.stores.settings import STORES, Store, store_settings

__all__ = ["STORES", "Store", "check_store", "store_settings"]
