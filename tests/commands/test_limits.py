"""Bounds of the server, as the command line gives them."""

from __future__ import annotations

import pytest

from bmretriever_integrations.commands.limits import limits_of
from bmretriever_integrations.serving.settings import Limits


def test_what_is_not_named_stays():
    assert limits_of([]) == Limits()
    assert limits_of(["texts=5", "stop_seconds=1.5", "texts=6"]) == Limits(texts=6, stop_seconds=1.5)


@pytest.mark.parametrize("word", ["text=5", "texts", "=5", ""])
def test_all_bounds_are_named_where_one_is_wrong(word):
    with pytest.raises(
        ValueError, match=r"--limit: .* the bounds and their defaults: body_bytes=16777216, .*stop_seconds=60.0$"
    ):
        limits_of([word])


@pytest.mark.parametrize("word", ["texts=", "texts=0", "texts=-1", "texts=1.5", "texts=many"])
def test_a_count_is_a_whole_number(word):
    with pytest.raises(ValueError, match=f"--limit: {word!r} needs a whole number above 0"):
        limits_of([word])


@pytest.mark.parametrize("word", ["stop_seconds=0", "stop_seconds=nan", "stop_seconds=inf", "stop_seconds=-1"])
def test_a_time_is_a_number(word):
    with pytest.raises(ValueError, match=f"--limit: {word!r} needs a number above 0"):
        limits_of([word])
