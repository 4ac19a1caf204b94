"""Keys and passwords are kept out of reports, ledgers and messages, whatever a server sends back."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit

HIDDEN = "[hidden]"
"""What stands in the place of a secret."""
SHOWN_CHARACTERS = 300
"""Most characters of a server's message that are shown."""
BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+")


def public_address(address: str) -> str:
    """
    Give an address without what may be secret: user, password, query and fragment.

    :param address: the address of a server.
    """
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return SplitResult(parts.scheme, host, parts.path, HIDDEN if parts.query else "", "").geturl()


def secrets_of(address: str) -> list[str]:
    """
    List the secrets that an address holds, in the forms in which a server may send them back.

    :param address: the address of a server.
    """
    parts = urlsplit(address)
    user = parts.netloc.rpartition("@")[0]
    values = [unquote(value) for _, _, value in (pair.partition("=") for pair in parts.query.split("&"))]
    if user:
        name, _, password = user.partition(":")
        plain = f"{unquote(name)}:{unquote(password)}"
        values += [user, unquote(password), plain, base64.b64encode(plain.encode()).decode()]
    return [value for value in values if value]


def redact(text: str, secrets: Iterable[str]) -> str:
    """
    Hide secrets in a text.

    :param text: what a server or a library said.
    :param secrets: what must not be shown.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def shown(text: str, secrets: Iterable[str]) -> str:
    """
    Make a message of a server fit to be shown: one short line, without secrets and without values of Authorization headers.

    :param text: the message.
    :param secrets: what must not be shown.
    """
    line = " ".join(BEARER.sub(rf"\1 {HIDDEN}", redact(text, secrets)).split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]} ..."
