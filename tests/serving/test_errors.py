"""The type of an error tells whether the request or the server is at fault."""

from __future__ import annotations

import pytest

from bmretriever_integrations.serving.errors import ApiError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "authentication_error"),
        (404, "not_found_error"),
        (408, "timeout_error"),
        *((status, "invalid_request_error") for status in (400, 405, 406, 409, 411, 413, 415, 421, 422, 431, 499)),
        (503, "overloaded_error"),
        *((status, "server_error") for status in (500, 501, 505)),
    ],
)
def test_the_type_of_an_error(status, kind):
    error = ApiError(status, "no", param="top_k", code="invalid_value")
    assert error.body() == {"error": {"message": "no", "type": kind, "param": "top_k", "code": "invalid_value"}}


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("DELETE", "/health", 405, "method_not_allowed", "'/health' has no DELETE"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed", "'/v1/embeddings' has no GET"),
        ("GET", "/v1/chat", 404, "unknown_url", "there is nothing at '/v1/chat'"),
    ],
)
def test_what_no_route_takes_is_an_error_of_the_request(server, method, path, status, code, message):
    answer = server.client.request(method, path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (status, code, message)
    assert error["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
