"""The routes that search the index and read its records."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from bmretriever_integrations.serving.errors import INVALID, ApiError
from bmretriever_integrations.serving.forms import form_of
from bmretriever_integrations.serving.openapi import answered, documented, in_path
from bmretriever_integrations.serving.search import Searcher
from bmretriever_integrations.serving.search_answers import CSV, RIS, json_of, plain_record, response_of
from bmretriever_integrations.serving.search_examples import ANSWER, BATCH, CONTENTS, QUESTION, RECORD
from bmretriever_integrations.serving.search_forms import BatchForm, SearchForm
from bmretriever_integrations.serving.service import Service

WITHOUT_INDEX = "this server has embeddings only and no index; `bmretriever serve DIR` starts one that has"
PATHS = ("/search", "/search/batch", "/records/{record_id:path}", "/index", "/mcp")


def search_routes(service: Service) -> APIRouter:
    """
    Make the routes of searches; without an index they say that there is none.

    :param service: the model and the index.
    """
    router = APIRouter(tags=["search"])
    if service.searcher is None:
        for path in PATHS:
            router.add_api_route(path, _no_index, methods=["GET", "POST"], include_in_schema=False)
        return router
    routes = _Routes(service, service.searcher)
    add = router.add_api_route
    add(
        "/search",
        operation_id="search",
        endpoint=routes.search,
        methods=["POST"],
        openapi_extra=documented(SearchForm, QUESTION),
        responses=answered("the hits, best first", ANSWER, RIS, CSV),
    )
    add(
        "/search/batch",
        operation_id="search_batch",
        endpoint=routes.batch,
        methods=["POST"],
        openapi_extra=documented(BatchForm, BATCH),
        responses=answered("the answers, in the order of the questions", {"answers": [ANSWER]}, RIS, CSV),
    )
    add(
        "/records/{record_id:path}",
        operation_id="get_record",
        endpoint=routes.record,
        methods=["GET"],
        openapi_extra=in_path("record_id", "the id, percent-encoded", RECORD["id"]),
        responses=answered("the record", RECORD),
    )
    add(
        "/index",
        operation_id="get_index",
        endpoint=routes.contents,
        methods=["GET"],
        responses=answered("what the index holds", CONTENTS),
    )
    return router


async def _no_index() -> Response:
    raise ApiError(404, WITHOUT_INDEX, code="no_index")


class _Routes:
    """What each route does. Texts are looked through on threads, so that a long answer does not hold up others."""

    def __init__(self, service: Service, searcher: Searcher) -> None:
        self._service, self._searcher = service, searcher

    async def search(self, request: Request) -> Response:
        """Find the records that answer a question, or that are like a record."""
        form = await form_of(request, SearchForm)
        options = form.options()
        write = partial(response_of, form=form.format, several=False, instruction=form.instruction is not None)
        if form.like is not None:
            return await self._searcher.like_written(form.like, options, lambda found: write([found]))
        return await self._searcher.written([form.question or ""], options, write, several=False)

    async def batch(self, request: Request) -> Response:
        """Answer several questions in the same way."""
        form = await form_of(request, BatchForm)
        self._check(form)
        write = partial(response_of, form=form.format, several=True, instruction=form.instruction is not None)
        return await self._searcher.written(form.questions, form.options(), write, several=True)

    def _check(self, form: BatchForm) -> None:
        limits, count = self._service.limits, len(form.questions)
        if not count:
            raise ApiError(400, "questions is empty; give one or more", param="questions", code=INVALID)
        if count > limits.questions:
            message = f"questions has {count:,}; a request may have {limits.questions:,}: send several"
            raise ApiError(413, message, param="questions", code="too_many_questions")
        if count * form.top_k > limits.hits:
            message = (
                f"{count:,} questions with top_k {form.top_k:,} ask for {count * form.top_k:,} hits; a request may ask for "
                f"{limits.hits:,}: send several"
            )
            raise ApiError(413, message, param="top_k", code="too_many_hits")

    async def record(self, request: Request) -> Response:
        """Read a record."""
        (record,) = await self._searcher.records([request.path_params["record_id"]])
        return json_of(plain_record(record))

    async def contents(self) -> Response:
        """Say what the index holds, and which model made its vectors."""
        contents, tuned = await self._searcher.contents()
        return json_of(
            {
                "name": self._service.index_name,
                "records": contents.records,
                "retracted": contents.retracted,
                "years": contents.years,
                "model": self._service.names.passages,
                "tuned": tuned,
            }
        )
