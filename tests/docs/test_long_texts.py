"""docs/long-texts.md says how many tokens a passage may have."""

from __future__ import annotations

import re
from pathlib import Path

from bmretriever_integrations import BMRetrieverEncoder

PAGE = (Path(__file__).parents[2] / "docs" / "long-texts.md").read_text(encoding="utf-8")


def test_the_room_for_a_passage_is_the_engine_s():
    header, numbers = re.search(
        r"^\| \| (.*mini.*) \|\n.*\n\| tokens for title and text \| (.*) \|$", PAGE, re.MULTILINE
    ).groups()
    room = dict(zip(header.split(" | "), map(int, numbers.split(" | ")), strict=True))
    with BMRetrieverEncoder("mini") as encoder:
        assert room["`mini`"] == encoder.passage_tokens


def test_the_safe_number_of_words_fits_even_at_the_most_tokens_a_word():
    words = int(re.search(r"is (\d+) words of English", PAGE)[1])
    most = [float(found) for found in re.search(r"more than ([\d.]+), ([\d.]+)\nand ([\d.]+)", PAGE).groups()]
    assert words * max(most) < 502
