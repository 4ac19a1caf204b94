"""This package's version, and those of the packages that decide a result beside it."""

from __future__ import annotations

from collections.abc import Iterable

NAME = "bmretriever-integrations"
VERSION = "0.1.0"
MADE_BY = f"{NAME} {VERSION}"
"""What a written file says of its maker."""
OF_VECTORS = ("tokenizers", "torch", "transformers")
"""Packages that take part in making a vector."""


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """
    Name versions, for a record of how something was made.

    :param packages: names as they are installed; this package's own is :data:`NAME`, whose version is the code's, not that of
        an older installation.
    :returns: name -> version, in the order given.
    :raises PackageNotFoundError: if one is not installed.
    """
    from importlib.metadata import version  # takes longer to import than the rest of the package

    return {package: VERSION if package == NAME else version(package) for package in packages}
