"""The body of a request is read strictly, and what is wrong with it is named."""

from __future__ import annotations

import json

import pytest
from pydantic import Field

from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.forms import Form, read_form
from bmretriever_integrations.serving.texts import Texts


class Inner(Form):
    journal: str | None = None


class Order(Form):
    name: str
    count: int = Field(1, ge=1, le=9)
    wanted: bool = False
    texts: Texts = Field(default_factory=list)
    inner: Inner = Field(default_factory=Inner)


def test_a_body_becomes_the_form():
    body = b'{"name": "a", "count": 2, "texts": "one", "inner": {"journal": "J"}}'
    assert read_form(body, Order) == Order(name="a", count=2, texts=["one"], inner=Inner(journal="J"))
    assert read_form(b'{"name": "a", "texts": ["one", "two"]}', Order).texts == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "param", "code", "says"),
    [
        ("{", None, "invalid_json", "the body is no valid JSON: EOF"),
        ("", None, "invalid_json", "the body is no valid JSON"),
        ('{"name": "\\ud83d"}', None, "invalid_json", "the body is no valid JSON: a lone surrogate"),
        ('{"name": "\\ud83d\\u0041"}', None, "invalid_json", "a lone surrogate"),
        ('{"name": "\\uDC00 "}', None, "invalid_json", "at line 1 column 16; cut texts between characters"),
        ('{"name": "\\u00"}', None, "invalid_json", "escape at line 1"),
        ('\ufeff{"name": "a"}', None, "invalid_json", "it begins with a byte order mark; send UTF-8 without one"),
        ("[]", None, "invalid_value", "the body: must be an object"),
        ('{"name": "a", "name": "b"}', "name", "invalid_value", "'name' is given twice"),
        ("{}", "name", "missing_required_parameter", "the field 'name' is missing"),
        ('{"name": 5}', "name", "invalid_value", "name: must be a valid string; given: 5"),
        ('{"name": null}', "name", "invalid_value", "given: None"),
        ('{"name": "a", "count": "5"}', "count", "invalid_value", "a valid integer; given: '5'"),
        ('{"name": "a", "count": 10}', "count", "invalid_value", "less than or equal to 9; given: 10"),
        ('{"name": "a", "wanted": 1}', "wanted", "invalid_value", "a valid boolean"),
        (
            '{"name": "a", "color": 1}',
            "color",
            "unknown_parameter",
            "there is no field 'color'; the fields are: name, count, wanted, texts, inner",
        ),
        ('{"name": "a", "inner": {"journal": 1}}', "inner.journal", "invalid_value", "inner.journal: "),
        (
            '{"name": "a", "texts": 5}',
            "texts",
            "invalid_value",
            "texts: this must be a text or a list of texts; given: 5",
        ),
        ('{"name": "a", "texts": ["a", null]}', "texts", "invalid_value", "number 1, from 0, is none: None"),
        ('{"name": "a", "texts": [true]}', "texts", "invalid_value", "number 0, from 0, is none: True"),
        ('{"name": "a", "texts": [1, 2]}', "texts", "invalid_value", "these are token ids"),
        ('{"name": "a", "texts": [[1], [2]]}', "texts", "invalid_value", "check_embedding_ctx_length=False"),
    ],
)
def test_what_is_wrong_is_named(body, param, code, says):
    with pytest.raises(ApiError) as refused:
        read_form(body.encode(), Order)
    assert (refused.value.status, refused.value.param, refused.value.code) == (400, param, code)
    assert says in refused.value.message


def test_messages_stay_short():
    for body in (
        {"name": "a", "x" * 5000: 1},
        {"name": "a", "count": "5" * 5000},
        {"name": "a", "texts": ["a", {"b": "c" * 5000}]},
    ):
        with pytest.raises(ApiError) as refused:
            read_form(json.dumps(body).encode(), Order)
        assert len(refused.value.message) < 300
        assert len(refused.value.param or "") <= 100
