"""The embeddings cache: no vector of another role, instruction, setting or checkpoint; events and rate limits go on."""

from __future__ import annotations

import shutil

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.callbacks.schema import EventPayload
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.storage.kvstore import SimpleKVStore

from bmretriever_integrations.encoder import BMRetrieverEncoder
from bmretriever_integrations.encoder.sharing import engines_open
from bmretriever_integrations.llama_index import BMRetrieverEmbedding
from bmretriever_integrations.testing import write_tiny_checkpoint


@pytest.fixture
def make(tiny):
    made = []

    def new(**settings):
        made.append(BMRetrieverEmbedding(**{"model_name": str(tiny("llama")), "dtype": "float32", **settings}))
        return made[-1]

    yield new
    for embedding in made:
        embedding.close()


def spied(encode, seen):
    def spy(self, texts, *rest):
        seen.extend(texts)
        return encode(self, texts, *rest)

    return spy


@pytest.fixture
def calls(monkeypatch):
    """Texts that really went through the engine."""
    seen = []
    for name in ("encode_passages", "encode_queries"):
        monkeypatch.setattr(BMRetrieverEncoder, name, spied(getattr(BMRetrieverEncoder, name), seen))
    return seen


async def test_query_and_text_of_the_same_string_never_mix(make, calls):
    plain = make()
    query, text = plain.get_query_embedding("aspirin"), plain.get_text_embedding("aspirin")
    assert query != text
    cached = make(embeddings_cache=SimpleKVStore())
    calls.clear()
    for _ in range(2):  # computed, then remembered
        assert cached.get_query_embedding("aspirin") == query
        assert await cached.aget_query_embedding("aspirin") == query
        assert cached.get_text_embedding("aspirin") == text
        assert await cached.aget_text_embedding("aspirin") == text
        assert cached.get_text_embedding_batch(["aspirin", "aspirin"]) == [text, text]
        assert await cached.aget_text_embedding_batch(["aspirin"]) == [text]
    assert calls == ["aspirin", "aspirin"]  # once as a query, once as a passage


@pytest.mark.parametrize(
    "other",
    [
        {"instruction": "scifact"},
        {"max_length": 16},
        {"normalize": True},
        {"truncate_dim": 8},
        {"dtype": "bfloat16"},
    ],
)
def test_embeddings_of_other_settings_share_a_cache_and_do_not_mix(make, other):
    cache = SimpleKVStore()
    long_query = "does aspirin prevent a second stroke in adults with atrial fibrillation and diabetes " * 2
    first, second = make(embeddings_cache=cache), make(embeddings_cache=cache, **other)
    expected = make().get_query_embedding(long_query), make(**other).get_query_embedding(long_query)
    assert expected[0] != expected[1]
    for _ in range(2):
        assert (first.get_query_embedding(long_query), second.get_query_embedding(long_query)) == expected


def test_passages_are_shared_across_instructions_and_settings_that_change_nothing(make, calls):
    cache = SimpleKVStore()
    vector = make(embeddings_cache=cache).get_text_embedding("a passage")
    same = make(embeddings_cache=cache, instruction="scifact", max_batch_tokens=100, local_files_only=True, token="t")
    assert same.get_text_embedding("a passage") == vector
    assert calls == ["a passage"]
    keyed = make(embeddings_cache=cache, instruction="scifact")
    keyed.get_query_embedding("q")
    keyed.instruction = "Given a scientific claim, retrieve documents that support or refute the claim"  # the key's own
    keyed.get_query_embedding("q")
    assert calls == ["a passage", "q"]


def test_another_checkpoint_in_the_same_folder_is_another_model(make, tmp_path, calls):
    folder, cache = tmp_path / "model", SimpleKVStore()
    write_tiny_checkpoint(folder, "llama", seed=1)
    first = make(model_name=str(folder), embeddings_cache=cache)
    before = first.get_text_embedding("a passage")
    first.close()
    write_tiny_checkpoint(tmp_path / "new", "llama", seed=2)
    shutil.copytree(tmp_path / "new", folder, dirs_exist_ok=True)
    assert make(model_name=str(folder), embeddings_cache=cache).get_text_embedding("a passage") != before
    moved = make(model_name=str(tmp_path / "new"), embeddings_cache=cache)
    calls.clear()
    moved.get_text_embedding("a passage")
    assert calls == []  # the same files in another place are the same model


def test_only_missing_texts_are_embedded_each_once(make, calls):
    embedding = make(embeddings_cache=SimpleKVStore())
    embedding.get_text_embedding_batch(["a", "b"])
    calls.clear()
    vectors = embedding.get_text_embedding_batch(["c", "b", "c", "a", "d"])
    assert calls == ["c", "d"]
    assert vectors[0] == vectors[2] != vectors[1]
    vectors[0][0] = 1e9
    assert embedding.get_text_embedding("c")[0] != 1e9


def test_vectors_of_the_cache_need_no_engine(make, without_garbage):
    cache = SimpleKVStore()
    first = make(embeddings_cache=cache)
    vector = first.get_query_embedding("aspirin")
    first.close()
    before = engines_open()
    assert make(embeddings_cache=cache).get_query_embedding("aspirin") == vector
    assert engines_open() == before


async def test_callbacks_and_instrumentation_report_hits_and_misses(make):
    handler, events = LlamaDebugHandler(print_trace_on_end=False), []

    class Listener(BaseEventHandler):
        @classmethod
        def class_name(cls):
            return "Listener"

        def handle(self, event, **kwargs):
            events.append(event)

    listener = Listener()
    get_dispatcher().add_event_handler(listener)
    try:
        embedding = make(embeddings_cache=SimpleKVStore(), callback_manager=CallbackManager([handler]), token="secret")
        vector = embedding.get_query_embedding("q")
        await embedding.aget_query_embedding("q")
        embedding.get_text_embedding("t")
        await embedding.aget_text_embedding("t")
        embedding.get_text_embedding_batch(["t", "u"])
        await embedding.aget_text_embedding_batch(["t", "u"])
    finally:
        get_dispatcher().event_handlers.remove(listener)
    pairs = handler.get_event_pairs(CBEventType.EMBEDDING)
    assert [pair[1].payload[EventPayload.CHUNKS] for pair in pairs] == [["q"]] * 2 + [["t"]] * 2 + [["t", "u"]] * 2
    assert pairs[1][1].payload[EventPayload.EMBEDDINGS] == [vector]
    ends = [event for event in events if event.class_name() == "EmbeddingEndEvent"]
    starts = [event for event in events if event.class_name() == "EmbeddingStartEvent"]
    assert len(ends) == len(starts) == 6
    assert ends[0].embeddings == [vector]
    assert starts[0].model_dict["class_name"] == "BMRetrieverEmbedding"
    assert "secret" not in str(events)


async def test_a_rate_limiter_is_asked_before_the_engine_and_not_for_hits(make):
    asked = []

    class Limiter:
        def acquire(self):
            asked.append("sync")

        async def async_acquire(self):
            asked.append("async")

    embedding = make(embeddings_cache=SimpleKVStore(), rate_limiter=Limiter())
    embedding.get_query_embedding("q")
    embedding.get_query_embedding("q")
    await embedding.aget_text_embedding("t")
    await embedding.aget_text_embedding("t")
    embedding.get_text_embedding("u")
    await embedding.aget_query_embedding("v")
    assert asked == ["sync", "async", "sync", "async"]
