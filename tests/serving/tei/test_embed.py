"""``POST /embed`` and ``GET /info`` speak as text-embeddings-inference does, and errors have its form."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder

TEXTS = ["Does metformin lower the risk of cancer?", "aspirin", ""]
LONG = "word " * 600


def ask(server, **body):
    answer = server.client.post("/embed", json=body)
    assert answer.status_code == 200, answer.text
    return np.array(answer.json(), np.float32)


def refused(server, **body):
    answer = server.client.post("/embed", json=body)
    assert answer.json().keys() == {"error", "error_type"}
    return answer.status_code, answer.json()["error_type"], answer.json()["error"]


def test_the_prompts_name_says_what_texts_are(model_server, mini, assert_same):
    for name, encode in (("query", mini.encode_queries), ("passage", mini.encode_passages)):
        assert_same(ask(model_server, inputs=TEXTS, prompt_name=name), encode(TEXTS))
        found = ask(model_server, inputs=TEXTS[0], prompt_name=name)
        assert_same(found, encode(TEXTS[:1]))


def test_vectors_are_scaled_where_the_request_or_the_engine_says_so(model_server, serve_model, mini, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", normalize=True) as engine, serve_model(encoder=engine) as other:
        scaled, plain = engine.encode_queries(TEXTS), mini.encode_queries(TEXTS)
        for server, normalize, right in (
            (model_server, None, plain),
            (model_server, False, plain),
            (model_server, True, scaled),
            (other, None, scaled),
            (other, False, plain),
        ):
            found = ask(server, inputs=TEXTS, prompt_name="query", normalize=normalize)
            assert_same(found, right)
        assert other.client.get("/info").json()["normalize"]


def test_fewer_dimensions(model_server, assert_same):
    with BMRetrieverEncoder("mini", device="cpu", truncate_dim=50, normalize=True) as engine:
        right = engine.encode_passages(TEXTS)
    found = ask(model_server, inputs=TEXTS, prompt_name="passage", dimensions=50, normalize=True)
    assert_same(found, right)


@pytest.mark.parametrize("direction", [None, "right", "Right"])
def test_long_texts_are_cut_where_the_request_says_so(model_server, mini, direction, assert_same):
    status, kind, message = refused(model_server, inputs=["a", LONG], prompt_name="passage")
    assert (status, kind) == (413, "Validation")
    assert "inputs[1] has " in message
    assert "tokens, template included, and the model reads 512" in message
    found = ask(model_server, inputs=[LONG], prompt_name="passage", truncate=True, truncation_direction=direction)
    assert_same(found, mini.encode_passages([LONG]))


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (
            {"prompt_name": ...},
            422,
            "'prompt_name' is missing; send prompt_name 'query' or 'passage'. A client that cannot",
        ),
        ({"prompt_name": ...}, 422, "/v1/embeddings: name 'mini' to embed passages and 'mini-query' to embed queries"),
        ({"prompt_name": None}, 422, "send prompt_name 'query' or 'passage'"),
        ({"prompt_name": "document"}, 422, "'query' or 'passage'; given: 'document'"),
        ({"truncation_direction": "left"}, 422, "'right' or 'Right'; given: 'left'"),
        ({"inputs": [1, 2]}, 422, "inputs: these are token ids"),
        ({"inputs": []}, 422, "inputs is empty"),
        ({"inputs": ...}, 422, "the field 'inputs' is missing"),
        ({"dimensions": 577}, 422, "dimensions is 577; it may be 1 to 576"),
        (
            {"normalise": True},
            422,
            "there is no field 'normalise'; the fields are: inputs, prompt_name, truncate, normalize",
        ),
        ({"inputs": ["a"] * 2049}, 413, "2,049 texts; a request may have 2,048"),
        ({"inputs": "word " * 9000, "truncate": True}, 413, "may have 8,192 tokens"),
    ],
)
def test_what_is_refused_and_how_to_say_it(model_server, body, status, says):
    body = {name: value for name, value in ({"inputs": "a", "prompt_name": "query"} | body).items() if value is not ...}
    found, kind, message = refused(model_server, **body)
    assert (found, kind) == (status, "Validation")
    assert says in message


def test_json_that_is_none(model_server):
    answer = model_server.client.post("/embed", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Validation")
    assert answer.json()["error"].startswith("the body is no valid JSON")


def test_what_is_told_of_the_model(model_server, mini):
    assert model_server.client.get("/info").json() == {
        "model_id": "mini",
        "model_dtype": str(mini.dtype).removeprefix("torch."),
        "model_type": {"embedding": {"pooling": "last_token"}},
        "max_concurrent_requests": model_server.service.limits.waiting,
        "max_input_length": 512,
        "max_batch_tokens": model_server.service.embedder.encoder.max_batch_tokens,
        "max_client_batch_size": 2048,
        "auto_truncate": False,
        "prompt_names": ["query", "passage"],
        "dimensions": 576,
        "normalize": False,
    }
