"""Errors that a client is told of, in the form of OpenAI's."""

from __future__ import annotations

from collections.abc import Mapping

from bmretriever_integrations.serving.json_response import JsonResponse

INVALID_REQUEST = "invalid_request_error"
"""The type of an error that the request itself has, unless :data:`TYPES` has a word for it."""
TYPES = {
    400: INVALID_REQUEST,
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    503: "overloaded_error",
}
"""Maps a status to the type of error in the answer, named as in OpenAI's API reference where that has a name for it."""
SERVER_ERROR = "server_error"
"""The type of every other error from status 500 on."""
INVALID = "invalid_value"
"""The code of an error about a field's value; OpenAI's word for it."""


class ApiError(Exception):
    """A request that is not answered. Its message is written for the client and names nothing of this machine."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """
        :param status: the HTTP status.
        :param message: what was given, what is allowed, what to do.
        :param param: the field of the request that it is about.
        :param code: a word for programs, such as ``model_not_found``.
        :param headers: further headers of the answer.
        """
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return the answer in OpenAI's form."""
        kind = TYPES.get(self.status, INVALID_REQUEST if self.status < 500 else SERVER_ERROR)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def answer(self) -> JsonResponse:
        """Return the answer itself."""
        return JsonResponse(self.body(), self.status, self.headers)


def overloaded(what: str, seconds: int) -> ApiError:
    """
    Make the error of a request for which there is no place now.

    :param what: what is full.
    :param seconds: after how many seconds to come again.
    """
    message = f"{what}; try again in {seconds} s (Retry-After)"
    return ApiError(503, message, code="overloaded", headers={"Retry-After": str(seconds)})


INTERNAL = "the server could not answer; its log says why"
"""All that a client is told of an error that is not its own."""
