"""BMRetrieverIndexRetriever gives the index's own hits, takes settings as LangChain's retrievers do, and opens an index once."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle

import pytest
from langchain_core.prompts import PromptTemplate, format_document
from langchain_core.runnables import ConfigurableField, RunnablePassthrough

pytest.importorskip("lancedb")

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.index import Filters, SearchIndex, build_index
from bmretriever_integrations.index.search.shared import indices_open
from bmretriever_integrations.langchain import BMRetrieverIndexRetriever

QUESTION = "does metformin lower the risk of cancer"


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory):
    """An index of ten papers, of which two are retracted."""
    folder = tmp_path_factory.mktemp("retriever")
    words = ["metformin", "cancer", "stroke", "statins", "glucose"]
    papers = [
        {
            "_id": f"{100 + i}",
            "title": f"Of {words[i % 5]}",
            "text": f"{words[(i * 3) % 5]} in a cohort of {i} people",
            "date": f"{2010 + i}",
            "retracted": i in (2, 3),
            "score": "high",  # a key of the source that has the name of one of ours
        }
        for i in range(10)
    ]
    (folder / "papers.jsonl").write_text("\n".join(map(json.dumps, papers)), encoding="utf-8")
    build_index(encoder, [folder / "papers.jsonl"], folder / "index")
    return folder / "index"


@pytest.fixture
def retriever(folder):
    made = BMRetrieverIndexRetriever(index=folder, k=4)
    yield made
    made.close()


@pytest.fixture
def opened(monkeypatch):
    """The places that are opened from now on."""
    places, plain = [], SearchIndex.open

    def opening(place, **settings):
        places.append(str(place))
        return plain(place, **settings)

    monkeypatch.setattr(SearchIndex, "open", opening)
    return places


def ids(documents):
    return [document.id for document in documents]


def asked(folder, *arguments, **settings):
    """The ids that the index itself finds."""
    with SearchIndex.open(folder) as index:
        return [hit.id for hit in index.search(QUESTION, *arguments, **settings)]


async def test_documents_are_the_hits(folder, retriever):
    found = retriever.invoke(QUESTION)
    with SearchIndex.open(folder) as index:
        hits = index.search(QUESTION, 4)
    assert ids(found) == [hit.id for hit in hits]
    for document, hit in zip(found, hits, strict=True):
        assert document.page_content == hit.text
        assert document.metadata == {**hit.metadata, "id": hit.id, "title": hit.title, "score": hit.score}
    assert await retriever.ainvoke(QUESTION) == found
    assert retriever.batch([QUESTION, QUESTION]) == [found, found]
    prompt = PromptTemplate.from_template("[PMID {id}] {title}: {page_content}")
    assert format_document(found[0], prompt) == f"[PMID {hits[0].id}] {hits[0].title}: {hits[0].text}"


async def test_a_call_takes_its_own_number_and_filters(folder, retriever):
    assert ids(retriever.invoke(QUESTION, k=2)) == asked(folder, 2)
    since = Filters(since="2016")
    assert ids(retriever.invoke(QUESTION, filters=since)) == asked(folder, 4, filters=since) != asked(folder, 4)
    assert ids(await retriever.ainvoke(QUESTION, k=9, filters=since)) == asked(folder, 9, filters=since)
    narrow = BMRetrieverIndexRetriever(index=folder, filters="id = '104'")
    assert ids(narrow.invoke(QUESTION)) == ["104"]
    assert ids(narrow.invoke(QUESTION, filters={}, k=4)) == asked(folder, 4)  # none at all
    with pytest.raises(TypeError, match="top_k"):
        retriever.invoke(QUESTION, top_k=3)
    with pytest.raises(ValueError, match="at least 1"):
        retriever.invoke(QUESTION, k=0)


@pytest.mark.parametrize(
    "settings",
    [{"mode": "text"}, {"mode": "vector"}, {"include_retracted": True}, {"instruction": "scifact", "mode": "vector"}],
    ids=str,
)
def test_settings_are_those_of_a_search(folder, settings):
    found = BMRetrieverIndexRetriever(index=folder, k=10, **settings).invoke(QUESTION)
    with SearchIndex.open(folder) as index:
        hits = index.search(QUESTION, 10, **settings)
        plain = index.search(QUESTION, 10, **({"mode": "vector"} if "instruction" in settings else {}))
    assert [document.metadata["score"] for document in found] == [hit.score for hit in hits]
    assert [hit.score for hit in hits] != [hit.score for hit in plain]


def test_configured_for_a_call_it_shares_the_index_and_its_model(folder, opened, monkeypatch):
    loads, load = [], BMRetrieverEncoder.__init__
    monkeypatch.setattr(BMRetrieverEncoder, "__init__", lambda self, *a, **k: loads.append(a) or load(self, *a, **k))
    fields = {name: ConfigurableField(id=name) for name in ("k", "mode")}
    retriever = BMRetrieverIndexRetriever(index=folder).configurable_fields(**fields)
    for k in (1, 2, 3):
        assert len(retriever.invoke(QUESTION, config={"configurable": {"k": k}})) == k
    text = retriever.with_config(configurable={"mode": "text"})
    assert ids(text.invoke(QUESTION)) == asked(folder, mode="text")
    assert opened.count(str(folder)) == 2  # once by the retrievers, once by the line above
    assert len(loads) == 1


def test_an_index_is_opened_when_it_is_asked_and_closed_by_the_last(folder, opened, monkeypatch):
    before = indices_open()
    monkeypatch.chdir(folder.parent)
    one, same = BMRetrieverIndexRetriever(index=folder), BMRetrieverIndexRetriever(index="index")
    assert opened == []
    one.warm_up()
    assert (len(opened), indices_open()) == (1, before + 1)
    found = one.invoke(QUESTION)
    monkeypatch.chdir("/")  # a retriever keeps to the folder that its name meant when it was made
    assert (
        same.invoke(QUESTION)
        == pickle.loads(pickle.dumps(same)).invoke(QUESTION)
        == copy.deepcopy(same).invoke(QUESTION)
        == found
    )
    assert len(opened) == 1
    same.close()
    same.close()
    assert indices_open() == before
    assert one.invoke(QUESTION) == found
    assert len(opened) == 2
    one.close()


def test_a_pickle_names_the_index_alone(retriever):
    found = retriever.invoke(QUESTION)
    written = pickle.dumps(retriever)
    assert len(written) < 1500
    assert pickle.loads(written).invoke(QUESTION) == found


def test_the_log_says_how_many_retracted_papers_are_left_out(folder, retriever, caplog):
    retriever.invoke(QUESTION, k=10)
    assert caplog.messages == ["retracted papers left out: 2; include_retracted=True shows them"]
    retriever.invoke(QUESTION, filters="id = '104'")
    assert len(caplog.messages) == 1
    shown = BMRetrieverIndexRetriever(index=folder, k=10, include_retracted=True)
    assert sum(document.metadata.get("retracted", False) for document in shown.invoke(QUESTION)) == 2


async def test_the_event_loop_stays_free_during_a_search(retriever, monkeypatch):
    searching, search = asyncio.Event(), SearchIndex.search
    loop, answered = asyncio.get_running_loop(), []

    def slow(self, *arguments, **settings):
        asyncio.run_coroutine_threadsafe(answer(), loop).result(10)
        return search(self, *arguments, **settings)

    async def answer():
        answered.append(searching.set())

    monkeypatch.setattr(SearchIndex, "search", slow)
    assert len(await retriever.ainvoke(QUESTION)) == 4
    assert searching.is_set()
    assert answered == [None]


def test_a_chain_passes_documents_on(retriever):
    chain = RunnablePassthrough.assign(found=(lambda given: given["question"]) | retriever)
    assert ids(chain.invoke({"question": QUESTION})["found"]) == ids(retriever.invoke(QUESTION))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "greater than or equal to 1"),
        ({"top_k": 3}, "top_k"),
        ({"mode": "words"}, "mode"),
        ({"index": 3}, "index"),
    ],
)
def test_wrong_settings_are_refused_at_once(folder, settings, message):
    with pytest.raises(ValueError, match=message):
        BMRetrieverIndexRetriever(**{"index": folder, **settings})


def test_no_index_and_another_model_are_named(folder, tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        BMRetrieverIndexRetriever(index=tmp_path / "nowhere").invoke(QUESTION)
    with pytest.raises(ValueError, match=r"SHA-256"):
        BMRetrieverIndexRetriever(index=folder, model=tiny("gemma")).invoke(QUESTION)
    moved = BMRetrieverIndexRetriever(index=os.fspath(folder), model=tiny("llama"), device="cpu")
    assert ids(moved.invoke(QUESTION)) == asked(folder)


def test_a_copy_or_an_assignment_that_names_another_index_asks_that_one(retriever, tmp_path):
    retriever.invoke(QUESTION)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        retriever.model_copy(update={"index": str(tmp_path / "nowhere")}).invoke(QUESTION)
    found = retriever.invoke(QUESTION)
    retriever.index = str(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        retriever.warm_up()
    assert found


def test_what_is_no_question_is_told(retriever):
    with pytest.raises(ValueError, match=r"a question is a text, or a vector of numbers; got \{'question'"):
        retriever.invoke({"question": QUESTION})
