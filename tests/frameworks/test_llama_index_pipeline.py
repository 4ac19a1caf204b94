"""Inside LlamaIndex: Settings, VectorStoreIndex, IngestionPipeline with its cache, async."""

from __future__ import annotations

import numpy as np
import pytest
from llama_index.core import Settings, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, MetadataMode, TextNode

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes
from bmretriever_integrations.testing import write_tiny_checkpoint

TEXTS = [
    "Metformin lowers blood glucose in type 2 diabetes.",
    "BRCA1 mutations raise the risk of breast cancer.",
    "ACE inhibitors lower mortality in heart failure.",
    "Aspirin prevents recurrent stroke.",
]


@pytest.fixture
def embedding(tiny):
    made = BMRetrieverEmbedding(model_name=str(tiny("llama")), normalize=True, dtype="float32")
    yield made
    made.close()


@pytest.fixture
def calls(monkeypatch):
    seen, encode = [], BMRetrieverEncoder.encode_passages

    def spy(self, texts, titles=None):
        seen.append(len(texts))
        return encode(self, texts, titles)

    monkeypatch.setattr(BMRetrieverEncoder, "encode_passages", spy)
    return seen


def ranking(embedding, query):
    scores = np.array(embedding.get_text_embedding_batch(TEXTS)) @ np.array(embedding.get_query_embedding(query))
    return [TEXTS[row] for row in np.argsort(-scores)]


async def test_settings_and_an_index_rank_as_the_vectors_do(embedding, monkeypatch):
    monkeypatch.setattr(Settings, "_embed_model", None)
    Settings.embed_model = embedding
    assert Settings.embed_model is embedding
    retriever = VectorStoreIndex.from_documents([Document(text=text) for text in TEXTS]).as_retriever(
        similarity_top_k=4
    )
    expected = ranking(embedding, "stroke")
    assert [hit.text for hit in retriever.retrieve("stroke")] == expected
    assert [hit.text for hit in await retriever.aretrieve("stroke")] == expected


async def test_an_asynchronous_index(embedding):
    index = VectorStoreIndex([TextNode(text=text) for text in TEXTS], embed_model=embedding, use_async=False)
    await index.ainsert_nodes([TextNode(text="Warfarin prevents thrombosis.")])
    hits = await index.as_retriever(similarity_top_k=5).aretrieve("thrombosis")
    assert len(hits) == 5


def test_the_ingestion_cache_knows_the_settings(embedding, calls):
    documents = prepare_nodes([Document(text=text, metadata={"title": "t"}) for text in TEXTS])
    pipeline = IngestionPipeline(transformations=[SentenceSplitter(), embedding])
    first = pipeline.run(documents=documents)
    assert calls == [4]
    again = pipeline.run(documents=documents)
    assert calls == [4]
    assert [node.embedding for node in again] == [node.embedding for node in first]
    embedding.truncate_dim = 16
    assert len(pipeline.run(documents=documents)[0].embedding) == 16
    assert calls == [4, 4]
    passages = BMRetrieverEncoder(embedding.model_name, normalize=True, dtype="float32").encode_passages(
        TEXTS, ["t"] * 4
    )
    assert np.allclose([node.embedding for node in first], passages, atol=1e-6)


def changed_title(documents):
    return prepare_nodes(documents, title_key="short")


def changed_keys(documents):
    nodes = prepare_nodes(documents)
    for node in nodes:
        node.excluded_embed_metadata_keys = ["title"]  # the short title is embedded instead
    return nodes


def changed_template(documents):
    nodes = prepare_nodes(documents)
    for node in nodes:
        node.text_template = "{metadata_str}\n{content}"
    return nodes


@pytest.mark.parametrize("change", [changed_title, changed_keys, changed_template])
async def test_the_ingestion_cache_knows_what_the_nodes_embed(embedding, calls, change):
    documents = [Document(text=text, metadata={"title": f"About {text}", "short": "T"}) for text in TEXTS]
    pipeline = IngestionPipeline(transformations=[embedding])
    pipeline.run(documents=prepare_nodes(documents))
    changed = pipeline.run(documents=change(documents))
    expected = [node.get_content(MetadataMode.EMBED) for node in change(documents)]
    assert [node.embedding for node in changed] == embedding.get_text_embedding_batch(expected)
    count = len(calls)
    assert [node.embedding for node in await pipeline.arun(documents=change(documents))] == [
        node.embedding for node in changed
    ]
    assert len(calls) == count  # from the cache


def test_the_ingestion_cache_knows_where_one_node_ends(embedding):
    pipeline = IngestionPipeline(transformations=[embedding])
    pipeline.run(nodes=[TextNode(text="Aspirin prevents"), TextNode(text=" stroke.")])
    again = pipeline.run(nodes=[TextNode(text="Aspirin"), TextNode(text=" prevents stroke.")])
    assert [node.text for node in again] == ["Aspirin", " prevents stroke."]


def test_the_ingestion_cache_knows_the_weights_of_a_folder(tmp_path):
    folder = tmp_path / "model"
    nodes, pipelines = [TextNode(text=text) for text in TEXTS], []
    for seed in (1, 2):  # trained again into the same folder
        write_tiny_checkpoint(folder, "llama", seed=seed)
        embedding = BMRetrieverEmbedding(model_name=str(folder), dtype="float32")
        pipelines.append(
            IngestionPipeline(transformations=[embedding], cache=pipelines[0].cache if pipelines else None)
        )
        vectors = [node.embedding for node in pipelines[-1].run(nodes=nodes)]
        assert vectors == embedding.get_text_embedding_batch(TEXTS)
        embedding.close()


async def test_an_asynchronous_pipeline(embedding):
    nodes = await IngestionPipeline(transformations=[SentenceSplitter(), embedding]).arun(
        documents=[Document(text=text) for text in TEXTS]
    )
    assert np.allclose([node.embedding for node in nodes], embedding.get_text_embedding_batch(TEXTS), atol=1e-6)


@pytest.mark.slow
def test_a_pipeline_of_spawned_processes_embeds_in_each(embedding):
    embedding.get_text_embedding("load")  # a loaded model must not travel
    nodes = IngestionPipeline(transformations=[embedding]).run(
        nodes=[TextNode(text=text) for text in TEXTS], num_workers=2
    )
    assert np.allclose([node.embedding for node in nodes], embedding.get_text_embedding_batch(TEXTS), atol=1e-6)
