"""Tell a folder from a URL, and read the parts of a URL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

EXAMPLE = "s3://bucket/papers-index"
SCHEMES = ("s3", "gs", "az")
"""Amazon S3 and whatever speaks its protocol, Google Cloud Storage, Azure Blob Storage."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/+)(.*)", re.DOTALL)  # two letters or more: C:/ is a drive
_IN_BUCKET = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._=+-]+)+")


class Url(NamedTuple):
    """Where an index is on an object store."""

    scheme: str
    bucket: str
    """Of Azure: the container."""
    path: str
    """Bucket and folder, with ``/`` between them."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def url_of(given: str | Path) -> Url | None:
    """
    Read the URL of an index.

    :param given: a folder or a URL.
    :returns: its parts, or None if it is a folder.
    :raises ValueError: if it is a URL where no index can be, or one that was made into a path; says what to give. What may hold
        a password is not repeated.
    """
    found = _URL.fullmatch(str(given))
    if found is None:
        return None
    scheme, slashes, rest = found.group(1).lower(), found.group(2), found.group(3)
    if len(slashes) == 1:
        if scheme not in SCHEMES or Path(f"{scheme}:").is_dir():
            return None
        raise ValueError(f"a URL was made into a path, which joined its slashes: give it as text, as in {EXAMPLE!r}")
    if scheme == "file":
        raise ValueError(f"an index in a folder is named by its path, without file://, got {given!s:.200}")
    if scheme not in SCHEMES:
        others = ", ".join(f"{other}://" for other in SCHEMES)
        raise ValueError(f"an index is in a folder or at {others}, not at {scheme}://")
    path = rest.rstrip("/")
    if _IN_BUCKET.fullmatch(path) is None or {".", ".."}.intersection(path.split("/")):
        raise ValueError(
            f"a URL of an index has a bucket and a folder in it, as in {EXAMPLE}, of letters, digits and . _ - = +; a password "
            "or key does not belong into it"
        )
    return Url(scheme, path.partition("/")[0], path)
