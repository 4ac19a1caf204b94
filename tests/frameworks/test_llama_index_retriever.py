"""The retriever in LlamaIndex: the same hits as the index's own, in query engines, fusion, routers and tools."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("lancedb")

from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.llms import CompletionResponse, MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever, RouterRetriever
from llama_index.core.schema import QueryBundle
from llama_index.core.tools import RetrieverTool
from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.search.shared import indices_open
from bmretriever_integrations.llama_index import BMRetrieverIndexRetriever

QUESTION = "insulin lowers glucose"
LATE = MetadataFilters(filters=[MetadataFilter(key="year", value=2018, operator=FilterOperator.GTE)])


@pytest.fixture
def retriever(papers):
    """A function: parameters -> a retriever of the index on the CPU, closed after the test."""
    made = []

    def make(**parameters):
        made.append(BMRetrieverIndexRetriever(papers, device="cpu", **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def found(nodes):
    return [(node.node_id, node.score) for node in nodes]


def expected(hits):
    return [(hit.id, hit.score) for hit in hits]


@pytest.mark.parametrize("mode", [None, "hybrid", "vector", "text"])
async def test_nodes_are_the_hits_of_the_index(retriever, opened, mode):
    hits = opened.search(QUESTION, 7, mode=mode)
    nodes = retriever(mode=mode, similarity_top_k=7).retrieve(QUESTION)
    assert found(nodes) == expected(hits)
    assert nodes[0].text == hits[0].text
    assert nodes[0].metadata == {"id": hits[0].id, "title": hits[0].title, **hits[0].metadata}
    assert found(await retriever(mode=mode, similarity_top_k=7).aretrieve(QUESTION)) == found(nodes)


def test_the_vector_of_a_bundle_takes_the_place_of_the_questions_own(retriever, opened, encoder):
    passage = encoder.encode_passages(["asthma placebo"])[0]
    bundle = QueryBundle("insulin", embedding=passage.tolist())
    by_vector = retriever(mode="vector").retrieve(bundle)
    assert found(by_vector) == expected(opened.search(passage, 5))
    assert found(retriever().retrieve(QueryBundle("", embedding=passage.tolist()))) == found(by_vector)
    assert found(retriever(mode="text").retrieve(bundle)) == expected(opened.search("insulin", 5, mode="text"))
    both = retriever(similarity_top_k=20).retrieve(bundle)
    assert found(both) == expected(opened.search_many(["insulin"], 20, vectors=passage[np.newaxis])[0])
    assert {node.metadata["title"].split(" of ")[1] for node in both} > {"insulin glucose", "asthma placebo"}
    with pytest.raises(ValueError, match="BMRetrieverHyDE"):
        retriever().retrieve(QueryBundle("insulin", custom_embedding_strs=["Insulin lowers blood glucose."]))


@pytest.mark.parametrize("late", [LATE, Filters(since=2018), {"since": 2018}, "year >= 2018"])
def test_filters_of_the_constructor_and_of_a_copy(retriever, late):
    plain = retriever(similarity_top_k=60)
    dates = {node.metadata["date"] for node in retriever(filters=late, similarity_top_k=60).retrieve(QUESTION)}
    assert dates == {"2018", "2019", "2020", "2021"}
    narrow = plain.with_filters(late)
    assert {node.metadata["date"] for node in narrow.retrieve(QUESTION)} == dates
    assert min(node.metadata["date"] for node in plain.retrieve(QUESTION)) == "2010"
    assert narrow.with_filters(None).filters is None


def test_retracted_papers_are_left_out_and_the_log_says_how_many(retriever, caplog):
    with caplog.at_level(logging.INFO):
        assert len(retriever(similarity_top_k=60).retrieve(QUESTION)) == 54
    assert "retracted papers left out: 6" in caplog.text
    caplog.clear()
    nodes = retriever(similarity_top_k=60, include_retracted=True).retrieve(QUESTION)
    assert sum(node.metadata.get("retracted", False) for node in nodes) == 6
    assert not caplog.text


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"similarity_top_k": 0}, ValueError, "at least 1"),
        ({"mode": "dense"}, ValueError, "hybrid, vector, text"),
        ({"instruction": ""}, ValueError, "instruction"),
        ({"filters": ["journal"]}, TypeError, "MetadataFilters"),
        ({"filters": {"journals": "BMJ"}}, ValueError, "no field 'journals'"),
        ({"top_k": 3}, TypeError, "top_k"),
    ],
)
def test_a_wrong_parameter_is_refused_by_the_constructor(parameters, error, said):
    with pytest.raises(error, match=said):
        BMRetrieverIndexRetriever("papers-index", **parameters)


def test_wrong_questions_and_a_missing_index_are_told(retriever):
    with pytest.raises(ValueError, match="the question is empty"):
        retriever().retrieve("")
    with pytest.raises(ValueError, match="no field 'journals'"):
        retriever().with_filters({"journals": "BMJ"})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BMRetrieverIndexRetriever("nowhere").retrieve(QUESTION)


def test_pickles_and_copies_share_what_is_open_and_the_last_to_close_frees_it(retriever, without_garbage):
    before, first = indices_open(), retriever(filters=LATE, mode="vector")
    again = pickle.loads(pickle.dumps(first))
    assert indices_open() == before
    nodes = first.retrieve(QUESTION)
    assert (
        found(pickle.loads(pickle.dumps(first)).retrieve(QUESTION)) == found(again.retrieve(QUESTION)) == found(nodes)
    )
    assert indices_open() == before + 1
    first.close()
    assert indices_open() == before + 1
    again.close()
    assert indices_open() == before
    assert found(again.with_filters(LATE).retrieve(QUESTION)) == found(nodes)
    again.close()


async def test_many_questions_at_once_leave_the_event_loop_free(retriever, watch):
    some, loop = retriever(mode="vector"), asyncio.get_running_loop()

    def around(run, lengths):
        free = threading.Event()
        loop.call_soon_threadsafe(free.set)
        assert free.wait(30), "the event loop waits"
        return run()

    questions = [f"{QUESTION} {number}" for number in range(8)]
    right = [found(some.retrieve(question)) for question in questions]
    watch(around)
    answers = await asyncio.gather(*map(some.aretrieve, questions))
    assert [found(nodes) for nodes in answers] == right


def test_events_name_the_question_and_the_nodes(retriever):
    seen = []

    class Handler(BaseEventHandler):
        def handle(self, event, **_kwargs):
            seen.append(event)

    dispatcher, handler = get_dispatcher(), Handler()
    dispatcher.add_event_handler(handler)
    debug = LlamaDebugHandler(print_trace_on_end=False)
    try:
        nodes = retriever(callback_manager=CallbackManager([debug])).retrieve(QUESTION)
    finally:
        dispatcher.event_handlers.remove(handler)
    ends = [event for event in seen if isinstance(event, RetrievalEndEvent)]
    assert [event.nodes for event in ends] == [nodes]
    assert len(debug.get_event_pairs(CBEventType.RETRIEVE)) == 1


def test_a_query_engine_cites_what_the_retriever_found(retriever):
    engine = RetrieverQueryEngine.from_args(retriever(similarity_top_k=2), llm=MockLLM())
    answer = engine.query(QUESTION)
    assert found(answer.source_nodes) == found(retriever(similarity_top_k=2).retrieve(QUESTION))
    for node in answer.source_nodes:  # this model answers with its prompt
        assert f"{node.node_id}\n{node.metadata['title']} {node.text}" in str(answer)
        assert "Review" not in str(answer)


class Chooser(MockLLM):
    """A model that takes the second choice."""

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text='[{"choice": 2, "reason": "it was told to"}]')


async def test_fusion_router_and_tool_take_it(retriever):
    words, vectors = retriever(mode="text", filters=LATE), retriever(mode="vector", similarity_top_k=3)
    fused = QueryFusionRetriever([words, vectors], llm=MockLLM(), num_queries=1, similarity_top_k=8, use_async=False)
    assert {node.node_id for node in fused.retrieve("insulin")} == {
        node.node_id for one in (words, vectors) for node in one.retrieve("insulin")
    }
    late, any_year = (RetrieverTool.from_defaults(one, description="papers") for one in (words, vectors))
    router = RouterRetriever.from_defaults([late, any_year], llm=Chooser())
    assert found(router.retrieve("insulin")) == found(vectors.retrieve("insulin"))
    best = words.retrieve("insulin")[0]
    assert best.text in str(late("insulin"))
    assert best.text in str(await late.acall("insulin"))


SCRIPT = """
import pickle, sys
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from bmretriever_integrations.llama_index import BMRetrieverIndexRetriever
engine = RetrieverQueryEngine.from_args(BMRetrieverIndexRetriever(sys.argv[1], mode="text"), llm=MockLLM())
print([node.node_id for node in engine.query(sys.argv[2]).source_nodes])
print([node.node_id for node in pickle.load(open(sys.argv[3], "rb")).retrieve(sys.argv[2])])
"""


def test_a_new_process_answers_from_the_folder_and_from_a_pickle(retriever, papers, tmp_path):
    words = retriever(mode="text")
    (tmp_path / "retriever").write_bytes(pickle.dumps(words))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT, str(papers), QUESTION, str(tmp_path / "retriever")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str([node.node_id for node in words.retrieve(QUESTION)])] * 2
