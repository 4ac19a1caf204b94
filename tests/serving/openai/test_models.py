"""``GET /v1/models`` lists the two names of the model and what they embed."""

from __future__ import annotations


def test_both_names(model_server):
    answer = model_server.client.get("/v1/models").json()
    assert answer["object"] == "list"
    assert answer["data"][0] == {
        "id": "mini",
        "object": "model",
        "created": 0,
        "owned_by": "bmretriever",
        "input_type": "passage",
        "dimensions": 576,
        "max_tokens": 512,
    }
    assert answer["data"][1] == answer["data"][0] | {"id": "mini-query", "input_type": "query"}
    for model in answer["data"]:
        assert model_server.client.get(f"/v1/models/{model['id']}").json() == model


def test_other_names(model_server):
    for name in ("text-embedding-3-small", "a/b", "%2e%2e"):
        answer = model_server.client.get(f"/v1/models/{name}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert "name 'mini' to embed passages" in answer.json()["error"]["message"]


def test_the_description_of_the_interface(model_server):
    paths = model_server.client.get("/openapi.json").json()["paths"]
    for path, required in (("/v1/embeddings", ["model", "input"]), ("/embed", ["inputs", "prompt_name"])):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert content["schema"]["required"] == required
        assert set(required) <= content["example"].keys() <= content["schema"]["properties"].keys()
    assert {"/v1/models", "/v1/models/{model}", "/info"} <= paths.keys()
