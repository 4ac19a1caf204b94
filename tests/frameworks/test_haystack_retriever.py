"""The retriever in Haystack: the same hits as the index's own, with filters, YAML, threads, event loops and forks."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("lancedb")

from haystack import Document, Pipeline
from haystack.components.agents import Agent
from haystack.components.builders import PromptBuilder
from haystack.components.generators.chat import MockChatGenerator
from haystack.components.retrievers import MultiQueryTextRetriever
from haystack.dataclasses import ChatMessage, ToolCall
from haystack.document_stores.types import FilterPolicy
from haystack.errors import FilterError
from haystack.tools import ComponentTool
from haystack.utils import ComponentDevice

from bmretriever_integrations.haystack import BMRetrieverIndexRetriever
from bmretriever_integrations.index import Filters
from bmretriever_integrations.index.search.shared import indices_open

QUESTION = "insulin lowers glucose"
TRIALS = {"field": "meta.publication_types", "operator": "in", "value": ["Randomized Controlled Trial"]}
LATE = {"field": "meta.date", "operator": ">=", "value": "2018"}


@pytest.fixture
def retriever(papers):
    """A function: parameters -> a retriever of the index on the CPU, closed after the test."""
    made = []

    def make(**parameters):
        made.append(BMRetrieverIndexRetriever(index=papers, device=ComponentDevice.from_str("cpu"), **parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ids(result):
    return [document.id for document in result["documents"]]


@pytest.mark.parametrize("mode", [None, "hybrid", "vector", "text"])
def test_documents_are_the_hits_of_the_index(retriever, opened, mode):
    hits = opened.search(QUESTION, 10, mode=mode)
    documents = retriever(mode=mode).run(QUESTION)["documents"]
    assert [(one.id, one.content, one.score) for one in documents] == [(hit.id, hit.text, hit.score) for hit in hits]
    assert documents[0].meta == {"title": hits[0].title, **hits[0].metadata}
    assert documents[0].meta["arm"] in "AB"


def test_the_parameters_of_the_component_count_and_those_of_a_run_more(retriever, opened):
    few = retriever(top_k=3, instruction="scifact", mode="vector")
    asked = {"mode": "vector", "instruction": "scifact"}
    assert ids(few.run(QUESTION)) == [hit.id for hit in opened.search(QUESTION, 3, **asked)]
    assert ids(few.run(QUESTION, top_k=7)) == [hit.id for hit in opened.search(QUESTION, 7, **asked)]
    scores = [document.score for document in few.run(QUESTION)["documents"]]
    assert scores != [document.score for document in retriever(top_k=3, mode="vector").run(QUESTION)["documents"]]


def test_retracted_papers_are_left_out_counted_and_shown_if_asked_for(retriever):
    component = retriever(top_k=60)
    shown, hidden = component.run(QUESTION, include_retracted=True), component.run(QUESTION)
    retracted = [document.id for document in shown["documents"] if document.meta.get("retracted")]
    assert len(retracted) == hidden["retracted_left_out"] == 6
    assert set(ids(hidden)) == set(ids(shown)) - set(retracted)
    assert shown["retracted_left_out"] == 0
    always = retriever(top_k=60, include_retracted=True)
    assert len(always.run(QUESTION)["documents"]) == 60
    assert len(always.run(QUESTION, include_retracted=False)["documents"]) == 54


@pytest.mark.parametrize("late", [LATE, Filters(since=2018), {"since": 2018}])
def test_filters_of_a_run_replace_those_of_the_component_or_are_merged_with_them(retriever, late):
    ours = not isinstance(late, dict) or "since" in late
    trials = {"publication_types": "Randomized Controlled Trial"} if ours else TRIALS

    def years_and_types(component, filters=None):
        documents = component.run(QUESTION, top_k=60, filters=filters)["documents"]
        return {document.meta["date"] >= "2018" for document in documents}, {
            document.meta["publication_types"][0] for document in documents
        }

    replacing, merging = (retriever(filters=trials, filter_policy=policy) for policy in FilterPolicy)
    assert years_and_types(replacing) == ({True, False}, {"Randomized Controlled Trial"})
    assert years_and_types(replacing, late) == ({True}, {"Randomized Controlled Trial", "Review"})
    assert years_and_types(merging, late) == ({True}, {"Randomized Controlled Trial"})
    assert years_and_types(merging, {}) == ({True, False}, {"Randomized Controlled Trial"})


def test_merged_filters_on_the_same_field_are_those_of_the_run(retriever):
    component = retriever(filters={"since": 2018, "until": 2019}, filter_policy=FilterPolicy.MERGE, top_k=60)
    dates = {document.meta["date"] for document in component.run(QUESTION, filters={"since": 2019})["documents"]}
    assert dates == {"2019"}
    with pytest.raises(FilterError, match="can be merged if both"):
        component.run(QUESTION, filters=LATE)


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"top_k": 0}, ValueError, "at least 1"),
        ({"mode": "dense"}, ValueError, "hybrid, vector, text"),
        ({"instruction": ""}, ValueError, "instruction"),
        ({"device": "cpu"}, TypeError, "ComponentDevice.from_str"),
        ({"filter_policy": "merge"}, TypeError, "FilterPolicy.MERGE"),
        ({"filters": ["journal"]}, TypeError, "filters must be"),
        ({"filters": {"operator": "AND"}}, FilterError, "'conditions' key missing"),
        ({"filters": {"since": "spring"}}, FilterError, "since is a year"),
        ({"index": None}, TypeError, "index must be"),
        ({"model": 3}, TypeError, "model must be"),
        ({"normalize": True}, TypeError, "normalize"),
    ],
)
def test_a_wrong_parameter_is_refused_by_the_constructor(parameters, error, said):
    with pytest.raises(error, match=said):
        BMRetrieverIndexRetriever(**{"index": "papers-index", **parameters})


def test_wrong_inputs_of_a_run_are_refused_and_what_they_should_be_is_said(retriever):
    component = retriever()
    with pytest.raises(TypeError, match="connect the question and no embedding"):
        component.run([0.1, 0.2])
    with pytest.raises(ValueError, match="the question is empty"):
        component.run(" ")
    with pytest.raises(ValueError, match="at least 1"):
        component.run(QUESTION, top_k=0)
    with pytest.raises(FilterError, match="no field 'journals'"):
        component.run(QUESTION, filters={"journals": "BMJ"})
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BMRetrieverIndexRetriever(index="nowhere").run(QUESTION)


def test_copies_and_dictionaries_ask_the_same_and_hold_nothing_open(retriever, papers):
    device = ComponentDevice.from_str("cpu")
    filters = Filters(since="2015", publication_types="Review", other={"arm": "A"})
    first = retriever(top_k=4, mode="vector", filters=filters, filter_policy=FilterPolicy.MERGE, model=None)
    answer = first.run(QUESTION)
    data = first.to_dict()
    assert data["init_parameters"] == {
        "index": str(papers), "top_k": 4, "mode": "vector", "filter_policy": "merge", "instruction": None,
        "filters": {"since": "2015", "publication_types": ["Review"], "other": {"arm": "A"}},
        "include_retracted": False, "model": None, "device": device.to_dict(),
    }  # fmt: skip
    kept = copy.deepcopy(data)
    copies = [BMRetrieverIndexRetriever.from_dict(data), pickle.loads(pickle.dumps(first)), copy.deepcopy(first)]
    assert data == kept
    first.close()
    before = indices_open()
    for one in copies:
        assert one.to_dict() == kept
        assert one.run(QUESTION) == answer
        one.close()
    assert indices_open() == before
    assert all(isinstance(document, Document) for document in answer["documents"])


def test_retrievers_share_what_is_open_and_the_last_to_close_frees_it(retriever, without_garbage):
    before, (one, other) = indices_open(), (retriever(), retriever(mode="text", top_k=1))
    assert indices_open() == before
    first = one.run(QUESTION)
    other.warm_up()
    assert indices_open() == before + 1
    one.close()
    one.close()
    assert indices_open() == before + 1
    assert len(other.run(QUESTION)["documents"]) == 1
    other.close()
    assert indices_open() == before
    assert one.run(QUESTION) == first
    assert indices_open() == before + 1


def test_a_run_that_has_begun_ends_as_usual_when_the_retriever_is_closed(retriever, watch):
    component, began, closed = retriever(mode="vector"), threading.Event(), threading.Event()
    expected = component.run(QUESTION)

    def around(run, lengths):
        began.set()
        assert closed.wait(30)
        return run()

    watch(around)
    before = indices_open()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(component.run, QUESTION)
        assert began.wait(30)
        component.close()
        assert indices_open() == before
        closed.set()
        assert answer.result() == expected
    assert indices_open() == before - 1


async def test_many_runs_at_once_give_the_same_documents(retriever):
    component, questions = retriever(), [f"{QUESTION} {number}" for number in range(12)]
    await component.warm_up_async()
    answers = await asyncio.gather(*(component.run_async(one, filters={"since": 2012}, top_k=3) for one in questions))
    assert answers == [component.run(one, filters={"since": 2012}, top_k=3) for one in questions]
    await component.close_async()
    assert (await component.run_async(questions[0], {"since": 2012}, 3)) == answers[0]


def test_two_event_loops_may_use_one_retriever(retriever):
    component = retriever()
    assert asyncio.run(component.run_async(QUESTION)) == asyncio.run(component.run_async(QUESTION))


async def test_the_event_loop_is_free_while_a_run_computes(retriever, watch):
    component, loop = retriever(), asyncio.get_running_loop()

    def around(run, lengths):
        free = threading.Event()
        loop.call_soon_threadsafe(free.set)
        assert free.wait(30), "the event loop waits"
        return run()

    watch(around)
    await component.warm_up_async()
    assert (await component.run_async(QUESTION))["documents"]


def test_in_a_pipeline_documents_and_the_number_left_out_can_be_connected(retriever):
    prompt = "{% for one in documents %}[{{ one.id }}] {% endfor %}{{ left_out }} left out: {{ question }}"
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever(top_k=60, filters=LATE))
    pipeline.add_component("prompt", PromptBuilder(prompt))
    pipeline.connect("retriever.documents", "prompt.documents")
    pipeline.connect("retriever.retracted_left_out", "prompt.left_out")
    text = pipeline.run({"retriever": {"query": QUESTION}, "prompt": {"question": QUESTION}})["prompt"]["prompt"]
    assert text.endswith(f"2 left out: {QUESTION}")
    assert text.count("[330000") == 18


def test_haystacks_own_retriever_of_several_questions_takes_it(retriever):
    several = MultiQueryTextRetriever(retriever=retriever(top_k=3))
    found = several.run(queries=["insulin", "asthma"], retriever_kwargs={"filters": {"since": 2015}})["documents"]
    assert {document.meta["title"].split(" of ")[1] for document in found} == {"insulin glucose", "asthma placebo"}


def test_an_agent_is_told_what_is_wrong_with_its_filter_and_asks_again(retriever):
    filters = ({"after": 2018}, {"since": "2018"})
    calls = [ToolCall("search", {"query": QUESTION, "filters": one, "top_k": 2}) for one in filters]
    replies = [*(ChatMessage.from_assistant(tool_calls=[call]) for call in calls), "done"]
    tool = ComponentTool(retriever(), name="search", description="Searches papers.")
    assert {"query", "filters", "top_k"} <= set(tool.parameters["properties"])
    agent = Agent(chat_generator=MockChatGenerator(replies), tools=[tool])
    messages = agent.run(messages=[ChatMessage.from_user(QUESTION)])["messages"]
    refused, answered = (one for message in messages for one in message.tool_call_results)
    assert "filters have no field 'after'" in refused.result
    assert "since, until" in refused.result
    hits = retriever().run(QUESTION, filters={"since": "2018"}, top_k=2)["documents"]
    assert all(document.id in answered.result for document in hits)


SCRIPT = """
import json, os, sys
from haystack import Pipeline
pipeline = Pipeline.loads(open(sys.argv[1], encoding="utf-8").read())
assert "lancedb" not in sys.modules

def ids():
    return [one.id for one in pipeline.run({"retriever": {"query": sys.argv[2]}})["retriever"]["documents"]]

def in_a_fork():
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            answer = ids()
        except Exception as error:
            answer = str(error)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.wait()
    return json.loads(os.read(reader, 10000))

before = in_a_fork() if hasattr(os, "fork") else ids()
print(json.dumps([before, ids(), in_a_fork() if hasattr(os, "fork") else "Open the index after the fork"]))
"""


def test_yaml_loads_in_a_new_process_and_its_forks_open_the_index_or_say_at_once_why_they_cannot(retriever, tmp_path):
    component = retriever(filters=Filters(since=2015), filter_policy=FilterPolicy.MERGE, top_k=4, mode="text")
    pipeline = Pipeline()
    pipeline.add_component("retriever", component)
    (tmp_path / "pipeline.yaml").write_text(pipeline.dumps(), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["PYTHONWARNINGS"] = "ignore"  # Python 3.12 warns of a fork beside threads
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "pipeline.yaml"), QUESTION]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, own, after = json.loads(done.stdout)
    assert before == own == ids(component.run(QUESTION))
    assert "Open the index after the fork" in after
