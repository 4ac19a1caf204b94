"""The search for garbage is paused while something is loaded, goes on afterwards, and misses nothing."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import weakref

import pytest

from bmretriever_integrations.checkpoints.garbage import collection_paused


class Node:
    """An object in a cycle, which only the search for garbage frees."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True, scope="module")
def what_lasts_is_no_garbage():
    """Nothing is frozen but by the tests here."""
    gc.unfreeze()


@pytest.fixture
def enabled():
    """The search is on, as in a new process, and is on again after the test."""
    gc.enable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("enabled")
def test_a_pause_ends_with_its_block_even_after_an_error():
    with collection_paused():
        assert not gc.isenabled()
        with collection_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collection_paused():
        raise KeyError
    assert gc.isenabled()


@pytest.mark.usefixtures("enabled")
def test_a_search_that_is_off_stays_off():
    gc.disable()
    with collection_paused():
        pass
    assert not gc.isenabled()


@pytest.mark.usefixtures("enabled")
def test_garbage_of_the_pause_is_found_later():
    with collection_paused():
        node = Node()
        lost = weakref.ref(node)
        del node
    gc.collect()
    assert lost() is None


@pytest.mark.usefixtures("enabled")
def test_the_end_of_a_pause_goes_through_no_objects():
    made, searched = [], []
    gc.collect()
    gc.callbacks.append(lambda phase, info: searched.append(info["generation"]))
    try:
        with collection_paused():
            made += [[] for _ in range(100_000)]
        made.append([])
    finally:
        gc.callbacks.pop()
    assert not searched


@pytest.mark.usefixtures("enabled")
def test_what_the_program_froze_stays_frozen():
    gc.freeze()
    with collection_paused():
        pass
    assert gc.get_freeze_count()


def _is_enabled(answer):
    answer.put(gc.isenabled())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
@pytest.mark.usefixtures("enabled")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork while pytest has threads
def test_a_process_forked_in_a_pause_collects():
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    with collection_paused():
        process = context.Process(target=_is_enabled, args=(answer,))
        process.start()
        assert answer.get()
        process.join()
