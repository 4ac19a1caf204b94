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


def test_a_method_that_a_route_does_not_have_is_an_error_of_the_request(server):
    answer = server.client.delete("/health")
    assert (answer.status_code, answer.json()["error"]["type"]) == (405, "invalid_request_error")
