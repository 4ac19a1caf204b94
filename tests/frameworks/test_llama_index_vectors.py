"""BMRetrieverEmbedding gives the reference's vectors: every entry point, threads, coroutines; the event loop stays free."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from llama_index.core.base.embeddings.base import SimilarityMode

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.prompts import passage_prompt, query_prompt, resolve_instruction
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

TEXTS = ["", "aspirin", "Metformin lowers HbA1c in adults. " * 40, "حمى البحر", "BRCA1 🧬\x00 mutations"]


@pytest.fixture
def embedding(tiny):
    made = BMRetrieverEmbedding(model_name=str(tiny("gemma")), instruction="scifact", dtype="float32")
    yield made
    made.close()


def assert_near(vectors, reference):
    assert isinstance(vectors, list)
    assert isinstance(vectors[0], list)
    assert isinstance(vectors[0][0], float)
    error = np.linalg.norm(np.array(vectors) - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert error.max() <= 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
async def test_every_entry_point_equals_the_reference(tiny, architecture):
    folder = tiny(architecture)
    passages = reference_encode(folder, [passage_prompt(text) for text in TEXTS])
    queries = reference_encode(folder, [query_prompt(resolve_instruction("scifact"), text) for text in TEXTS])
    model = BMRetrieverEmbedding(model_name=folder, instruction="scifact", dtype="float32")
    assert_near([model.get_query_embedding(text) for text in TEXTS], queries)
    assert_near([await model.aget_query_embedding(text) for text in TEXTS], queries)
    assert_near([model.get_text_embedding(text) for text in TEXTS], passages)
    assert_near([await model.aget_text_embedding(text) for text in TEXTS], passages)
    assert_near(model.get_text_embedding_batch(TEXTS), passages)
    assert_near(await model.aget_text_embedding_batch(TEXTS), passages)
    assert_near([model.get_agg_embedding_from_queries(TEXTS)], queries.mean(0, keepdims=True))
    assert_near([await model.aget_agg_embedding_from_queries(TEXTS)], queries.mean(0, keepdims=True))
    model.close()


def test_warm_up_gets_the_instruction_ready(embedding, prefixes):
    report = embedding.warm_up()
    assert report.steps[0][0].startswith("instruction of ")
    assert prefixes.kept == 1
    computed = len(prefixes.computed)
    embedding.get_query_embedding("aspirin")
    assert len(prefixes.computed) == computed


def test_each_setting_changes_the_vector_as_it_says(tiny, embedding):
    folder = str(tiny("gemma"))

    def vector(**settings):
        model = BMRetrieverEmbedding(model_name=folder, **{"dtype": "float32", **settings})
        found = np.array(model.get_text_embedding(TEXTS[2]))
        model.close()
        return found

    plain = vector()
    assert np.allclose(vector(normalize=True), plain / np.linalg.norm(plain), atol=1e-6)
    assert np.allclose(vector(truncate_dim=16), plain[:16], atol=1e-6)
    assert not np.allclose(vector(max_length=32), plain, atol=1e-3)
    assert not np.array_equal(vector(dtype="bfloat16"), plain)
    assert np.allclose(vector(max_batch_tokens=64, embed_batch_size=1, device="cpu"), plain, atol=1e-5)
    assert embedding.width == 64
    other = BMRetrieverEmbedding(model_name=folder, instruction="nfcorpus", dtype="float32")
    assert other.get_query_embedding("aspirin") != embedding.get_query_embedding("aspirin")
    other.close()


def test_a_setting_changed_later_counts(embedding):
    before = embedding.get_text_embedding("aspirin")
    embedding.truncate_dim = 8
    assert len(embedding.get_text_embedding("aspirin")) == 8
    embedding.truncate_dim = None
    assert embedding.get_text_embedding("aspirin") == before


async def test_the_engine_sees_whole_lists(embedding, monkeypatch):
    seen = []
    encode = BMRetrieverEncoder.encode_passages

    def spy(self, texts, titles=None):
        seen.append(len(texts))
        return encode(self, texts, titles)

    monkeypatch.setattr(BMRetrieverEncoder, "encode_passages", spy)
    embedding.get_text_embedding_batch([f"text {number}" for number in range(25)])
    await embedding.aget_text_embedding_batch([f"text {number}" for number in range(25)])
    embedding.get_text_embedding_batch(["x"] * 2100)
    assert seen == [25, 25, 2048, 52]


def test_sixteen_threads(embedding):
    expected = [embedding.get_query_embedding(f"question {number}") for number in range(64)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(embedding.get_query_embedding, [f"question {number}" for number in range(64)]))
    assert found == expected


async def test_two_hundred_coroutines_and_workers_hold_one_batch_on_the_device(embedding, watch):
    texts = [f"passage {number} " * (number % 9 + 1) for number in range(200)]
    single = [embedding.get_text_embedding(text) for text in texts]
    inside, most = [], []

    def counted(run, lengths):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.0005)
        result = run()
        inside.pop()
        return result

    watch(counted)
    assert await asyncio.gather(*(embedding.aget_text_embedding(text) for text in texts)) == single
    embedding.embed_batch_size = 20  # ten lists at once
    embedding.num_workers = 4
    batch = await embedding.aget_text_embedding_batch(texts)
    assert max(most) == 1
    assert np.allclose(batch, single, atol=1e-5)


async def test_a_cancelled_call_ends_after_the_batch_that_it_computes(tiny, watch):
    model = BMRetrieverEmbedding(tiny("gemma"), max_batch_tokens=64, max_length=64)
    texts = [f"fever {number} " * 60 for number in range(40)]
    expected = model.get_text_embedding(texts[0])
    batches, computing, cancelled, ended = [], threading.Event(), threading.Event(), threading.Event()

    def around(run, lengths):
        batches.append(lengths)
        computing.set()
        assert cancelled.wait(10)
        return run()

    class Noticed(BMRetrieverEmbedding):
        def _get_text_embeddings(self, texts):
            try:
                return super()._get_text_embeddings(texts)
            finally:
                ended.set()

    watch(around)
    same = Noticed(tiny("gemma"), max_batch_tokens=64, max_length=64)
    call = asyncio.ensure_future(same.aget_text_embedding_batch(texts))
    await asyncio.to_thread(computing.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    cancelled.set()
    assert await asyncio.to_thread(ended.wait, 10)
    assert len(batches) == 1
    assert await model.aget_text_embedding(texts[0]) == expected
    model.close()
    same.close()


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
    model = BMRetrieverEmbedding(model_name=str(tiny("gpt_neox")), max_length=99)
    await asyncio.gather(answer(), model.aget_query_embedding("a"), model.aget_text_embedding("b"))
    assert loop_is_free.is_set()
    model.close()


def test_similarity_is_cosine_unless_asked_for_the_dot_product(embedding):
    query, passage = embedding.get_query_embedding("aspirin"), embedding.get_text_embedding("aspirin prevents stroke")
    dot = float(np.dot(query, passage))
    assert np.isclose(embedding.similarity(query, passage, SimilarityMode.DOT_PRODUCT), dot)
    assert np.isclose(embedding.similarity(query, passage), dot / np.linalg.norm(query) / np.linalg.norm(passage))


def test_a_text_that_is_no_text_is_refused(embedding):
    with pytest.raises(TypeError):
        embedding.get_query_embedding(None)
    with pytest.raises(ValueError, match="surrogate"):
        embedding.get_text_embedding("\ud800")


async def test_a_subclass_may_override_the_hooks(tiny):
    class Marked(BMRetrieverEmbedding):
        def _get_query_embedding(self, query):
            return [1.0, *super()._get_query_embedding(query)]

        def _get_text_embedding(self, text):
            return [2.0, *super()._get_text_embedding(text)]

        def _get_text_embeddings(self, texts):
            return [[3.0, *vector] for vector in super()._get_text_embeddings(texts)]

    plain = BMRetrieverEmbedding(str(tiny("gemma")))
    model = Marked(str(tiny("gemma")))
    query, text = plain.get_query_embedding("a"), plain.get_text_embedding("a")
    assert model.get_query_embedding("a") == await model.aget_query_embedding("a") == [1.0, *query]
    assert model.get_text_embedding("a") == await model.aget_text_embedding("a") == [2.0, *text]
    assert model.get_text_embedding_batch(["a"]) == await model.aget_text_embedding_batch(["a"]) == [[3.0, *text]]


def test_the_models_name_needs_no_keyword(tiny, tmp_path):
    folder = tiny("gemma")
    for named in (BMRetrieverEmbedding(str(folder)), BMRetrieverEmbedding(folder, normalize=True)):
        assert named.model_name == str(folder)
    assert named.normalize
    assert BMRetrieverEmbedding().model_name == BMRetrieverEmbedding.model_fields["model_name"].default
    with pytest.raises(TypeError, match="model_name"):
        BMRetrieverEmbedding("mini", model_name="410M")
    with pytest.raises(ValueError, match="model_name"):
        BMRetrieverEmbedding(None)
