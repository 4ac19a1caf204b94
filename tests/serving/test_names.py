"""A model has one name for passages and one for queries, and a request that mixes them up is told how to say it."""

from __future__ import annotations

import pytest

from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.names import ModelNames


@pytest.mark.parametrize(
    ("model", "served_as", "passages"),
    [
        ("mini", None, "mini"),
        ("410M", None, "BMRetriever-410M"),
        ("BMRetriever/BMRetriever-410M", None, "BMRetriever-410M"),
        ("/home/me/secret/checkpoint", None, "checkpoint"),
        ("/home/me/secret/checkpoint", "biomed", "biomed"),
        ("410M", "biomed", "biomed"),
    ],
)
def test_the_two_names(model, served_as, passages):
    names = ModelNames(model, served_as)
    assert (names.passages, names.queries) == (passages, f"{passages}-query")
    assert (names.kind(passages), names.kind(f"{passages}-query")) == ("passage", "query")


def test_a_released_checkpoint_has_its_other_names_unless_it_was_given_one():
    names = ModelNames("410M")
    for name in ("410M", "BMRetriever/BMRetriever-410M"):
        assert (names.kind(name), names.kind(f"{name}-query")) == ("passage", "query")
    with pytest.raises(ApiError, match="there is no model '410M'; name 'biomed' to embed passages"):
        ModelNames("410M", "biomed").kind("410M")


def test_what_the_request_says_itself():
    names = ModelNames("mini")
    assert names.kind("mini", "query") == names.kind("mini-query", "query") == "query"
    assert names.kind("mini", "passage") == "passage"
    with pytest.raises(
        ApiError, match="'mini-query' embeds queries, and input_type is 'passage'; name 'mini'"
    ) as refused:
        names.kind("mini-query", "passage")
    assert (refused.value.status, refused.value.param) == (400, "input_type")


@pytest.mark.parametrize(
    ("model", "served_as"), [("410M", "biomed-query"), ("/models/biomed-query", None), ("410M", "-query")]
)
def test_passages_have_no_name_that_promises_queries(model, served_as):
    with pytest.raises(ValueError, match="-query' promise queries: choose another name for passages by --name"):
        ModelNames(model, served_as)
    assert ModelNames(model, "biomed").queries == "biomed-query"


@pytest.mark.parametrize("model", ["text-embedding-3-small", "", "Mini", "mini-Query", "mini-query-query"])
def test_other_models(model):
    with pytest.raises(ApiError, match="there is no model") as refused:
        ModelNames("mini").kind(model)
    assert (refused.value.status, refused.value.param, refused.value.code) == (404, "model", "model_not_found")
    assert ModelNames("mini").ways() in refused.value.message
