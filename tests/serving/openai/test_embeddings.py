"""``POST /v1/embeddings`` gives the engine's own bits in OpenAI's form, and says what it refuses."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder

QUERIES = ["Does metformin lower the risk of cancer?", "aspirin", ""]
PASSAGES = ["Metformin lowered it.", " Aspirin did not. ", "", "Metformin lowered it."]
WAYS = "name 'mini' to embed passages and 'mini-query' to embed queries, or 'mini' with input_type 'query' or 'passage'"


def ask(server, **body):
    answer = server.client.post("/v1/embeddings", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def vectors_of(answer):
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    assert {item["object"] for item in answer["data"]} == {"embedding"}
    embeddings = [item["embedding"] for item in answer["data"]]
    if isinstance(embeddings[0], str):
        return np.array([np.frombuffer(base64.b64decode(one), "<f4") for one in embeddings])
    return np.array(embeddings, np.float32)


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_the_models_name_says_what_texts_are(model_server, mini, encoding, assert_same):
    queries = ask(model_server, model="mini-query", input=QUERIES, encoding_format=encoding)
    assert_same(vectors_of(queries), mini.encode_queries(QUERIES))
    passages = ask(model_server, model="mini", input=PASSAGES, encoding_format=encoding)
    assert_same(vectors_of(passages), mini.encode_passages(PASSAGES))
    single = ask(model_server, model="mini", input="one text", encoding_format=encoding)
    assert_same(vectors_of(single), mini.encode_passages(["one text"]))


def test_the_rest_of_the_answer(model_server, mini):
    answer = ask(model_server, model="mini", input=PASSAGES, user="somebody")
    tokens = sum(
        len(ids) for ids in mini.tokenizer([f"Represent this passage\npassage: {text.strip()}" for text in PASSAGES])
    )
    del answer["data"]
    assert answer == {"object": "list", "model": "mini", "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def test_the_request_can_say_what_texts_are(model_server, mini, assert_same):
    for kind, encode in (("query", mini.encode_queries), ("passage", mini.encode_passages)):
        assert_same(vectors_of(ask(model_server, model="mini", input=QUERIES, input_type=kind)), encode(QUERIES))


@pytest.mark.parametrize("instruction", ["nq", "Given a drug, find its side effects"])
def test_the_task_of_queries(model_server, mini, instruction, assert_same):
    answer = ask(model_server, model="mini-query", input=QUERIES, instruction=instruction)
    assert_same(vectors_of(answer), mini.encode_queries(QUERIES, instruction))


@pytest.mark.parametrize("dimensions", [1, 100, 576])
def test_fewer_dimensions_are_those_of_an_engine_with_so_many(model_server, dimensions, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", truncate_dim=dimensions) as engine:
        right = engine.encode_passages(PASSAGES)
    for encoding in ("float", "base64"):
        answer = ask(model_server, model="mini", input=PASSAGES, dimensions=dimensions, encoding_format=encoding)
        assert_same(vectors_of(answer), right)


def test_an_engine_that_normalizes(serve_model, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", normalize=True) as engine, serve_model(encoder=engine) as server:
        assert_same(vectors_of(ask(server, model="mini-query", input=QUERIES)), engine.encode_queries(QUERIES))
        with BMRetrieverEncoder("mini", device="cpu", normalize=True, truncate_dim=64) as short:
            right = short.encode_passages(PASSAGES)
        assert_same(vectors_of(ask(server, model="mini", input=PASSAGES, dimensions=64)), right)


def test_a_model_in_float32(serve_model, encoder):
    with serve_model(encoder=encoder) as server:
        name = server.service.names.passages
        assert name == Path(encoder.settings.model).name
        for model, encode in ((name, encoder.encode_passages), (f"{name}-query", encoder.encode_queries)):
            for form in ("float", "base64"):
                found = vectors_of(ask(server, model=model, input=PASSAGES, encoding_format=form))
                np.testing.assert_allclose(found, encode(PASSAGES), rtol=0, atol=1e-6)


def test_texts_that_are_cut_are_named(model_server, mini, assert_same):
    long = "word " * 600
    answer = ask(model_server, model="mini", input=["short", long, "short", long])
    assert answer["cut_texts"] == [1, 3]
    assert answer["usage"]["prompt_tokens"] < 2 * 512 + 40
    assert_same(vectors_of(answer), mini.encode_passages(["short", long, "short", long]))


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "says"),
    [
        ({"model": "text-embedding-3-small"}, 404, "model", "model_not_found", f"there is no model {{}}; {WAYS}"),
        ({"model": None}, 400, "model", "invalid_value", WAYS),
        ({"model": ...}, 400, "model", "missing_required_parameter", f"the field 'model' is missing; {WAYS}"),
        ({"model": "mini-query", "input_type": "passage"}, 400, "input_type", "invalid_value", WAYS),
        ({"input_type": "document"}, 400, "input_type", "invalid_value", "'query' or 'passage'; given: 'document'"),
        ({"instruction": "nq"}, 400, "instruction", "invalid_value", "passages have no instruction: leave it out"),
        ({"model": "mini-query", "instruction": "nqq"}, 400, "instruction", "invalid_value", "Did you mean 'nq'"),
        ({"input": ...}, 400, "input", "missing_required_parameter", "the field 'input' is missing"),
        ({"input": []}, 400, "input", "invalid_value", "input is empty"),
        ({"input": {"a": 1}}, 400, "input", "invalid_value", "must be a text or a list of texts"),
        ({"input": [1, 2, 3]}, 400, "input", "invalid_value", "OpenAIEmbeddings(check_embedding_ctx_length=False)"),
        ({"input": [[1, 2], [3]]}, 400, "input", "invalid_value", "belong to the tokenizer of another model"),
        ({"input": ["a"] * 2049}, 413, "input", "too_many_texts", "2,049 texts; a request may have 2,048"),
        ({"input": ["a", "word " * 9000]}, 413, "input[1]", "text_too_long", "a text may have 8,192 tokens"),
        ({"dimensions": 0}, 400, "dimensions", "invalid_value", "greater than or equal to 1; given: 0"),
        ({"dimensions": 577}, 400, "dimensions", "invalid_value", "dimensions is 577; it may be 1 to 576"),
        ({"encoding_format": "hex"}, 400, "encoding_format", "invalid_value", "'float' or 'base64'"),
        ({"truncate": True}, 400, "truncate", "unknown_parameter", "the fields are: model, input, encoding_format"),
    ],
)
def test_what_is_refused_and_how_to_say_it(model_server, body, status, param, code, says):
    body = {name: value for name, value in ({"model": "mini", "input": "a"} | body).items() if value is not ...}
    answer = model_server.client.post("/v1/embeddings", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    assert says.format(repr(body.get("model"))) in error["message"]
