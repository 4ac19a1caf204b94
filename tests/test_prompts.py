"""C2: the templates, byte for byte, and the instructions."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from bmretriever_integrations.prompts import (
    DEFAULT_INSTRUCTION,
    TASK_INSTRUCTIONS,
    is_missing,
    lone_surrogate,
    passage_prompt,
    query_prompt,
    resolve_instruction,
)


def test_templates_are_the_authors():
    instruction = "Given a scientific claim, retrieve documents that support or refute the claim"
    assert TASK_INSTRUCTIONS["scifact"] == instruction
    assert query_prompt(instruction, " a claim ") == f"{instruction}\nQuery:  a claim "
    assert passage_prompt("text\n", " title") == "Represent this passage\npassage: title text"
    assert passage_prompt(" text ") == "Represent this passage\npassage: text"
    assert passage_prompt(" text ", "") == "Represent this passage\npassage: text"
    assert passage_prompt("", "title") == "Represent this passage\npassage: title"
    assert passage_prompt("") == "Represent this passage\npassage: "


def test_instruction_is_a_key_a_sentence_or_the_default():
    assert resolve_instruction("trec-covid") == "Given a query on COVID-19, retrieve documents that answer the query"
    assert resolve_instruction("Find me a paper") == "Find me a paper"
    assert resolve_instruction(None) == DEFAULT_INSTRUCTION


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_empty_instruction_is_refused(empty):
    with pytest.raises(ValueError, match="instruction is empty"):
        resolve_instruction(empty)
    with pytest.raises(ValueError, match="instruction is empty"):
        query_prompt(empty, "text")


def test_mistyped_key_is_no_sentence():
    with pytest.raises(ValueError, match="Did you mean 'scifact'"):
        resolve_instruction("scifcat")
    with pytest.raises(TypeError, match="must be a str"):
        resolve_instruction(7)  # type: ignore[arg-type]


def test_half_a_character_in_an_instruction_is_refused():
    with pytest.raises(ValueError, match=r"instruction holds a lone surrogate \(U\+D800 at character 5\)"):
        resolve_instruction("find \ud800 things")


def test_half_a_character_is_found_by_its_place():
    assert lone_surrogate("") is None
    assert lone_surrogate("übung 😀 \x00") is None
    assert lone_surrogate("😀ab\ud83d\ud83d") == 3
    assert lone_surrogate("\ude00") == 0


def test_values_that_stand_for_none_are_missing():
    values = [None, float("nan"), np.float32("nan"), np.datetime64("NaT"), Decimal("NaN"), Decimal("sNaN")]
    assert [is_missing(value) for value in values] == [True] * len(values)
    values = [
        "",
        "nan",
        "a title",
        0,
        False,
        1.5,
        [],
        ["a"],
        np.array([np.nan, 1.0]),
        np.float32(0),
        np.datetime64(1, "D"),
    ]
    assert [is_missing(value) for value in values] == [False] * len(values)


def test_missing_values_of_pandas():
    pandas = pytest.importorskip("pandas")
    assert is_missing(pandas.NA)
    assert is_missing(pandas.NaT)
    assert not is_missing(pandas.Timestamp("2024-05-01"))
