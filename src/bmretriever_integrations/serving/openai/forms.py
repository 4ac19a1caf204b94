"""The body of a request for embeddings, with OpenAI's fields and two of ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bmretriever_integrations.serving.forms import Form
from bmretriever_integrations.serving.names import Kind
from bmretriever_integrations.serving.texts import Texts

Encoding = Literal["float", "base64"]


class EmbeddingsForm(Form):
    """What ``POST /v1/embeddings`` takes."""

    model: str = Field(description="the model's name embeds passages, the name with -query at its end embeds queries")
    input: Texts = Field(description="a text or a list of texts; token ids are refused")
    encoding_format: Encoding | None = Field("float", description="base64: the bytes of float32, little-endian")
    dimensions: int | None = Field(None, ge=1, description="keep so many leading dimensions")
    input_type: Kind | None = Field(None, description="what the texts are, where the model's name does not say it")
    instruction: str | None = Field(None, description="the task of the queries: a task key or a sentence")
    user: str | None = Field(None, description="is accepted and not used")
