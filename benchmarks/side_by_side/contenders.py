"""Who is measured: this engine, and what a user would otherwise run. Each gets the template, so that all vectors are equal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, query_prompt
from side_by_side.texts import Passage

Vectors = NDArray[np.float32]
QUERY_PREFIX = query_prompt(DEFAULT_INSTRUCTION, "")


class Contender(ABC):
    """One way to embed. ``checkpoint`` is a folder as the released ones, ``exported`` the one for sentence-transformers."""

    label: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    """Modules that must be installed."""
    cases: ClassVar[tuple[str, ...]] = ("passages", "queries", "one-query")
    """In which it takes part."""
    one_by_one: ClassVar[bool] = False
    """Whether a user has to give it queries one at a time."""

    @abstractmethod
    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:
        """Load the model."""

    @abstractmethod
    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """Embed titles and texts. *Shape:* (n, width) float32."""

    @abstractmethod
    def queries(self, texts: Sequence[str]) -> Vectors:
        """Embed queries. *Shape:* (n, width) float32."""

    def networks(self) -> list[torch.nn.Module]:
        """Its networks, whose equal weights contenders may share; none of ours."""
        return []

    def settings(self) -> dict[str, Any]:
        """What was chosen, for the record."""
        return {}

    def dtype(self) -> str:
        """Number type that it computes in."""
        return str(next(self.networks()[0].parameters()).dtype).removeprefix("torch.")

    def tune(self, run: Callable[[], Vectors], sizes: Sequence[int]) -> None:  # noqa: B027  # most have nothing to find
        """Find the best settings for what is to be measured, if it has any to find."""

    def like(self, other: Contender) -> None:  # noqa: B027
        """Take over what another of the same kind found."""

    def close(self) -> None:
        """Let the weights go, whoever may hold the network yet: Haystack keeps every one that it ever loaded."""
        for network in self.networks():
            network.to("meta")


class Ours(Contender):
    """The engine as it is by default, warmed up as its documentation says; what that cost is in the record."""

    label = "bmretriever-integrations"

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        self.encoder = BMRetrieverEncoder(checkpoint, device=device, dtype=dtype, local_files_only=True)
        self.warmed = self.encoder.warm_up()

    def passages(self, passages: Sequence[Passage]) -> Vectors:
        """By ``encode_passages``."""
        return self.encoder.encode_passages([text for _, text in passages], [title for title, _ in passages])

    def queries(self, texts: Sequence[str]) -> Vectors:
        """By ``encode_queries``."""
        return self.encoder.encode_queries(texts)

    def settings(self) -> dict[str, Any]:
        """What the engine chose, without the folder's name."""
        return {"engine": repr(self.encoder).split(", ", 1)[1], "warm_up_seconds": dict(self.warmed.steps)}

    def dtype(self) -> str:
        """Of its weights."""
        return str(self.encoder.dtype).removeprefix("torch.")

    def close(self) -> None:
        """As a user would."""
        self.encoder.close()


class OursInt8(Ours):
    """The engine with weights of 8 bits, which few tokens at a time gain from most."""

    label = "bmretriever-integrations, int8"
    cases = ("queries", "one-query")

    def __init__(self, checkpoint: Path, exported: Path, device: str, dtype: str) -> None:  # noqa: ARG002
        self.encoder = BMRetrieverEncoder(checkpoint, device=device, quantization="int8", local_files_only=True)
        self.warmed = self.encoder.warm_up()

    def dtype(self) -> str:
        """Of the layers' weights, in which nearly all work is done."""
        return "int8"


def installed(kind: type[Contender]) -> bool:
    """
    Tell whether everything that a contender needs is installed.

    :param kind: the class of contender.
    """
    try:
        return all(find_spec(module) is not None for module in kind.needs)
    except ModuleNotFoundError:  # of a parent package
        return False
