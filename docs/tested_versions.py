"""
Write docs/tested-versions.md: each requirement of the package with the versions that the tests ran with.

    .venv/bin/python docs/tested_versions.py

Run it after a change of pyproject.toml, constraints.txt or the lists that `make lowest-versions` writes.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import distributions
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tested-versions.md"
OURS = "bmretriever-integrations"
NOT_RUN = "-"
ROW = re.compile(
    r"^\| ([\w.-]+) \| ([^|]+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE
)
LOWEST = (".ci/lowest.txt", ".ci/lowest-serve.txt", ".ci/lowest-train.txt")
TEXT = """\
# Tested versions

<!-- made by docs/tested_versions.py; change that, not this page -->

The package asks for ranges. All tests run with the newest versions below, which `constraints.txt` pins, and the tests of the
`lowest` column, `make test-lowest`, run with the oldest releases that the ranges allow together: training and the server need
newer ones of some packages than the rest. A dash means that no test ran with the package in that environment. All of it ran
on Linux without a GPU; [Speed](speed.md#what-was-run-and-what-was-not) says what ran on a GPU.

| package | range | extra | newest | lowest |
|---|---|---|---|---|
{rows}
"""


def requirements() -> dict[str, tuple[str, set[str]]]:
    """What users install: name -> range, and the extras that bring it; those of developers alone are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    found: dict[str, tuple[str, set[str]]] = {
        "python": (project["requires-python"], set())
    }
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    for extra, lines in groups.items():
        for requirement in map(Requirement, lines):
            if extra != "dev" and canonicalize_name(requirement.name) != OURS:
                name = canonicalize_name(requirement.name)
                _, extras = found.setdefault(
                    name,
                    (
                        ",".join(sorted(map(str, requirement.specifier), reverse=True)),
                        set(),
                    ),
                )
                extras.update({extra} - {""})
    return found


def pins(file: str = "constraints.txt") -> dict[str, str]:
    """Name -> version, of a list of pinned versions."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    found = [
        Requirement(line) for line in lines if line.strip() and not line.startswith("#")
    ]
    return {
        canonicalize_name(one.name): next(iter(one.specifier)).version for one in found
    }


def lowest() -> dict[str, str]:
    """Name -> the lowest version of its range that tests ran with."""
    ranges = requirements()
    found: dict[str, str] = {}
    for name, version in chain.from_iterable(pins(file).items() for file in LOWEST):
        if name in ranges and SpecifierSet(ranges[name][0]).contains(version):
            found[name] = min(version, found.get(name, version), key=Version)
    return found


def rows_of(page: str) -> dict[str, tuple[str, ...]]:
    """
    Read the table.

    :param page: text of docs/tested-versions.md.
    :returns: name of a package -> range, extras, newest, lowest.
    """
    return {
        name: tuple(map(str.strip, cells))
        for name, *cells in ROW.findall(page)
        if name != "package"
    }


def page_of(newest: Mapping[str, str], lowest: Mapping[str, str]) -> str:
    """
    Make the page.

    :param newest: name -> version in the environment of constraints.txt.
    :param lowest: the same in the environment of the lowest versions.
    """
    rows = [
        f"| {name} | {wanted} | {', '.join(sorted(extras))} | {newest.get(name, NOT_RUN)} | {lowest.get(name, NOT_RUN)} |"
        for name, (wanted, extras) in requirements().items()
    ]
    return TEXT.format(rows="\n".join(rows))


def _named(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Versions without a build's own part, such as "+cpu"."""
    return {
        canonicalize_name(name): version.partition("+")[0] for name, version in found
    }


def main() -> int:
    """Write the page, unless this environment is not that of constraints.txt."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    here = _named((one.name, one.version) for one in distributions())
    pinned = pins()
    wrong = [
        name
        for name in requirements()
        if name in pinned and here.get(name) != pinned[name]
    ]
    if wrong:
        sys.stderr.write(
            f"this environment is not that of constraints.txt: {', '.join(wrong)} differ; run make test\n"
        )
        return 2
    newest = {
        **{name: pinned[name] for name in requirements() if name in pinned},
        "python": platform.python_version(),
    }
    PAGE.write_text(page_of(newest, lowest()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
