"""Records of an index as Documents and nodes: embedded again, they get the index's own vector."""

import numpy as np
import pytest

from bmretriever_integrations.corpus.metadata import Metadata
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index import Hit
from bmretriever_integrations.index.frameworks.haystack import document_of
from bmretriever_integrations.index.frameworks.llama_index import node_of

FULL = Metadata(
    date="2015-03",
    authors=("Smith, John A", "Müller, Ä"),
    mesh=("Humans", "Aged"),
    retracted=True,
    other={"arm": None, "title": "another", "sizes": [1, 2]},
)
RECORDS = [
    Record("33419956", "Metformin and cancer", "Metformin use was associated with fewer cancers.", FULL),
    Record("2", "", "Statins lower {LDL} cholesterol."),
    Record("3", "A title alone, in {braces} and 100 %", ""),
    Record("4", "  ", "Only white space is its title."),
    Record("PMC7/results/2", "β-catenin", " Text between spaces \n", Metadata(version=2)),
]
FACTS = {"date": "2015-03", "authors": ["Smith, John A", "Müller, Ä"], "mesh": ["Humans", "Aged"], "retracted": True}
FACTS |= {"arm": None, "sizes": [1, 2]}


@pytest.fixture(scope="module")
def vectors(encoder):
    texts, titles = [record.text for record in RECORDS], [record.title for record in RECORDS]
    return encoder.encode_passages(texts, titles=titles)


def test_documents_hold_every_fact_and_are_embedded_as_the_index_does(encoder, vectors, error):
    pytest.importorskip("haystack")
    from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder

    documents = [document_of(record, vector) for record, vector in zip(RECORDS, vectors, strict=True)]
    assert [document.id for document in documents] == [record.id for record in RECORDS]
    assert [document.content for document in documents] == [record.text for record in RECORDS]
    assert documents[0].meta == {"title": "Metformin and cancer", **FACTS}
    assert np.array_equal([document.embedding for document in documents], vectors)
    embedder = BMRetrieverDocumentEmbedder(
        model=encoder.settings.model,
        meta_fields_to_embed=["title"],
        progress_bar=False,
        model_kwargs={"dtype": "float32"},
    )
    again = embedder.run([document_of(record) for record in RECORDS])["documents"]
    embedder.close()
    assert error([document.embedding for document in again], vectors) < 1e-5


def test_nodes_hold_every_fact_and_are_embedded_as_the_index_does(encoder, vectors, error):
    pytest.importorskip("llama_index.core")
    from bmretriever_integrations.llama_index import BMRetrieverEmbedding

    nodes = [node_of(record, vector) for record, vector in zip(RECORDS, vectors, strict=True)]
    assert [node.node_id for node in nodes] == [record.id for record in RECORDS]
    assert nodes[0].metadata == {"id": "33419956", "title": "Metformin and cancer", **FACTS}
    assert np.array_equal([node.embedding for node in nodes], vectors)
    assert nodes[0].get_content("llm").split("\n") == ["33419956", f"{RECORDS[0].title} {RECORDS[0].text}"]
    embedding = BMRetrieverEmbedding(encoder.settings.model, dtype="float32")
    again = embedding([node_of(record) for record in RECORDS])
    embedding.close()
    assert error([node.embedding for node in again], vectors) < 1e-5


def test_a_hit_becomes_what_its_record_becomes_and_its_score_the_documents():
    pytest.importorskip("haystack")
    pytest.importorskip("llama_index.core")
    record = RECORDS[0]
    hit = Hit(1, 0.5, record.id, record.title, record.text, record.metadata.facts())
    assert document_of(hit).score == 0.5
    assert document_of(hit).meta == document_of(record).meta
    assert document_of(record).score is None
    assert node_of(hit) == node_of(record)
