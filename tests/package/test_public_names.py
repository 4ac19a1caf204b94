"""docs/api.md says what is public; this compares it with what imports show, and with what the documentation imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import bmretriever_integrations
from bmretriever_integrations.cli import COMMANDS

ROOT = Path(__file__).parents[2]
OURS = ("bmretriever_integrations", "haystack_integrations.components.embedders.bmretriever")
HEADING = re.compile(r"^### `([\w.]+)`$", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
PYTHON = re.compile(r"^```(?:python|text)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def public_names():
    """Module -> the names that the page lists for it."""
    _, *parts = HEADING.split((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    bodies = (re.split(r"^##+ ", body, maxsplit=1, flags=re.MULTILINE)[0] for body in parts[1::2])
    return {module: ROW.findall(body) for module, body in zip(parts[::2], bodies, strict=True)}


PUBLIC = public_names()


def packages():
    """Every package of ours with an ``__all__``."""
    yield bmretriever_integrations.__name__
    for found in pkgutil.walk_packages(bmretriever_integrations.__path__, "bmretriever_integrations."):
        if found.ispkg and hasattr(importlib.import_module(found.name), "__all__"):
            yield found.name


@pytest.mark.parametrize("module", PUBLIC)
def test_the_names_of_the_page_are_those_of_the_module(module):
    opened = importlib.import_module(module)
    assert len(PUBLIC[module]) == len(set(PUBLIC[module])) > 0
    for name in PUBLIC[module]:
        assert hasattr(opened, name), f"{module} has no {name}"
    if hasattr(opened, "__all__"):
        assert sorted(PUBLIC[module]) == sorted(opened.__all__)


def test_every_package_that_says_what_it_exports_is_on_the_page():
    assert set(packages()) <= set(PUBLIC)


def test_a_name_means_one_thing_in_each_framework():
    meanings: dict[tuple[str, str], list[object]] = {}
    for module, names in PUBLIC.items():
        framework = next((one for one in ("haystack", "llama_index", "langchain") if one in module), "")
        for name in names:
            meanings.setdefault((name, framework), []).append(getattr(importlib.import_module(module), name))
    for (name, _framework), objects in meanings.items():
        assert all(one is objects[0] for one in objects), f"{name} is public with two meanings"


def test_what_is_public_says_what_it_is():
    for module, names in PUBLIC.items():
        for name in names:
            found = getattr(importlib.import_module(module), name)
            if inspect.isclass(found) or inspect.isfunction(found):
                assert inspect.getdoc(found), f"{module}.{name} has no docstring"


def imports_of_ours(code):
    """Module and name of each import of ours in Python code; of a block that is no Python, those of its lines that are."""
    try:
        statements = list(ast.walk(ast.parse(code)))
    except SyntaxError:
        lines = re.findall(r"^(?:from|import) .*", code, re.MULTILINE)
        statements = [node for line in lines for node in ast.walk(ast.parse(line))]
    for node in statements:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
            yield from ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.startswith(OURS))


def code_that_users_read():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for code in PYTHON.findall(page.read_text(encoding="utf-8")):
            yield page, code
    for example in sorted((ROOT / "examples").glob("*.py")):
        yield example, example.read_text(encoding="utf-8")


def test_documentation_and_examples_import_public_names_only():
    found = [(path, *used) for path, code in code_that_users_read() for used in imports_of_ours(code)]
    assert len(found) >= 40
    for path, module, name in found:
        where = f"{path.relative_to(ROOT)} imports {name or ''} from {module}"
        assert module in PUBLIC, where
        assert name is None or name in PUBLIC[module], where


def test_reference_describes_what_is_public_and_nothing_else():
    text = "\n".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "api").glob("*.md")))
    described = []
    for path in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE):
        module, name = path.rsplit(".", 1)
        assert name in PUBLIC.get(module, ()), f"{path} is described and is not public"
        described.append(getattr(importlib.import_module(module), name))
    for module, names in PUBLIC.items():
        for name in names:
            found = getattr(importlib.import_module(module), name)
            if inspect.isclass(found) or inspect.isfunction(found):
                assert any(found is one for one in described), f"{module}.{name} is public and not described"


def test_commands_of_the_page_are_those_of_the_program():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `bmretriever ([\w-]+)` \|", page, re.MULTILINE) == list(COMMANDS)
