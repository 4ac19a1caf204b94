"""Know the version of this package and of the other packages that a result depends on."""

from __future__ import annotations

from collections.abc import Iterable

NAME = "bmretriever-integrations"
VERSION = "0.1.0"
MADE_BY = f"{NAME} {VERSION}"
"""The name and version that written files record as their maker."""
OF_VECTORS = ("tokenizers", "torch", "transformers")
"""The packages whose versions decide the vectors."""


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """
    Look up versions, for a record of how something was made.

    :param packages: the names of installed packages. For :data:`NAME`, the version is read from this code and not from the
        installed metadata, which may be older.
    :returns: a dict of names and versions, in the order given.
    :raises PackageNotFoundError: if a package is not installed.
    """
    from importlib.metadata import version  # takes longer to import than the rest of the package

    return {package: VERSION if package == NAME else version(package) for package in packages}
