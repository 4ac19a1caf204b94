"""The routes that clients of OpenAI call."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from bmretriever_integrations.serving.answers import answer
from bmretriever_integrations.serving.errors import ApiError
from bmretriever_integrations.serving.forms import form_of
from bmretriever_integrations.serving.json_response import JsonResponse
from bmretriever_integrations.serving.openai.examples import ANSWER, MODEL, MODELS, REQUEST
from bmretriever_integrations.serving.openai.forms import EmbeddingsForm
from bmretriever_integrations.serving.openai.layout import layout_of
from bmretriever_integrations.serving.openapi import answered, documented
from bmretriever_integrations.serving.service import Service

CREATED = 0
"""OpenAI's form has the second at which a model was made, which a checkpoint does not say."""


def openai_routes(service: Service) -> APIRouter:
    """
    Make the routes.

    :param service: what they answer from.
    """
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    names, embedder = service.names, service.embedder

    @router.post(
        "/embeddings",
        openapi_extra=documented(EmbeddingsForm, REQUEST),
        responses=answered("the vectors, in the order of the texts", ANSWER),
    )
    async def embeddings(request: Request) -> Response:
        """
        Embed texts. The model's name says whether they are queries or passages.

        An answer has ``cut_texts``, the numbers of texts that the model did not read to their end, if there are any.
        """
        form = await _form_of(request)
        kind = names.kind(form.model, form.input_type)
        embedder.admission.check_dimensions(form.dimensions)
        admitted = await embedder.admission.check(kind, form.input, form.instruction, counted=False)
        return await answer(request, embedder.parts(admitted), len(admitted.texts), layout_of(form, embedder))

    async def _form_of(request: Request) -> EmbeddingsForm:
        try:
            return await form_of(request, EmbeddingsForm)
        except ApiError as error:
            if error.param == "model":
                message = f"{error.message}; {names.ways()}"
                raise ApiError(error.status, message, param="model", code=error.code) from None
            raise

    @router.get("/models", responses=answered("both names", MODELS))
    async def models() -> JsonResponse:
        """List the two names of the model."""
        return JsonResponse({"object": "list", "data": [described(name) for name in (names.passages, names.queries)]})

    @router.get("/models/{model:path}", responses=answered("what it embeds", MODEL))
    async def model(model: str) -> JsonResponse:
        """Describe the model under one of its names."""
        return JsonResponse(described(model))

    def described(name: str) -> dict[str, object]:
        return {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "bmretriever",
            "input_type": names.kind(name),
            "dimensions": embedder.encoder.width,
            "max_tokens": embedder.encoder.settings.max_length,
        }

    return router
