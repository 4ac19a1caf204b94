"""Nodes with titles are embedded as BMRetriever was trained: title, space, text."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, RelatedNodeInfo, TextNode

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes

TITLE, TEXT = "Aspirin in {stroke}", "  Aspirin 75 mg reduced recurrence {hazard ratio 0.77}. "
ABSENT = "no such key"


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


@pytest.mark.parametrize("title", [None, "", "  ", ABSENT, float("nan"), pd.NA, pd.NaT], ids=repr)
def test_without_title_the_text_stands_alone(title):
    metadata = {"file_path": "/data/x.xml"} | ({} if title is ABSENT else {"title": title})
    [prepared] = prepare_nodes([TextNode(text="the text", metadata=metadata)])
    assert prepared.get_content(MetadataMode.EMBED) == "the text"


def test_a_title_of_an_enum_is_its_value():
    class Topic(str, Enum):  # noqa: UP042  a StrEnum is written as its value already
        HEART = "Heart failure"

    [prepared] = prepare_nodes([TextNode(text="the text", metadata={"title": Topic.HEART})])
    assert prepared.get_content(MetadataMode.EMBED) == "Heart failure the text"


def test_the_originals_are_not_changed():
    node = TextNode(text=TEXT, metadata={"title": TITLE, "year": 2021}, excluded_embed_metadata_keys=["title"])
    before = node.model_dump()
    [prepared] = prepare_nodes([node])
    prepared.metadata["year"] = 1999
    assert node.model_dump() == before
    assert prepared.node_id == node.node_id
    assert prepared.get_content(MetadataMode.EMBED) == f"{TITLE} {TEXT}".strip()
    assert prepared.get_content() == TEXT


def test_the_copies_share_nothing_with_the_originals():
    parent = RelatedNodeInfo(node_id="parent", metadata={"part": 1})
    node = TextNode(
        text=TEXT,
        metadata={"title": TITLE, "authors": ["A", "B"], "ids": {"pmid": "1"}},
        relationships={NodeRelationship.PARENT: parent},
        excluded_llm_metadata_keys=["ids"],
        embedding=[1.0],
    )
    before = node.model_dump()
    [prepared] = prepare_nodes([node])
    prepared.metadata["authors"].append("C")
    prepared.metadata["ids"]["pmid"] = "2"
    prepared.relationships[NodeRelationship.PARENT].metadata["part"] = 2
    prepared.relationships[NodeRelationship.NEXT] = RelatedNodeInfo(node_id="next")
    prepared.excluded_llm_metadata_keys.append("authors")
    prepared.set_content("another text")
    assert node.model_dump() == before


def test_an_llm_sees_the_keys_that_are_named():
    metadata = {"title": "yes", "note": "x", "year": 2021, "path": "p"}
    node = TextNode(text="text", metadata=metadata, excluded_llm_metadata_keys=["year", "added later"])
    [own] = prepare_nodes([node])
    assert own.get_content(MetadataMode.LLM) == "yes\nx\np text"
    [named] = prepare_nodes([node], llm_keys=["title", "year"])
    assert named.get_content(MetadataMode.LLM) == "yes\n2021 text"
    assert "added later" in named.excluded_llm_metadata_keys
    [none] = prepare_nodes([node], llm_keys=[])
    assert none.get_content(MetadataMode.LLM) == "text"
    assert {n.get_content(MetadataMode.EMBED) for n in (own, named, none)} == {"yes text"}
    with pytest.raises(TypeError, match=r"write \['title'\]"):
        prepare_nodes([node], llm_keys="title")


def test_long_metadata_that_no_llm_sees_leaves_the_chunks_their_length():
    authors = ", ".join(f"Author{number} A" for number in range(160))
    document = Document(text="One sentence of a text. " * 200, metadata={"title": "T", "authors": authors})
    splitter = SentenceSplitter(chunk_size=512, chunk_overlap=0)
    with pytest.raises(ValueError, match="Metadata length"):
        splitter(prepare_nodes([document]))
    chunks = splitter(prepare_nodes([document], llm_keys=["title"]))
    alone = splitter(prepare_nodes([Document(text=document.text, metadata={"title": "T"})]))
    assert [chunk.text for chunk in chunks] == [chunk.text for chunk in alone]


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
