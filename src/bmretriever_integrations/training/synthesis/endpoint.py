"""Any server that speaks the OpenAI chat-completions protocol: a vendor's, vLLM, llama.cpp, Ollama, LM Studio."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any

from bmretriever_integrations.training.synthesis.generators import Answer, Failure, Request
from bmretriever_integrations.training.synthesis.redaction import public_address, redact, secrets_of, shown

UNUSED_KEY = "none"
"""Key that is sent where no key variable is named: local servers need none, but the client library requires one."""

LEAST_SECRET = 12
"""Fewest characters of a secret that is hidden in an answer: shorter ones ("ollama") are no secrets, but may be words."""


class EndpointGenerator:
    """
    Gets answers from an OpenAI-compatible endpoint.

    After status 429 or 5xx or a broken connection the ``openai`` client tries again, with exponential back-off and the
    server's Retry-After.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        key_variable: str | None = None,
        temperature: float = 1.0,
        max_tokens: int = 1024,
        json_mode: bool = True,
        concurrency: int = 8,
        retries: int = 6,
        timeout: float = 120.0,
    ) -> None:
        """
        :param model: name of the model at the endpoint.
        :param base_url: e.g. ``http://localhost:8000/v1``.
        :param key_variable: environment variable that holds the API key; the key itself is never written anywhere. None is
            for servers that need no key.
        :param temperature: sampling temperature; 0 always takes the likeliest token.
        :param max_tokens: most tokens of an answer.
        :param json_mode: whether to ask for ``response_format: json_object``; if the server refuses it, it is left out from then
            on.
        :param concurrency: most requests that wait for an answer at the same time.
        :param retries: how often the client tries a request again.
        :param timeout: seconds that one try may take.
        :raises ValueError: if the variable is not set or holds no key, or a number is out of range.
        """
        from openai import OpenAI

        for name, value, least in (
            ("concurrency", concurrency, 1),
            ("max_tokens", max_tokens, 1),
            ("temperature", temperature, 0),
        ):
            if value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        key = UNUSED_KEY if key_variable is None else os.environ.get(key_variable, "")
        if not key:
            raise ValueError(f"the environment variable {key_variable} holds no API key: export {key_variable}=...")
        if not key.isascii() or key.split() != [key]:
            raise ValueError(
                f"the environment variable {key_variable} holds white space or characters that no API key has"
            )
        self._address = public_address(base_url)
        self._secrets = [*secrets_of(base_url), *([] if key_variable is None else [key])]
        self._client = OpenAI(api_key=key, base_url=base_url, max_retries=retries, timeout=timeout)
        self._model = model
        self._sampling = {"temperature": temperature, "max_tokens": max_tokens}
        self._json_mode = self._ask_json = json_mode
        self._concurrency = concurrency

    @property
    def name(self) -> str:
        """Return the model's name."""
        return self._model

    @property
    def settings(self) -> dict[str, object]:
        """Return model, sampling and JSON mode; not the address, for the same model may get another one."""
        return {"model": self._model, **self._sampling, "json_mode": self._json_mode}

    def answers(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Answer | Failure]]:
        """
        Answer requests, several at the same time.

        :param requests: read no faster than they are sent.
        :raises PermissionError: if the server refuses the key, or knows no such model.
        """
        waiting = iter(requests)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="synthesis")
        running: dict[Future[Answer | Failure], Request] = {}
        try:
            while True:
                for request in islice(waiting, self._concurrency - len(running)):
                    running[pool.submit(self._ask, request)] = request
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _ask(self, request: Request) -> Answer | Failure:
        import openai

        try:
            return self._read(self._send(request))
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
            said = shown(str(error), self._secrets)
            raise PermissionError(
                f"{self._address} refuses model {self._model!r}: {said}"
            ) from None  # it may hold the key
        except openai.APIStatusError as error:
            return Failure(f"server status {error.status_code}", shown(error.message, self._secrets))
        except openai.APITimeoutError:
            return Failure("no answer in time")
        except openai.APIConnectionError:
            return Failure("no connection")
        except (openai.APIResponseValidationError, ValueError):
            return Failure("no chat completion in the server's answer")

    def _send(self, request: Request) -> Any:
        import openai

        settings: dict[str, Any] = {"model": self._model, "seed": request.seed, **self._sampling}
        create: Any = self._client.chat.completions.create
        if self._ask_json:
            try:
                return create(messages=list(request.messages), response_format={"type": "json_object"}, **settings)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "response_format" not in str(error) and "json" not in str(error).lower():
                    raise
                self._ask_json = False
        return create(messages=list(request.messages), **settings)

    def _read(self, completion: Any) -> Answer | Failure:
        choices = getattr(completion, "choices", None)
        if not choices or choices[0].message is None:
            return Failure("no chat completion in the server's answer")
        text = (choices[0].message.content or "").encode("utf-8", "replace").decode("utf-8")
        usage = completion.usage
        return Answer(
            text=redact(text, [secret for secret in self._secrets if len(secret) >= LEAST_SECRET]),
            truncated=choices[0].finish_reason == "length",
            prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
            completion_tokens=_count(getattr(usage, "completion_tokens", None)),
        )


def _count(reported: Any) -> int:
    """Give a reported number of tokens, 0 if it is none."""
    return reported if isinstance(reported, int) and reported > 0 else 0
