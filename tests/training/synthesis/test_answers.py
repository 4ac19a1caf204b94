"""What is taken out of an answer, what is refused, and what counts as a repeat."""

from __future__ import annotations

import json

import pytest

from bmretriever_integrations.training.synthesis.answers import (
    QueryAnswer,
    TripleAnswer,
    Unusable,
    checked_query,
    checked_triple,
    parse,
)
from bmretriever_integrations.training.synthesis.duplicates import QueryDuplicates
from bmretriever_integrations.training.synthesis.generators import Answer

PASSAGE = "Fluconazole blocks the liver enzyme that breaks warfarin down, so patients bleed more easily."
LONG = (
    "Iron is taken up in the upper small bowel and carried through the blood by a protein that is called transferrin."
)
OTHER = (
    "Iron is a metal whose ore is found in many countries; steel is made of it, and it rusts in wet air over the years."
)


def answer(text, truncated=False):
    return Answer(text, truncated, 0, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"query": "why bleed"}',
        'Sure! Here it is:\n```json\n{"query": "why bleed"}\n```\nHope {that} helps.',
        '{curly talk} {"query": "why bleed", "notes": ["kept out"]}',
        '{\n "query": "why bleed"\n} {"query": "second"}',
    ],
)
def test_talk_around_the_object_is_passed_over(text):
    assert parse(answer(text), QueryAnswer).query == "why bleed"


def test_an_object_that_ended_before_the_cut_counts():
    assert parse(answer('{"query": "why bleed"} and then', truncated=True), QueryAnswer).query == "why bleed"


@pytest.mark.parametrize(
    ("text", "truncated", "reason"),
    [
        ("  ", False, "empty answer"),
        ('{"query": "why', False, "no JSON object"),
        ('{"query": "why', True, "truncated"),
        ("why bleed", False, "no JSON object"),
        ('["why bleed"]', False, "no JSON object"),
        ("[" * 100_000, False, "no JSON object"),
        ('{"a": ' * 3_000, False, "no JSON object"),
        ('{"question": "why bleed"}', False, "field query: missing"),
        ('{"query": ["why", "bleed"]}', False, "field query: string_type"),
        ('{"query": null}', False, "field query: string_type"),
        ('{"query": ""}', False, "field query: string_too_short"),
        ("As an AI language model, I have no medical licence.", False, "refusal"),
        ("I'm sorry, but I cannot help with that.", True, "refusal"),
    ],
)
def test_unusable_answers_say_why(text, truncated, reason):
    with pytest.raises(Unusable) as error:
        parse(answer(text, truncated), QueryAnswer)
    assert error.value.reason == reason
    assert error.value.advice


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("As an AI I cannot read it", "refusal"),
        ("???", "query without words"),
        ("why " * 81, "query too long"),
        ("what does the passage say about bleeding", "query speaks of the passage"),
        ("blocks the liver enzyme that breaks warfarin", "query copied"),
        ("BLOCKS the liver-enzyme that breaks warfarin down?", "query copied"),
        ("why \ud800 bleed", "not Unicode"),
    ],
)
def test_unfit_queries(query, reason):
    with pytest.raises(Unusable) as error:
        checked_query(query, PASSAGE)
    assert error.value.reason == reason


@pytest.mark.parametrize(
    "query",
    [
        "liver enzyme that breaks",  # five words of the passage are a term, not a sentence
        "does my blood thinner get stronger when an antifungal blocks the liver enzyme that breaks warfarin",
    ],
)
def test_fit_queries(query):
    assert checked_query(f"  {query}\n", PASSAGE) == query


def test_the_passage_may_be_named_where_the_passage_is_about_one():
    assert checked_query("who wrote the paper", "The paper was written by Smith.")


def test_triples():
    good = TripleAnswer(user_query="how is iron carried", positive_document=f"{LONG}\n", hard_negative_document=OTHER)
    assert checked_triple(good).positive_document == LONG
    for change, reason in [
        ({"hard_negative_document": LONG.upper()}, "negative is the positive"),
        ({"positive_document": "Iron."}, "positive_document too short"),
        ({"hard_negative_document": "No."}, "hard_negative_document too short"),
        ({"hard_negative_document": f"As an AI, {OTHER}"}, "refusal"),
        ({"user_query": LONG}, "query copied"),
    ]:
        with pytest.raises(Unusable) as error:
            checked_triple(good.model_copy(update=change))
        assert error.value.reason == reason
    with pytest.raises(Unusable, match="field hard_negative_document: missing"):
        parse(answer(json.dumps({"user_query": "how is iron carried", "positive_document": LONG})), TripleAnswer)


def test_repeats():
    seen = QueryDuplicates(0.8)
    assert seen.kind("Does metformin lower the risk of colorectal cancer?", "a") is None
    assert seen.kind("does Metformin lower the risk of colorectal cancer", "a") == "exact"
    assert seen.kind("Does metformin lower the risks of colorectal cancer?", "a") == "near"
    assert seen.kind("Does metformin lower the risk of colorectal cancer?", "b") is None  # another task's
    assert seen.kind("Does insulin raise the risk of hypoglycaemia?", "a") is None
    assert seen.kind("What is the role of BRCA1 in hereditary breast cancer of men?", "a") is None
    assert seen.kind("What is the role of BRCA2 in hereditary breast cancer of men?", "a") is None  # another gene
    assert seen.kind("What is the role of BRCA2 in hereditary breast cancers of men?", "a") == "near"


def test_similarity_moves_the_line():
    pair = ("What is the role of insulin in cancer?", "What is the role of insulins in cancers?")
    kinds = {}
    for similarity in (0.6, 0.95, 1.0):
        seen = QueryDuplicates(similarity)
        kinds[similarity] = [seen.kind(query) for query in pair]
    assert kinds == {0.6: [None, "near"], 0.95: [None, None], 1.0: [None, None]}
    with pytest.raises(ValueError, match="similarity must be above 0"):
        QueryDuplicates(0)
