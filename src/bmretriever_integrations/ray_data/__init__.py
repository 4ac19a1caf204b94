"""
What Ray Data's ``map_batches`` calls: batches of texts to vectors, and batches of records to the rows of an index.

The classes take and return batches of columns, so importing them needs no Ray, and they serve other tools, too.
"""

from bmretriever_integrations.ray_data.batch_embedder import BMRetrieverBatchEmbedder
from bmretriever_integrations.ray_data.index_rows import BMRetrieverIndexRows
from bmretriever_integrations.ray_data.reading import read_sources

__all__ = ["BMRetrieverBatchEmbedder", "BMRetrieverIndexRows", "read_sources"]
