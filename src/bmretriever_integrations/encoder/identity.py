"""Name an engine by the weights that it has loaded and by every setting that changes a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmretriever_integrations.forward.int8_products import weight_name
from bmretriever_integrations.forward.prepacked import matmul_precision

if TYPE_CHECKING:
    from bmretriever_integrations.encoder.encoder import BMRetrieverEncoder


def identity_of(encoder: BMRetrieverEncoder) -> dict[str, Any]:
    """
    Return everything that decides an engine's passage vectors, as plain values for a manifest.

    :param encoder: the engine.
    """
    named = {
        "model": encoder.settings.model,
        "revision": encoder.revision,
        "files_sha256": encoder.fingerprint,
        "max_length": encoder.settings.max_length,
        "dtype": str(encoder.dtype).removeprefix("torch."),
        "width": encoder.width,
        "normalize": encoder.normalize,
    }
    if encoder.dtype == torch.float32 and (precision := matmul_precision()) != "highest":
        named["float32_matmul"] = precision
    # Unquantised engines have no such key, so that their manifests and reports stay equal to those of earlier versions.
    quantization = encoder.settings.quantization
    if quantization is None:
        return named
    named["quantization"] = weight_name(encoder.device.type) if quantization == "int8" else quantization
    return named


def described(encoder: BMRetrieverEncoder) -> str:
    """
    Return what ``repr`` shows of an engine.

    :param encoder: the engine.
    """
    return (
        f"BMRetrieverEncoder({encoder.settings.model!r}, device='{encoder.device}', dtype='{str(encoder.dtype)[6:]}', "
        f"quantization={encoder.settings.quantization!r}, width={encoder.width}, max_length={encoder.settings.max_length}, "
        f"normalize={encoder.normalize}, max_batch_tokens={encoder.max_batch_tokens}, forward={encoder.runner.name!r}, "
        f"instruction={encoder.instruction!r})"
    )
