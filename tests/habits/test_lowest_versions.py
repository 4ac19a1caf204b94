"""The lists of oldest versions that `make test-lowest` installs hold what pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
NAMED = ("haystack", "llama-index", "langchain", "faiss", "chroma", "index", "demo", "evaluation", "train", "serve")
RANGES = [
    line for line in (*PROJECT["dependencies"], *(line for name in NAMED for line in EXTRAS[name])) if "[" not in line
]


def pinned(name: str) -> set[str]:
    """Versions of a package in all lists."""
    lists = "".join(
        (ROOT / ".ci" / file).read_text("utf-8") for file in ("lowest.txt", "lowest-serve.txt", "lowest-train.txt")
    )
    return set(re.findall(rf"^{re.escape(name)}==(\S+)$", lists, re.MULTILINE | re.IGNORECASE))


def test_lancedb_is_the_same_in_all_lists():
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    found = {*pinned("lancedb"), *re.findall(r"^lancedb==(\S+)$", constraints, re.MULTILINE)}
    assert len(found) == 1, f"{found}: take the tests of tests/index back into LOWEST_TESTS of the Makefile"


@pytest.mark.parametrize("requirement", [line for line in RANGES if not line.startswith("torch>")])
def test_the_lowest_version_of_each_range_is_tested(requirement):
    name, lowest = re.match(r"([\w.-]+)[>=]=([\w.]+)", requirement).groups()
    found = pinned(name)
    assert any(f"{version}.".startswith(f"{lowest}.") for version in found), (
        f"pyproject.toml allows {requirement} and the lists have {found or 'none'}: `make lowest-versions`, and where the "
        "lowest does not fit to the others, raise the range"
    )
