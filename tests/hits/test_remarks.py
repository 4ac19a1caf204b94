"""What is said beside the hits, in the words of the way in."""

from __future__ import annotations

from bmretriever_integrations.hits.answers import Answer, Question
from bmretriever_integrations.hits.remarks import Advice, remarks
from bmretriever_integrations.index import Hit, Hits

COMMAND = Advice(hybrid="--mode hybrid", include_retracted="--include-retracted")
REQUEST = Advice(hybrid='mode "hybrid"', include_retracted="include_retracted shows them")


def answered(hits: int, left_out: int = 0) -> Answer:
    return Answer(Question("1", "q"), Hits([Hit(1, 0.5, "a", "", "")] * hits, retracted_left_out=left_out))


def test_what_was_left_out_is_said_and_why_nothing_was_found() -> None:
    nothing = answered(0)
    assert remarks(answered(2, 3), 9, False, None, COMMAND) == ["3 retracted papers left out: --include-retracted"]
    assert remarks(answered(1), 9, True, "text", COMMAND) == []
    assert remarks(nothing, 0, True, None, COMMAND) == ["no record found: the index is empty"]
    assert remarks(nothing, 1900, True, None, COMMAND) == ["no record found: none of 1,900 passes the filters"]
    assert "passes the filters and holds a word of the question" in remarks(nothing, 9, True, "text", COMMAND)[0]
    assert "none holds a word of the question; --mode hybrid also" in remarks(nothing, 9, False, "text", COMMAND)[0]
    assert remarks(answered(0, 1), 9, False, None, COMMAND) == [
        "no record found: those that fit were retracted",
        "1 retracted paper left out: --include-retracted",
    ]


def test_each_way_in_has_its_own_words() -> None:
    assert remarks(answered(1, 2), 9, False, None, REQUEST) == [
        "2 retracted papers left out: include_retracted shows them"
    ]
    assert remarks(answered(0), 9, False, "text", REQUEST) == [
        'no record found: none holds a word of the question; mode "hybrid" also finds other words for the same'
    ]
