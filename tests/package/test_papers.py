"""CITATION.cff, the changelog and the package's metadata say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from bmretriever_integrations import __version__

ROOT = Path(__file__).parents[2]


def test_citation_names_this_version_and_the_paper():
    yaml = pytest.importorskip("yaml")
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == project["name"]
    assert citation["version"] == __version__
    assert citation["license"] == project["license"]
    paper = citation["preferred-citation"]
    assert paper["title"].startswith("BMRetriever: ")
    assert len(paper["authors"]) == 9
    page = (ROOT / "docs" / "citing.md").read_text(encoding="utf-8")
    assert paper["doi"] in page
    assert re.findall(r"bmretriever-integrations (\d[\d.]*\d)|^    version = \"(.*)\"", page, re.MULTILINE) == [
        (__version__, ""),
        ("", __version__),
    ]
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in page


def test_newest_section_of_the_changelog_is_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == __version__


def test_addresses_of_the_project_are_full_ones():
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
    assert urls
    assert all(address.startswith("https://") for address in urls.values())
