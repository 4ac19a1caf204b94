"""Searches over HTTP find what the index finds, with every filter, and refuse what they do not know."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote

import pytest

from bmretriever_integrations.serving.settings import Limits

METFORMIN = "Does metformin lower the risk of cancer?"
RETRACTED = "33419960"


def search(server, path="/search", **body):
    answer = server.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(server, status, path="/search", **body):
    answer = server.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def ids(answer):
    return [hit["id"] for hit in answer["hits"]]


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text", None])
@pytest.mark.parametrize("include_retracted", [False, True])
def test_hits_are_those_of_the_index_to_the_last_bit(server, index, mode, include_retracted):
    answer = search(server, question=METFORMIN, top_k=20, mode=mode, include_retracted=include_retracted)
    hits = index.search(METFORMIN, 20, mode=mode, include_retracted=include_retracted)
    assert [asdict(hit) for hit in hits] == [{name: hit[name] for name in asdict(hits[0])} for hit in answer["hits"]]
    assert answer["retracted_left_out"] == hits.retracted_left_out == (0 if include_retracted else 1)
    assert (answer["records"], answer["mode"]) == (len(index), mode or "hybrid")


def test_a_hit_says_what_a_reader_needs(server):
    answer = search(server, question=METFORMIN, include_retracted=True)
    hits = {hit["id"]: hit for hit in answer["hits"]}
    first = hits["33419956"]
    assert first["pmid"] == "33419956"
    assert first["url"] == "https://pubmed.ncbi.nlm.nih.gov/33419956/"
    assert (first["date"], first["marks"], first["metadata"]["journal"]) == ("2020-03", [], "Diabetes Care")
    assert first["passage"].startswith("Adults with type 2 diabetes")
    assert first["from_vectors"] + first["from_words"] == pytest.approx(first["score"])
    assert hits[RETRACTED]["marks"] == ["RETRACTED (notice: 33419961)"]
    assert answer["timings"]["embedding_ms"] > 0
    assert answer["timings"]["search_ms"] > 0


def test_retracted_papers_are_left_out_and_counted(server):
    answer = search(server, question=METFORMIN)
    assert RETRACTED not in ids(answer)
    assert answer["notes"] == ["1 retracted paper left out: include_retracted shows them"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"since": 2020}, {"33419956", "33419958"}),
        ({"since": "2020-04"}, {"33419958"}),
        ({"until": "1999"}, {"PMC7/results 1?x#2"}),
        ({"since": "2018", "until": 2020}, {"33419956"}),
        ({"publication_types": "meta-analysis"}, {"33419956"}),
        ({"publication_types": ["Meta-Analysis", "Randomized Controlled Trial"]}, {"33419956", "33419958"}),
        ({"mesh": ["covid-19"]}, {"33419958"}),
        ({"mesh_major": "myalgia"}, {"papers-2"}),
        ({"journal": "stroke"}, {"PMC7/results 1?x#2"}),
        ({"languages": "German"}, {"PMC7/results 1?x#2"}),
        ({"keywords": "side effects"}, {"papers-2"}),
        ({"authors": ["Chen, Bo"]}, {"33419956"}),
        ({"ids": ["case-3", "case-5"]}, {"case-3", "case-5"}),
        ({"ids": 33419958}, {"33419958"}),
        ({"doi": "https://doi.org/10.1000/METFORMIN.1"}, {"33419956"}),
        ({"pmcid": "12345"}, {"papers-2"}),
        ({"other": {"cohort": ["A", "C"]}}, {"papers-2"}),
        ({"other": {"size": 12}}, {"papers-2"}),
        ({"since": None, "mesh": None, "ids": ["case-3"]}, {"case-3"}),
    ],
)
def test_every_filter(server, filters, found):
    answer = search(server, question="insulin", top_k=50, mode="vector", filters=filters)
    assert set(ids(answer)) == found
    assert set(ids(search(server, like="case-7", top_k=50, mode="vector", filters=filters))) == found


@pytest.mark.parametrize("filters", [None, {}, {"mesh": None, "ids": None, "since": None}])
def test_no_filters_leave_out_nothing(server, index, filters):
    assert len(search(server, question="insulin", top_k=100, mode="vector", filters=filters)["hits"]) == len(index) - 1


@pytest.mark.parametrize(
    ("field", "value"),
    [("ids", []), ("ids", ""), ("mesh", ""), ("journal", []), ("since", ""), ("until", ""), ("other", {})],
)
@pytest.mark.parametrize("path", ["/search", "/search/batch"])
def test_an_empty_filter_does_not_find_everything(server, path, field, value):
    asked = {"question": "insulin"} if path == "/search" else {"questions": ["insulin"]}
    error = refused(server, 400, path, **asked, filters={field: value})
    assert error["message"] == f"filters.{field} is empty: leave the field out, or name one"
    assert (error["param"], error["code"]) == (f"filters.{field}", "invalid_value")


def test_an_answer_without_hits_says_why(server, index):
    answer = search(server, question=METFORMIN, filters={"until": 1800})
    assert answer["hits"] == []
    assert answer["notes"] == [f"no record found: none of {len(index)} passes the filters"]
    answer = search(server, question="qqqq", mode="text")
    assert answer["notes"] == [
        "no record found: none holds a word of the question; mode hybrid also finds other words for the same"
    ]


def test_a_value_that_looks_like_sql_is_a_text(server, index):
    for value in ("x' OR 1=1 --", "'; DROP TABLE records; --", "x') OR ('1'='1", '"', "\\", "\0"):
        for field in ("journal", "authors", "ids", "doi", "other"):
            filters = {field: {"cohort": value} if field == "other" else value}
            assert search(server, question="insulin", filters=filters)["hits"] == []
    assert search(server, question="insulin", filters={"other": {"x'] OR true --": 1}})["hits"] == []
    assert search(server, question="'; DROP TABLE records; --")["hits"]
    assert search(server, question="insulin")["records"] == len(index)


@pytest.mark.parametrize(
    ("filters", "param"),
    [
        ({"since": "soon"}, "filters.since"),
        ({"since": 2015, "until": "later"}, "filters.until"),
        ({"mesh": "Metformin", "ids": [1.5]}, "filters.ids"),
        ({"other": {"cohort": []}}, "filters.other"),
        ({"since": 2020, "until": 2019}, "filters"),
    ],
)
def test_the_filter_that_is_refused_is_named(server, filters, param):
    assert refused(server, 400, question="insulin", filters=filters)["param"] == param


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"where": "true"}, ["filters.where", "fields are: since, until"]),
        ({"field": "meta.year", "operator": "==", "value": 1}, ["filters.field"]),
        ({"since": "soon"}, ["since", "'soon'", "2015-03"]),
        ({"since": 2020, "until": 2019}, ["after until"]),
        ({"since": True}, ["since", "True"]),
        ({"mesh": 5}, ["mesh", "5"]),
        ({"mesh": [["x"]]}, ["mesh", "x"]),
        ({"journal": {"a": "b"}}, ["journal"]),
        ({"journal": [" "]}, ["journal", "none of them empty"]),
        ({"other": "x"}, ["other"]),
        ({"other": {"cohort": {"a": 1}}}, ["other", "cohort"]),
        ({"other": {"cohort": []}}, ["other", "cohort"]),
        ({"other": {f"k{number}": 1 for number in range(6000)}}, ["conditions", "5,000"]),
        ("year > 2000", ["filters"]),
        ({"since": 2015, "ids": [1.5]}, ["ids", "1.5"]),
    ],
)
def test_filters_that_are_refused(server, filters, words):
    error = refused(server, 400, question="insulin", filters=filters)
    assert error["type"] == "invalid_request_error"
    assert error["param"].startswith("filters")
    assert error["code"] in ("invalid_value", "unknown_parameter")
    for word in words:
        assert word in error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, ["question", "like", "give one of them"]),
        ({"question": "a", "like": "case-1"}, ["exclude each other"]),
        ({"like": "case-1", "instruction": "scifact"}, ["instruction"]),
        ({"question": " "}, ["the question is empty"]),
        ({"question": "a", "top_k": 0}, ["top_k is 0", "1 to 1,000"]),
        ({"question": "a", "top_k": 1001}, ["1,001", "1 to 1,000"]),
        ({"question": "a", "top_k": "5"}, ["top_k", "'5'"]),
        ({"question": "a", "top_k": 2**80}, ["top_k"]),
        ({"question": "a", "mode": "words"}, ["mode", "'hybrid', 'vector' or 'text'"]),
        ({"question": "a", "format": "xml"}, ["format", "'json', 'ris' or 'csv'"]),
        ({"question": "a", "instruction": " "}, ["instruction"]),
        ({"question": "a", "topk": 3}, ["'topk'", "top_k"]),
        ({"question": ["a"]}, ["question"]),
        ({"question": "a", "where": "true"}, ["'where'"]),
    ],
)
def test_bodies_that_are_refused(server, body, words):
    message = refused(server, 400, **body)["message"]
    for word in words:
        assert word in message


@pytest.mark.parametrize("mode", ["hybrid", "text"])
def test_a_question_without_end_is_refused(server, mode):
    error = refused(server, 413, question="insulin " * 200_000, mode=mode)
    assert (error["code"], error["param"]) == ("text_too_long", "question")
    assert error["message"] == "question has 1,600,000 characters; a question may have 8,192 tokens. Shorten it"
    error = refused(server, 413, "/search/batch", questions=["insulin", "insulin " * 9_000], mode=mode)
    assert (error["code"], error["param"]) == ("text_too_long", "questions[1]")
    assert error["message"].startswith("questions[1] has ")


def test_records_like_one_are_found_without_it(server, index):
    answer = search(server, like="case-7", top_k=5)
    hits = index.more_like("case-7", 5)
    assert [(hit["id"], hit["score"]) for hit in answer["hits"]] == [(hit.id, hit.score) for hit in hits]
    assert answer["question"] == "Case 7"
    assert answer["timings"]["embedding_ms"] is None
    error = refused(server, 404, like="nobody")
    assert (error["code"], error["param"]) == ("record_not_found", "like")
    assert "'nobody'" in error["message"]


def test_mode_text_embeds_nothing_and_says_that_an_instruction_was_not_used(server):
    answer = search(server, question="metformin", mode="text", instruction="scifact")
    assert ids(answer) == ["33419956"]
    assert answer["timings"]["embedding_ms"] is None
    assert "the instruction was not used: mode text compares words alone" in answer["notes"]


def test_an_instruction_is_that_of_the_index(server, index):
    answer = search(server, question=METFORMIN, mode="vector", instruction="scifact")
    hits = index.search(METFORMIN, 10, mode="vector", instruction="scifact")
    assert [hit["score"] for hit in answer["hits"]] == [hit.score for hit in hits]
    assert [hit.score for hit in hits] != [hit.score for hit in index.search(METFORMIN, 10, mode="vector")]


def test_a_batch_answers_each_question_as_alone(server):
    questions = [METFORMIN, "aspirin", "dexamethasone", METFORMIN]
    options = {"top_k": 4, "filters": {"since": 1990}}
    answers = search(server, "/search/batch", questions=questions, **options)["answers"]
    for question, answer in zip(questions, answers, strict=True):
        alone = search(server, question=question, **options)
        assert {**answer, "timings": None} == {**alone, "timings": None}


def test_bounds_of_a_batch(server, serve_index):
    assert "empty" in refused(server, 400, "/search/batch", questions=[])["message"]
    for questions, field in ((["a", ""], "questions[1]"), ([" "], "questions[0]")):
        error = refused(server, 400, "/search/batch", questions=questions)
        assert (error["message"], error["param"]) == (f"{field} is empty", field)
        assert error["code"] == "invalid_value"
    assert "questions" in refused(server, 400, "/search/batch", questions="a")["message"]
    assert "missing" in refused(server, 400, "/search/batch")["message"]
    assert "like" in refused(server, 400, "/search/batch", questions=["a"], like="b")["message"]
    with serve_index(limits=Limits(questions=2, top_k=3)) as small:
        assert len(search(small, "/search/batch", questions=["a", "b"], top_k=3)["answers"]) == 2
        error = refused(small, 413, "/search/batch", questions=["a", "b", "c"])
        assert error["code"] == "too_many_questions"
        assert error["message"] == "questions has 3; a request may have 2: send several"
        assert "1 to 3" in refused(small, 400, question="a", top_k=4)["message"]
    with serve_index(limits=Limits(hits=10)) as small:
        assert len(search(small, "/search/batch", questions=["a", "b"], top_k=5)["answers"]) == 2
        error = refused(small, 413, "/search/batch", questions=["a", "b"], top_k=6)
        assert error["code"] == "too_many_hits"
        assert error["message"].startswith("2 questions with top_k 6 ask for 12 hits; a request may ask for 10")
        assert search(small, question="a", top_k=11)["hits"]


def test_records(server, index):
    for record_id in ("33419956", "PMC7/results 1?x#2", "papers-2", RETRACTED):
        answer = server.client.get(f"/records/{quote(record_id, safe='')}")
        (record,) = index.get([record_id])
        assert answer.status_code == 200
        plain = answer.json()
        assert (plain["id"], plain["title"], plain["text"]) == (record_id, record.title, record.text)
        assert plain["metadata"] == record.metadata.facts()
    assert server.client.get(f"/records/{RETRACTED}").json()["marks"] == ["RETRACTED (notice: 33419961)"]


def test_odd_ids_are_found_or_unknown_and_never_an_error_of_the_server(server, odd_ids):
    for record_id in odd_ids:
        answer = server.client.get(f"/records/{quote(record_id, safe='')}")
        assert answer.json()["id"] == record_id
    for unknown in ("nobody", "x' OR '1'='1", "%", "a" * 20_000, "é\u2028\x9b", "/", "//"):
        answer = server.client.get(f"/records/{quote(unknown, safe='')}")
        assert answer.status_code == 404, unknown[:50]
        assert answer.json()["error"]["code"] == "record_not_found"


def test_index(server, index):
    assert server.client.get("/index").json() == {
        "name": "papers-index",
        "records": len(index),
        "retracted": 1,
        "years": [1999, 2021],
        "model": server.service.names.passages,
        "tuned": False,
    }


def test_without_an_index_the_routes_say_so(serve_model):
    with serve_model() as embeddings_alone:
        for method, path in (
            ("POST", "/search"),
            ("POST", "/search/batch"),
            ("GET", "/records/a/b"),
            ("GET", "/index"),
        ):
            answer = embeddings_alone.client.request(method, path, json={})
            assert answer.status_code == 404
            assert "embeddings only" in answer.json()["error"]["message"]
