"""Nodes with titles are embedded as BMRetriever was trained: title, space, text."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes

TITLE, TEXT = "Aspirin in {stroke}", "  Aspirin 75 mg reduced recurrence {hazard ratio 0.77}. "


@pytest.mark.parametrize("kind", [TextNode, Document])
async def test_the_vector_is_that_of_title_and_text(tiny, kind):
    node = kind(text=TEXT, metadata={"file_path": "/data/x.xml", "title": TITLE, "year": 2021})
    [prepared] = prepare_nodes([node])
    model = BMRetrieverEmbedding(model_name=str(tiny("gemma")), dtype="float32")
    with BMRetrieverEncoder(tiny("gemma"), dtype="float32") as encoder:
        expected = encoder.encode_passages([TEXT], [TITLE])[0]
    model([node])
    assert not np.allclose(node.embedding, expected, atol=1e-3)  # what LlamaIndex does by itself
    model([prepared])
    assert np.allclose(prepared.embedding, expected, atol=1e-6)
    [again] = prepare_nodes([prepared])
    assert again.embedding is None  # a vector of another text is no vector of this one
    await model.acall([again])
    assert np.allclose(again.embedding, expected, atol=1e-6)
    model.close()


@pytest.mark.parametrize("title", [None, "", "  ", "absent"])
def test_without_title_the_text_stands_alone(title):
    metadata = {"file_path": "/data/x.xml"} | ({} if title == "absent" else {"title": title})
    [prepared] = prepare_nodes([TextNode(text="the text", metadata=metadata)])
    assert prepared.get_content(MetadataMode.EMBED) == "the text"


def test_the_originals_are_not_changed():
    node = TextNode(text=TEXT, metadata={"title": TITLE, "year": 2021}, excluded_embed_metadata_keys=["title"])
    before = node.model_dump()
    [prepared] = prepare_nodes([node])
    prepared.metadata["year"] = 1999
    assert node.model_dump() == before
    assert prepared.node_id == node.node_id
    assert prepared.get_content(MetadataMode.EMBED) == f"{TITLE} {TEXT}".strip()
    assert prepared.get_content() == TEXT


def test_another_key_may_hold_the_title():
    node = TextNode(text="text", metadata={"title": "no", "headline": "yes", "note": "x"})
    [prepared] = prepare_nodes([node], title_key="headline")
    assert prepared.get_content(MetadataMode.EMBED) == "yes text"
    assert prepared.get_content(MetadataMode.LLM) == "no\nyes\nx text"  # as documented: values without their keys


def test_chunks_inherit_it_from_their_document():
    document = Document(text="One sentence. " * 60, metadata={"title": TITLE, "file_path": "/data/x.xml"})
    chunks = SentenceSplitter(chunk_size=64, chunk_overlap=0)(prepare_nodes([document]))
    assert len(chunks) > 3
    for chunk in chunks:
        assert chunk.get_content(MetadataMode.EMBED) == f"{TITLE} {chunk.text}"
        assert isinstance(chunk.relationships[NodeRelationship.SOURCE], RelatedNodeInfo)


def test_what_is_no_text_node_is_refused():
    with pytest.raises(TypeError, match="got str"):
        prepare_nodes(["a text"])
