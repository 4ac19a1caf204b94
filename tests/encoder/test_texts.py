"""What is no list of texts is refused before any work, and what is one is embedded by its content."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest

from bmretriever_integrations.parallel import EncoderPool
from bmretriever_integrations.prompts import passage_prompt, query_prompt, resolve_instruction


class Topic(str, Enum):  # noqa: UP042  people's own code has it
    FEVER = "fever"
    TASK = "Given a claim, retrieve documents"


TEXTS = ["fever", "cough"]
WRONG = {
    "dict": dict.fromkeys(TEXTS),
    "keys": dict.fromkeys(TEXTS).keys(),
    "set": set(TEXTS),
    "frozenset": frozenset(TEXTS),
    "DataFrame": pd.DataFrame({"text": TEXTS}),
    "matrix": np.array([TEXTS]),
    "str": "fever",
    "bytes": b"fever",
    "int": 7,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_has_no_order_or_two_dimensions_is_no_list(encoder, wrong):
    for call in (encoder.encode_passages, encoder.encode_queries):
        with pytest.raises(TypeError, match="texts must be a list of str"):
            call(WRONG[wrong])
    with pytest.raises(TypeError, match="titles must be a list of str"):
        encoder.encode_passages(TEXTS, WRONG[wrong])


@pytest.mark.parametrize("right", [tuple(TEXTS), np.array(TEXTS), pd.Series(TEXTS, index=[7, 3]), iter(TEXTS)])
def test_other_sequences_are_lists(encoder, right):
    assert np.array_equal(encoder.encode_passages(right), encoder.encode_passages(TEXTS))


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), pd.NA, pd.NaT, ""])
def test_a_missing_title_is_no_title(encoder, missing):
    vectors = encoder.encode_passages(TEXTS, [missing, "A title"])
    assert np.array_equal(vectors, encoder.encode_passages(TEXTS, ["", "A title"]))


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_a_missing_text_is_an_error(encoder, missing):
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str"):
        encoder.encode_passages(["fever", missing])


def test_members_of_a_str_enum_are_embedded_by_their_value(encoder):
    plain = encoder.encode_passages(["fever"], ["fever"])
    assert np.array_equal(encoder.encode_passages([Topic.FEVER], [Topic.FEVER]), plain)
    asked = encoder.encode_queries(["fever"], Topic.TASK.value)
    assert np.array_equal(encoder.encode_queries([Topic.FEVER], Topic.TASK), asked)
    assert query_prompt(Topic.TASK, Topic.FEVER) == "Given a claim, retrieve documents\nQuery: fever"
    assert passage_prompt(Topic.FEVER, Topic.FEVER).endswith("passage: fever fever")
    assert resolve_instruction(Topic.FEVER) == resolve_instruction("fever")
    assert type(resolve_instruction(Topic.TASK)) is str


def test_a_pool_refuses_the_same(tiny):
    with EncoderPool(tiny("llama"), devices=["cpu"]) as pool:
        for wrong in WRONG.values():
            with pytest.raises(TypeError, match="list of str"):
                pool.encode_passages(wrong)
