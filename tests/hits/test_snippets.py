"""The part of a text that fits a question."""

from __future__ import annotations

from bmretriever_integrations.hits.snippets import snippet, subject_words


def test_words_that_every_question_has_are_not_its_subject() -> None:
    assert subject_words("Does the p53 mutation cause IL-6 release?") == {"p53", "mutation", "release"}


def test_snippet_shows_where_the_questions_words_are() -> None:
    text = "Nothing here. " * 40 + "Aspirin halves the risk of stroke in adults. " + "Nothing there. " * 40
    part = snippet(text, "Does aspirin prevent stroke?", 60)
    assert part.startswith("... Aspirin halves the risk of stroke in adults.")
    assert part.endswith(" ...")
    assert len(part) <= 60 + len("... ") + len(" ...")
    assert snippet("short\n text", "x") == "short text"


def test_snippet_looks_at_the_beginning_of_an_enormous_text_only() -> None:
    text = "Nothing here. " * 10_000 + "Aspirin halves the risk of stroke."
    assert snippet(text, "aspirin stroke").startswith("Nothing here.")
    assert "Aspirin" in snippet(text[50_000:], "aspirin stroke")
