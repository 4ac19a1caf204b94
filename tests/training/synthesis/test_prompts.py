"""The prompt files: every placeholder filled, every value used, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json

import pytest

from bmretriever_integrations.prompts import TASK_INSTRUCTIONS
from bmretriever_integrations.training.synthesis.templates import LEVELS, load_template

GIVEN = {
    "instance": {"passage": "Cost: $5 {per} $user."},
    "brainstorm": {},
    "triple": {"task": "Given a $drug {x}, find y."},
}


def rendered(level, *seed, shots=0):
    template = load_template(level)
    return template.render(template.draw(*seed), shots, **GIVEN[level])


@pytest.mark.parametrize("level", LEVELS)
def test_every_placeholder_is_filled_and_every_value_is_used(level):
    template = load_template(level)
    texts = [rendered(level, seed)[-1]["content"] for seed in range(300)]
    for given in GIVEN[level].values():  # a field's own dollars and braces stay
        assert all(given in text for text in texts)
        texts = [text.replace(given, "") for text in texts]
    assert not any("$" in text for text in texts)
    for name, values in template.placeholders.items():
        assert len(values) >= 2, name
        assert f"${name}" in template.user, f"{name} has values, but the prompt never uses it"
        for value in values:
            assert any(value.text in text for text in texts), f"{name}: {value.text!r} is never drawn"


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_field_is_no_empty_one(level):
    template = load_template(level)
    drawn = template.draw(0)
    del drawn[next(iter(template.placeholders))]
    with pytest.raises(KeyError):
        template.render(drawn, **GIVEN[level])


GOLDEN = {"instance": "0f386a439f99054c", "brainstorm": "286ca3535ff55ef6", "triple": "afbecbe37eafe8bd"}
"""SHA-256 of five renderings. Another wording is another prompt version: then change these with it."""


@pytest.mark.parametrize("level", LEVELS)
def test_rendering_is_the_same_byte_for_byte(level):
    content = json.dumps([rendered(level, seed, "a passage") for seed in range(5)], ensure_ascii=False)
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == GOLDEN[level]
    assert len({json.dumps(rendered(level, seed)) for seed in range(20)}) > 10  # and another seed is another prompt


def test_query_types_carry_the_sentence_they_are_trained_with():
    types = load_template("instance").placeholders["query_type"]
    assert len({value.name for value in types}) == len(types) >= 5
    for value in types:
        assert len(value.instruction.split()) > 3, "a task key that was not resolved"
        assert value.query
        assert value.passage
    assert {value.instruction for value in types} & set(TASK_INSTRUCTIONS.values())


def test_worked_examples_come_before_the_question_the_drawn_type_last():
    template = load_template("instance")
    drawn = template.draw(3)
    messages = template.render(drawn, 2, passage="P")
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert json.loads(messages[-2]["content"]) == {"query": drawn["query_type"].query}
    assert drawn["query_type"].passage in messages[-3]["content"]
    assert messages[-1]["content"].endswith("Passage: P")
    assert messages[-2]["content"].startswith(template.opening)
    most = len(template.placeholders["query_type"])
    with pytest.raises(ValueError, match=f"shots must be 0..{most}"):
        template.render(drawn, most + 1, passage="P")
    with pytest.raises(ValueError, match=r"shots must be 0\.\.0 for the triple prompt"):
        load_template("triple").render(load_template("triple").draw(0), 1, task="T")


def test_the_two_sentences_that_the_paper_shows_are_there():
    assert load_template("brainstorm").user.startswith(
        "Brainstorm a list of potentially useful biomedical text retrieval tasks."
    )
    assert load_template("triple").user.startswith(
        "Your mission is to write one biomedical text retrieval example for this task."
    )


def test_unknown_level():
    with pytest.raises(ValueError, match="level must be one of instance, brainstorm, triple"):
        load_template("sentence")
