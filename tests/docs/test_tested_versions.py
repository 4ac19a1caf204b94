"""docs/tested-versions.md says what pyproject.toml asks for and what constraints.txt pins."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    found = importlib.util.spec_from_file_location("tested_versions", ROOT / "docs" / "tested_versions.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(script):
    return script.rows_of(script.PAGE.read_text(encoding="utf-8"))


def test_page_is_what_the_script_makes_of_the_project(script, rows):
    newest = {**script.pins(), "python": rows["python"][2]}
    assert script.page_of(newest, script.lowest()) == script.PAGE.read_text(encoding="utf-8"), (
        "run docs/tested_versions.py"
    )


def test_versions_lie_in_their_ranges(script, rows):
    assert len(rows) > 25
    for name, (wanted, _, *versions) in rows.items():
        for version in versions:
            if version != script.NOT_RUN:
                assert SpecifierSet(wanted).contains(version), f"{name} {version} is not in {wanted}"
