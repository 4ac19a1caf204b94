"""BMRetriever embeddings for Haystack, LlamaIndex and the command line. All of them use one engine and get the same vectors.

Importing this package imports no framework and not even torch; each name below is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.versions import VERSION

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.parallel.pool import EncoderPool
    from bmretriever_integrations.prompts import TASK_INSTRUCTIONS

__version__ = VERSION
__all__ = ["TASK_INSTRUCTIONS", "BMRetrieverEncoder", "EncoderPool", "__version__"]

_HOMES = {"BMRetrieverEncoder": "encoder", "EncoderPool": "parallel.pool", "TASK_INSTRUCTIONS": "prompts"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
