"""The body of a request for embeddings, with the fields of text-embeddings-inference."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmretriever_integrations.serving.forms import Form
from bmretriever_integrations.serving.names import Kind
from bmretriever_integrations.serving.texts import Texts


class EmbedForm(Form):
    """What ``POST /embed`` takes."""

    inputs: Texts = Field(description="a text or a list of texts; token ids are refused")
    prompt_name: Kind = Field(description="what the texts are; their vectors differ")
    truncate: bool | None = Field(
        False, description="embed the beginning of texts that are longer than the model reads"
    )
    normalize: bool | None = Field(
        None,
        description="scale vectors to length 1; null takes the model's own setting. BMRetriever's scores are inner products of "
        "vectors that are not scaled",
    )
    dimensions: int | None = Field(None, ge=1, description="keep so many leading dimensions")
    truncation_direction: Literal["right", "Right"] | None = Field(
        "right", description="which end is cut; the model reads texts from their beginning"
    )
