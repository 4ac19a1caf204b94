"""batch_size bounds memory, progress_bar shows a bar: each for its own component, on a shared engine."""

from __future__ import annotations

import pytest
from haystack import Document

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder

DOCUMENTS = [Document(content=f"{number} fever and cough " * (number % 30 + 1)) for number in range(60)]


@pytest.fixture
def seen(tiny, watch):
    """A function: parameters -> rows and tokens of each batch that the shared engine ran."""
    holder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), max_length=128)
    holder.warm_up()
    engine = holder.embedding_backend.lease.engine
    sizes = []

    def counted(run, lengths):
        sizes.append((len(lengths), sum(lengths)))
        return run()

    def run(documents=DOCUMENTS, **parameters):
        sizes.clear()
        embedder = BMRetrieverDocumentEmbedder(
            **{"model": str(tiny("llama")), "max_length": 128, "progress_bar": False, **parameters}
        )
        embedder.warm_up()
        watch(counted)
        embedder.run(documents)
        watch(None)
        embedder.close()
        return list(sizes)

    run.engine = engine
    yield run
    holder.close()


def test_a_batch_never_holds_more_than_so_many_texts_of_full_length(seen):
    for batch_size in (1, 3, 8):
        sizes = seen(batch_size=batch_size)
        assert max(tokens for _, tokens in sizes) <= batch_size * 128
        assert sum(rows for rows, _ in sizes) == len(DOCUMENTS)
    assert len(seen(batch_size=1)) > len(seen(batch_size=8))


def test_short_texts_share_the_room_of_a_long_one(seen):
    assert max(rows for rows, _ in seen(batch_size=1)) > 1


def test_a_large_batch_size_does_not_go_beyond_what_the_device_takes(seen):
    seen.engine.max_batch_tokens = 256
    assert max(tokens for _, tokens in seen(batch_size=1000)) <= 256


def test_a_small_batch_size_of_one_component_is_not_the_others(seen):
    before = seen.engine.max_batch_tokens
    small = seen(batch_size=1)
    assert seen.engine.max_batch_tokens == before
    assert len(seen(batch_size=32)) < len(small)


def test_memory_that_ran_out_is_remembered(seen, watch):

    def poor(run, lengths):
        if sum(lengths) > 500:
            raise MemoryError
        return run()

    watch(poor)
    holder_sizes = seen.engine.max_batch_tokens
    embedder = BMRetrieverDocumentEmbedder(model=seen.engine.settings.model, max_length=128, progress_bar=False)
    assert len(embedder.run(DOCUMENTS)["documents"]) == len(DOCUMENTS)
    assert seen.engine.max_batch_tokens <= 500 < holder_sizes
    embedder.close()


def test_the_progress_bar_is_each_components_own(seen, capsys):
    seen(progress_bar=True)
    assert "embedding passages: 100%" in capsys.readouterr().err
    seen(progress_bar=False)
    assert "embedding passages" not in capsys.readouterr().err
    assert seen.engine.progress is False
