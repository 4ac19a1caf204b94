"""The routes that clients of text-embeddings-inference call."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.serving.admission import Admitted
from bmretriever_integrations.serving.answers import Layout, answer
from bmretriever_integrations.serving.embedder import Embedder
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.forms import form_of
from bmretriever_integrations.serving.json_response import JsonResponse, as_json
from bmretriever_integrations.serving.names import KINDS, ModelNames
from bmretriever_integrations.serving.openapi import answered, documented
from bmretriever_integrations.serving.service import Service
from bmretriever_integrations.serving.tei.errors import TeiRoute
from bmretriever_integrations.serving.tei.examples import ANSWER, INFO, REFUSED, REQUEST
from bmretriever_integrations.serving.tei.forms import EmbedForm


def tei_routes(service: Service) -> APIRouter:
    """
    Make the routes.

    :param service: what they answer from.
    """
    router = APIRouter(tags=["text-embeddings-inference"], route_class=TeiRoute)
    names, embedder = service.names, service.embedder

    @router.post(
        "/embed",
        openapi_extra=documented(EmbedForm, REQUEST),
        responses={**answered("the vectors, in the order of the texts", ANSWER), "default": REFUSED},
    )
    async def embed(request: Request) -> Response:
        """
        Embed texts. ``prompt_name`` says whether they are queries or passages.

        Vectors are scaled to length 1 only where ``normalize`` is true or the model does so by itself: BMRetriever's scores
        are inner products of vectors that are not scaled.
        """
        form = await _form_of(request, names)
        embedder.admission.check_dimensions(form.dimensions)
        admitted = await embedder.admission.check(form.prompt_name, form.inputs, field="inputs")
        if admitted.cut and not form.truncate:
            raise _too_long(admitted)
        layout = Layout(b"[", lambda vectors, _first: _rows(form, vectors, embedder), lambda _lengths: b"]")
        return await answer(request, embedder.parts(admitted), len(admitted.texts), layout)

    @router.get("/info", responses=answered("the model", INFO))
    async def info() -> JsonResponse:
        """Describe the model."""
        encoder, limits = embedder.encoder, service.limits
        return JsonResponse(
            {
                "model_id": names.passages,
                "model_dtype": str(encoder.dtype).removeprefix("torch."),
                "model_type": {"embedding": {"pooling": "last_token"}},
                "max_concurrent_requests": limits.waiting,
                "max_input_length": encoder.settings.max_length,
                "max_batch_tokens": encoder.max_batch_tokens,
                "max_client_batch_size": limits.texts,
                "auto_truncate": False,
                "prompt_names": KINDS,
                "dimensions": encoder.width,
                "normalize": encoder.normalize,
            }
        )

    return router


async def _form_of(request: Request, names: ModelNames) -> EmbedForm:
    try:
        return await form_of(request, EmbedForm)
    except ApiError as error:
        if error.param == "prompt_name":
            message = (
                f"{error.message}; send prompt_name 'query' or 'passage'. A client that cannot speaks OpenAI's form with "
                f"/v1/embeddings: {names.ways()}"
            )
            raise ApiError(error.status, message, param="prompt_name", code=error.code) from None
        raise


def _too_long(admitted: Admitted) -> ApiError:
    first = admitted.cut[0]
    message = (
        f"inputs[{first}] has {admitted.lengths[first]:,} tokens, template included, and the model reads "
        f"{admitted.max_length:,}: split it into passages, or send truncate: true to embed its beginning"
    )
    return ApiError(413, message, param="inputs", code="text_too_long")


def _rows(form: EmbedForm, vectors: Vectors, embedder: Embedder) -> bytes:
    return as_json(embedder.finished(vectors, form.dimensions, form.normalize))[1:-1]
