"""What the server may be told, and the bounds of what it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that the server takes. A request beyond one of them is refused with a status that says which."""

    body_bytes: int = 16 * 2**20
    """Bytes of a request's body."""
    texts: int = 2048
    """Texts of one request to embed; OpenAI's own limit."""
    text_tokens: int = 8192
    """Tokens of one text, template included; OpenAI's own limit. What the model cannot read is cut, and the answer says so."""
    questions: int = 100
    """Questions of one batch of searches."""
    top_k: int = 1000
    """Hits of one question."""
    hits: int = 10_000
    """Hits of one batch of searches: about 40 MB of abstracts."""
    waiting: int = 4096
    """Texts that wait to be embedded, over all requests. Further ones are told to come again."""
    searches: int = 256
    """Searches that wait for the index, read it, or are being written. Further ones are told to come again."""
    hits_waiting: int = 50_000
    """Hits of the large ones among them, those for more than 500: five of the largest batches. Further large ones are told to
    come again; small ones pass them. A question counts for 100 hits at least, the candidates that are read for it."""
    connections: int = 1024
    """Open connections."""
    header_seconds: float = 10.0
    """Seconds in which the head of a request has to arrive."""
    body_seconds: float = 60.0
    """Seconds in which its body has to arrive."""
    stall_seconds: float = 60.0
    """Seconds after which a client that takes nothing of its answer is cut off."""
    stop_seconds: float = 60.0
    """Seconds for which a stopping server goes on with what it has accepted."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the server listens, and whom it answers."""

    host: str = "127.0.0.1"
    """The address that it listens on. The default is reached from this machine alone."""
    port: int = 8080
    """0 lets the system choose one."""
    api_key: str | None = field(default=None, repr=False)
    """What clients have to send as ``Authorization: Bearer KEY``; None for no key."""
    hosts: tuple[str, ...] = ()
    """Further names of this server that requests may be addressed to, such as the one that a proxy passes on."""
    origins: tuple[str, ...] = ()
    """Origins of web pages elsewhere that browsers may let read the answers; none by default."""
    log_texts: bool = False
    """Write questions and texts into the log."""
    limits: Limits = field(default_factory=Limits)
