"""Nodes that LlamaIndex embeds whole, with the metadata that it puts before their text."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import pytest
from llama_index.core.ingestion import IngestionCache, IngestionPipeline
from llama_index.core.node_parser import NodeParser
from llama_index.core.schema import Document, MetadataMode, NodeRelationship, TextNode

from bmretriever_integrations.llama_index import BMRetrieverEmbedding, BMRetrieverNodeParser, prepare_nodes
from bmretriever_integrations.passages import ShortenedTitleWarning

SENTENCE = "Metformin lowers HbA1c in adults with type 2 diabetes. "
METADATA = {"title": "Metformin", "journal": "Example", "authors": ", ".join(["Smith A"] * 50)}


@pytest.fixture(scope="module")
def parser():
    made = BMRetrieverNodeParser("mini")
    assert made.split_text("Short.") == ["Short."]
    return made


@pytest.fixture(scope="module")
def embedding():
    made = BMRetrieverEmbedding("mini")
    yield made
    made.close()


def article(repeated=100, **metadata):
    return Document(text=SENTENCE * repeated, metadata=metadata or METADATA, id_="article")


def embedded_whole(embedding, nodes):
    """No node's embedded text has more tokens than fit."""
    texts = [node.get_content(MetadataMode.EMBED) for node in nodes]
    return max(len(embedding.text_tokens(text)) for text in texts) <= embedding.passage_tokens


@pytest.mark.parametrize("prepare", [True, False], ids=["title alone", "all metadata"])
def test_nodes_are_embedded_whole_and_lose_no_word(parser, embedding, prepare):
    documents = [article(), Document(text="IL-6/TNF-α±0.05; " * 300, metadata=METADATA)]
    nodes = parser(prepare_nodes(documents) if prepare else documents)
    assert embedded_whole(embedding, nodes)
    own = [node for node in nodes if node.ref_doc_id == "article"]
    assert " ".join(node.text for node in own).split() == documents[0].text.split()
    assert all(node.text.endswith("diabetes.") for node in own)
    assert len(own) == (3 if prepare else 4)
    assert all(node.metadata == METADATA for node in nodes)


def test_relationships_and_places_of_texts_that_are_there_several_times(parser):
    document = article()
    nodes = parser.get_nodes_from_documents(prepare_nodes([document]))
    for node in nodes:
        assert document.text[node.start_char_idx : node.end_char_idx] == node.text
    assert all(after.start_char_idx > before.end_char_idx for before, after in pairwise(nodes))
    assert [node.next_node.node_id for node in nodes[:-1]] == [node.node_id for node in nodes[1:]]
    assert [node.prev_node.node_id for node in nodes[1:]] == [node.node_id for node in nodes[:-1]]
    alone = BMRetrieverNodeParser("mini", include_prev_next_rel=False)([document])
    assert all(node.relationships.keys() == {NodeRelationship.SOURCE} for node in alone)


def test_options(parser, embedding):
    document = article()
    small = BMRetrieverNodeParser("mini", max_tokens=60)([document])
    assert max(len(embedding.text_tokens(node.text)) for node in small) <= 60
    assert len(small) > len(parser([document]))
    shared = BMRetrieverNodeParser("mini", max_tokens=60, overlap=20)([document])
    assert all(after.start_char_idx < before.end_char_idx for before, after in pairwise(shared))
    short = BMRetrieverNodeParser("mini", max_length=128)([article(title="Metformin")])
    assert max(len(embedding.text_tokens(node.get_content(MetadataMode.EMBED))) for node in short) <= 128 - 6
    bare = BMRetrieverNodeParser("mini", include_metadata=False)([document])
    assert all(not node.metadata for node in bare)
    assert len(bare) < len(parser([document]))
    named = BMRetrieverNodeParser("mini", id_func=lambda number, node: f"{node.node_id}#{number}")([document])
    assert [node.node_id for node in named[:2]] == ["article#0", "article#1"]


def test_long_metadata_is_shortened_in_the_nodes_and_said(parser, embedding):
    document = article(title="A title of many words " * 200, authors="Smith A, " * 300, journal="Example")
    for documents in ([document], prepare_nodes([document])):
        with pytest.warns(ShortenedTitleWarning):
            nodes = parser(documents)
        assert embedded_whole(embedding, nodes)
        assert document.metadata["title"].startswith(nodes[0].metadata["title"])
        assert nodes[0].metadata["journal"] == "Example"
    assert nodes[0].metadata["authors"] == document.metadata["authors"]  # which is not embedded
    assert len(document.metadata["title"]) == 4_400
    wrong = Document(text="Text.", metadata=METADATA, text_template="{metadata_str}")
    with pytest.raises(ValueError, match="text_template must name"):
        parser([wrong])


def test_nodes_and_texts_of_all_kinds(parser):
    (empty,) = parser([Document(text="", metadata=METADATA)])
    assert (empty.text, empty.metadata) == ("", METADATA)
    (node,) = parser([TextNode(text="A node. Of two sentences.", metadata={"title": "T"})])
    assert node.text == "A node. Of two sentences."
    assert parser([]) == []


async def test_it_is_async(parser):
    nodes = await parser.acall([article()])
    assert [node.text for node in nodes] == [node.text for node in parser([article()])]


def test_dicts_and_copies_keep_settings_and_no_token():
    parser = BMRetrieverNodeParser("mini", max_tokens=60, overlap=10, max_length=450, token="hf_secret")
    data = parser.to_dict()
    assert data["class_name"] == "BMRetrieverNodeParser"
    assert "hf_secret" not in f"{data}{parser!r}"
    texts = [node.text for node in parser([article()])]
    saved = pickle.dumps(parser)
    assert b"hf_secret" not in saved
    for again in (BMRetrieverNodeParser.from_dict(data), pickle.loads(saved), copy.deepcopy(parser)):
        assert (again.max_tokens, again.overlap, again.max_length) == (60, 10, 450)
        assert [node.text for node in again([article()])] == texts
    assert parser.token.get_secret_value() == "hf_secret"
    assert isinstance(parser, NodeParser)


def test_a_cached_pipeline_notices_what_is_embedded(parser):
    cache = IngestionCache()

    def run(documents):
        pipeline = IngestionPipeline(transformations=[parser], cache=cache)
        return pipeline.run(documents=documents)

    first = run([article()])
    assert [node.node_id for node in run([article()])] == [node.node_id for node in first]
    assert len(run(prepare_nodes([article()]))) < len(first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 0.5}, "max_tokens"),
        ({"overlap": "x"}, "overlap"),
        ({"max_length": 1}, "max_length must be at least 2"),
        ({"chunk_size": 100}, "chunk_size"),
        ({"model_name": " "}, "model must be a hub id"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        BMRetrieverNodeParser(**settings)


def test_numbers_that_the_model_does_not_allow_are_refused_at_first_use():
    with pytest.raises(ValueError, match="max_tokens must be from 16 to the model's 506"):
        BMRetrieverNodeParser("mini", max_tokens=5_000)([article()])
