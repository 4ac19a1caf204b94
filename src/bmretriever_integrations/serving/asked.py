"""What a request asks for, as the log and the counts tell it: its route, and the texts that were admitted."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from starlette.types import Scope

NO_ROUTE = "none"
"""Stands for the route of a request that leads nowhere or was refused before; the address itself is told to nobody."""


@dataclass
class Asked:
    """The texts of one request."""

    texts: list[str] = field(default_factory=list)
    """Questions and texts to embed."""
    cut: int = 0
    """How many of them the model does not read to their end."""


_current: ContextVar[Asked | None] = ContextVar("asked", default=None)


def begin() -> Asked:
    """Begin to note what is asked for in this task and in those that it starts."""
    asked = Asked()
    _current.set(asked)
    return asked


def note(texts: Sequence[str], cut: int) -> None:
    """
    Add texts to the request of this task, if there is one.

    :param texts: the texts.
    :param cut: how many of them are cut.
    """
    asked = _current.get()
    if asked is not None:
        asked.texts += texts
        asked.cut += cut


def route_of(scope: Scope) -> str:
    """
    Return the address of a request as its route has it, with a name where an id was.

    :param scope: the request, once it was answered.
    """
    if (route := scope.get("route")) is not None:  # FastAPI's; that of Starlette leaves no trace but the endpoint
        return str(route.path)
    return scope["path"] if "endpoint" in scope and not scope["path_params"] else NO_ROUTE
