"""Turn texts into vectors. :class:`BMRetrieverEncoder` calls the steps in order: texts, tokens, batches, network, vectors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bmretriever_integrations.checkpoints.garbage import collection_paused

if TYPE_CHECKING:
    from bmretriever_integrations.encoder.cut_texts import CutTextWarning
    from bmretriever_integrations.encoder.encoder import BMRetrieverEncoder
    from bmretriever_integrations.encoder.passage_counter import PassageCounter
    from bmretriever_integrations.encoder.warm_up import WarmUp

__all__ = ["BMRetrieverEncoder", "CutTextWarning", "PassageCounter", "WarmUp"]


def __getattr__(name: str) -> Any:  # so that torch is imported only when the class is used
    homes = {
        "BMRetrieverEncoder": "encoder",
        "CutTextWarning": "cut_texts",
        "PassageCounter": "passage_counter",
        "WarmUp": "warm_up",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    with collection_paused():
        return getattr(importlib.import_module(f"{__name__}.{homes[name]}"), name)
