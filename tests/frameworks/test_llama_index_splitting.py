"""Splitters that count with the model's own tokenizer make nodes that are embedded whole."""

from __future__ import annotations

import copy
import random

import pytest
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter, TokenTextSplitter
from llama_index.core.schema import Document, MetadataMode

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder import CutTextWarning
from bmretriever_integrations.llama_index import BMRetrieverEmbedding, prepare_nodes

TEXT = (
    "metformin glucose HbA1c 0.05 p<0.001 IL-6 TNF-α (95% CI) of the in patients with β-globin naïve 肿瘤 🧬 [12] 10µg"
)
WORDS = TEXT.split()


def words(chance, least, most):
    return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))


def documents(chance):
    for number in range(30):
        sentences = [words(chance, 3, 40) + chance.choice([". ", "? ", ".\n\n"]) for _ in range(80)]
        metadata = {"title": words(chance, 1, 30), "authors": "Author A, " * 300} if number % 3 else {}
        yield Document(text="".join(sentences), metadata=metadata)
    yield Document(text="x" * 4000 + " " + "肿瘤" * 2000, metadata={"title": "One word, and a text without spaces"})


@pytest.mark.parametrize("splitter", [SentenceSplitter, TokenTextSplitter])
@pytest.mark.parametrize("settings", [{}, {"max_length": 256}])
def test_no_node_is_cut(splitter, settings):
    embedding = BMRetrieverEmbedding("mini", **settings)
    split = splitter(tokenizer=embedding.text_tokens, chunk_size=embedding.passage_tokens, chunk_overlap=8)
    nodes = split(prepare_nodes(list(documents(random.Random(1))), llm_keys=["title"]))
    texts = [node.get_content(MetadataMode.EMBED) for node in nodes]
    counts = [len(embedding.text_tokens(text)) for text in texts]
    assert max(counts) <= embedding.passage_tokens
    assert max(counts) > 0.95 * embedding.passage_tokens  # and the room is used
    with BMRetrieverEncoder("mini", **settings) as encoder:
        longest = sorted(range(len(texts)), key=lambda row: -counts[row])[:20]
        encoder.encode_passages([texts[row] for row in longest])
        assert encoder.cut_texts == 0
    embedding.close()


def test_what_the_stock_splitter_makes_is_cut_and_said():
    texts = [words(random.Random(seed), 900, 900) for seed in range(4)]
    nodes = SentenceSplitter(chunk_overlap=0)([Document(text=text) for text in texts])  # 1,024 tokens of another model
    embedding = BMRetrieverEmbedding("mini", max_length=500)  # of no other test: it warns once a process
    with pytest.warns(CutTextWarning, match="more than 500 tokens"):
        embedding.get_text_embedding_batch([node.text for node in nodes])
    embedding.close()


def test_the_numbers_are_the_engines(tiny):
    embedding = BMRetrieverEmbedding(tiny("gemma"), max_length=64)
    with BMRetrieverEncoder(tiny("gemma"), max_length=64) as encoder:
        assert embedding.passage_tokens == encoder.passage_tokens < 64
        assert embedding.text_tokens("aspirin 75 mg " * 50) == encoder.text_tokens("aspirin 75 mg " * 50)
    embedding.close()


def test_a_pipeline_with_such_a_splitter_can_be_copied():
    embedding = BMRetrieverEmbedding("mini")
    splitter = SentenceSplitter(tokenizer=embedding.text_tokens, chunk_size=100, chunk_overlap=0)
    text = words(random.Random(2), 300, 300)
    nodes = IngestionPipeline(transformations=[splitter]).run(documents=[Document(text=text)])
    embedding.close()  # the next call loads it again
    assert [node.text for node in copy.deepcopy(splitter)([Document(text=text)])] == [node.text for node in nodes]
    embedding.close()
