"""BMRetrieverEmbeddings gives the reference's vectors, and lives as LlamaIndex's embedding does: shared, lazy, copied, closed."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import engines_open
from bmretriever_integrations.langchain import BMRetrieverEmbeddings
from bmretriever_integrations.prompts import passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.testing import reference_encode

TEXTS = ["Metformin lowers blood glucose.", "BRCA1 and the risk of cancer.", "", "Aspirin prevents stroke. " * 60]
WAYS = {
    "dump": lambda model: BMRetrieverEmbeddings(**model.model_dump()),
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture
def embeddings(tiny):
    made = BMRetrieverEmbeddings(model=tiny("gemma"), instruction="scifact", dtype="float32", token="hf_secret")
    yield made
    made.close()


async def test_every_entry_point_equals_the_reference(tiny, embeddings, error):
    passages = reference_encode(tiny("gemma"), [passage_prompt(text) for text in TEXTS])
    queries = reference_encode(tiny("gemma"), [query_prompt(resolve_instruction("scifact"), text) for text in TEXTS])
    assert error(embeddings.embed_documents(TEXTS), passages) < 1e-5
    assert error(await embeddings.aembed_documents(TEXTS), passages) < 1e-5
    assert error([embeddings.embed_query(text) for text in TEXTS], queries) < 1e-5
    assert error([await embeddings.aembed_query(text) for text in TEXTS], queries) < 1e-5
    assert embeddings.embed_documents([]) == []


def test_a_title_is_written_before_the_text(tiny, embeddings, error):
    right = reference_encode(tiny("gemma"), [passage_prompt(TEXTS[0], "Metformin")])
    assert error(embeddings.embed_documents([f"Metformin {TEXTS[0]}"]), right) < 1e-5


def test_each_setting_changes_the_vector_as_it_says(tiny, embeddings):
    plain = np.array(embeddings.embed_query(TEXTS[3]))

    def other(**settings):
        made = BMRetrieverEmbeddings(
            **{"model": tiny("gemma"), "instruction": "scifact", "dtype": "float32", **settings}
        )
        return np.array(made.embed_query(TEXTS[3]))

    np.testing.assert_allclose(other(normalize=True), plain / np.linalg.norm(plain), atol=1e-6)
    np.testing.assert_allclose(other(truncate_dim=16), plain[:16], atol=1e-5)
    np.testing.assert_allclose(other(max_batch_tokens=64), plain, atol=1e-5)
    for settings in ({"instruction": None}, {"max_length": 64}, {"dtype": "bfloat16"}, {"quantization": "int8"}):
        assert not np.allclose(other(**settings), plain, atol=1e-5), settings
    embeddings.normalize = True
    assert np.linalg.norm(embeddings.embed_query(TEXTS[3])) == pytest.approx(1)


def test_what_splitters_and_stores_ask_for(embeddings, prefixes):
    assert embeddings.width == len(embeddings.embed_query("aspirin"))
    with BMRetrieverEncoder(embeddings.model, dtype="float32") as encoder:
        assert embeddings.passage_tokens == encoder.passage_tokens
        assert embeddings.text_tokens("aspirin and stroke") == encoder.text_tokens("aspirin and stroke")
    assert embeddings.warm_up().steps[0][0].startswith("instruction of ")
    assert prefixes.kept == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_gives_the_same_vectors_and_lives_by_itself(embeddings, way):
    gc.collect()
    before = engines_open()
    vector = embeddings.embed_query("aspirin")
    other = WAYS[way](embeddings)
    assert other.embed_query("aspirin") == vector
    assert engines_open() == before + 1  # one engine for both
    embeddings.close()
    embeddings.close()
    assert other.embed_query("aspirin") == vector
    other.close()
    assert engines_open() == before


def test_the_token_is_never_written(embeddings):
    for written in (repr(embeddings), str(embeddings.model_dump()), str(pickle.dumps(embeddings))):
        assert "hf_secret" not in written
    assert embeddings.token.get_secret_value() == "hf_secret"  # and pickling did not take it from the original
    with pytest.raises(ValueError, match="max_length") as caught:
        BMRetrieverEmbeddings(token="hf_secret", max_length=1)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trust_remote_code": True}, "trust_remote_code"),
        ({"instruction": "scifct"}, "Did you mean 'scifact'"),
        ({"max_length": 1}, "at least 2"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"model_name": ""}, "hub id"),
    ],
)
def test_wrong_settings_are_refused_at_once(settings, message):
    with pytest.raises(ValueError, match=message):
        BMRetrieverEmbeddings(**settings)


async def test_the_event_loop_stays_free_while_the_model_loads(tiny, monkeypatch):
    load = BMRetrieverEncoder.from_settings
    loading, loop_is_free = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(settings, progress=False):
        loop.call_soon_threadsafe(loading.set)
        assert loop_is_free.wait(10), "the event loop waits for the model"
        return load(settings, progress)

    async def answer():
        await loading.wait()
        loop_is_free.set()

    monkeypatch.setattr(BMRetrieverEncoder, "from_settings", slow)
    cold = BMRetrieverEmbeddings(model_name=tiny("gemma"), max_length=65)
    vectors, _ = await asyncio.gather(cold.aembed_documents(["aspirin"]), answer())
    assert vectors == cold.embed_documents(["aspirin"])
    cold.close()


def test_vectors_of_length_1_rank_by_dot_product_in_a_store_that_compares_by_cosine(tiny):
    embeddings = BMRetrieverEmbeddings(model=tiny("gemma"), dtype="float32", normalize=True)
    store = InMemoryVectorStore.from_documents([Document(text, id=text[:5]) for text in TEXTS if text], embeddings)
    found = store.similarity_search_with_score("stroke", k=3)
    query = np.array(embeddings.embed_query("stroke"))
    right = {text: float(np.array(embeddings.embed_documents([text])[0]) @ query) for text in TEXTS if text}
    assert [document.page_content for document, _ in found] == sorted(right, key=right.get, reverse=True)
    assert [score for _, score in found] == pytest.approx(sorted(right.values(), reverse=True), abs=1e-5)
    embeddings.close()
