"""The bound of open files rises as far as it may."""

from __future__ import annotations

import pytest

from bmretriever_integrations.serving.open_files import allow_connections

resource = pytest.importorskip("resource", reason="Windows has no such bound")
ANY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, 100_000), (3024, 100_000)),
        ((256, 1000), (1000, 1000)),
        ((256, ANY), (3024, ANY)),
        ((5000, 100_000), None),
        ((ANY, ANY), None),
    ],
)
def test_what_the_system_is_asked_for(monkeypatch, before, after):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: before)
    monkeypatch.setattr(resource, "setrlimit", lambda _what, bounds: asked.append(bounds))
    allow_connections(1000)
    assert asked == ([after] if after else [])
