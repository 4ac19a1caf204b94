"""The tokens of a request are counted as the model reads them, and what is too much is refused before it takes a place."""

from __future__ import annotations

import pytest

from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.serving.admission import CHARACTERS_A_TOKEN, SHORT, Admission
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.settings import Limits

LIMITS = Limits(texts=5, text_tokens=1000)


@pytest.fixture
def admission(mini):
    return Admission(mini, LIMITS)


async def refusal(admission, *arguments, **options):
    with pytest.raises(ApiError) as refused:
        await admission.check(*arguments, **options)
    return refused.value.status, refused.value.param, refused.value.code, refused.value.message


@pytest.mark.parametrize("repeat", [1, SHORT])  # in the event loop, and on a thread
async def test_tokens_are_those_of_the_sequences(mini, repeat):
    admission = Admission(mini, Limits(text_tokens=100_000))
    texts = ["", " insulin ", "Does it help? " * repeat]
    for kind, task, prompt in (
        ("passage", None, passage_prompt),
        ("query", None, lambda text: query_prompt(DEFAULT_INSTRUCTION, text)),
        ("query", "nq", lambda text: query_prompt(TASK_INSTRUCTIONS["nq"], text)),
    ):
        admitted = await admission.check(kind, texts, task)
        assert admitted.tokens == [len(ids) for ids in mini.tokenizer([prompt(text) for text in texts])]
        assert admitted.cut == ([2] if repeat > 1 else [])
        assert admitted.instruction == (None if kind == "passage" else TASK_INSTRUCTIONS.get(task, DEFAULT_INSTRUCTION))


async def test_a_text_of_just_the_length_is_not_cut(mini, admission):
    words = mini.settings.max_length
    while (await admission.check("passage", ["word " * words])).cut:
        words -= 1
    one, two = (await admission.check("passage", ["word " * words, "word " * (words + 1)])).lengths
    assert one == mini.settings.max_length < two


async def test_too_many_or_too_long(admission):
    status, param, code, message = await refusal(admission, "passage", ["a"] * 6)
    assert (status, param, code) == (413, "input", "too_many_texts")
    assert message == "input has 6 texts; a request may have 5: send several"
    status, param, code, message = await refusal(admission, "query", ["a", "word " * 1001], field="inputs")
    assert (status, param, code) == (413, "inputs[1]", "text_too_long")
    assert "tokens; a question may have 1,000 tokens. Shorten it" in message
    status, param, _, message = await refusal(admission, "passage", ["a" * (1000 * CHARACTERS_A_TOKEN + 1)])
    assert (status, param) == (413, "input[0]")
    assert "16,001 characters; a text may have 1,000 tokens. Split it" in message


@pytest.mark.parametrize(("texts", "says"), [([], "is empty"), (["a", "\ud83d"], r"input\[1\] holds a lone surrogate")])
async def test_texts_that_are_none(admission, texts, says):
    with pytest.raises(ApiError, match=says) as refused:
        await admission.check("passage", texts)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, "input", "invalid_value")


@pytest.mark.parametrize(
    ("kind", "instruction", "says"),
    [
        ("passage", "nq", "passages have no instruction: leave it out, or embed queries"),
        ("query", "nqq", "Did you mean 'nq'"),
        ("query", " ", "instruction is empty"),
        ("query", "find " * 401, "instruction has 2,005 characters; it may have 2,000: write a sentence"),
    ],
)
async def test_instructions_that_are_none(admission, kind, instruction, says):
    status, param, _, message = await refusal(admission, kind, ["a"], instruction)
    assert (status, param) == (400, "instruction")
    assert says in message


def test_dimensions(mini, admission):
    for allowed in (None, 1, mini.width):
        assert admission.check_dimensions(allowed) is None
    for refused in (-1, 0, mini.width + 1):
        with pytest.raises(ApiError, match=rf"dimensions is {refused}; it may be 1 to {mini.width}"):
            admission.check_dimensions(refused)
