"""Every test asserts something, and none reads a name that the package keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCES = sorted((TESTS.parent / "src").rglob("*.py"))
MODULES = sorted(TESTS.rglob("*.py"))
RAISERS = ("pytest.raises", "pytest.warns", "pytest.fail")

NOT_OURS = {
    "_attn_implementation": "a setting of transformers",
    "_get_query_embedding": "LlamaIndex's name of a method that subclasses override",
    "_get_telemetry_data": "Haystack's name, which its telemetry calls",
    "_get_text_embedding": "LlamaIndex's, too",
    "_get_text_embeddings": "LlamaIndex's, too",
}
"""Names that we define because others call them."""


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def asserts(node: ast.AST) -> bool:
    """Whether something in here can fail: an assert, a block that expects an error, or a function named assert_..."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Call):
            name = ast.unparse(inner.func)
            if name in RAISERS or name.rpartition(".")[2].startswith("assert"):
                return True
    return False


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def without_an_assert(tree: ast.Module) -> list[str]:
    """Tests that neither assert nor call a function of their own file that does."""
    asserting = {function.name for function in functions(tree) if asserts(function)}
    return [
        function.name
        for function in functions(tree)
        if function.name.startswith("test")
        and function.name not in asserting
        and not any(isinstance(node, ast.Name) and node.id in asserting for node in ast.walk(function))
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name != "_"


@cache
def private_names() -> frozenset[str]:
    """What the package defines with an underscore in front: functions, classes, variables and attributes."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
    return frozenset(name for name in found if is_private(name) and name not in NOT_OURS)


def names_read(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Attributes of others, imported names, and the last part of a dotted or patched name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        ):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "setattr",
            "delattr",
            "getattr",
        ):
            words = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            yield from ((node.lineno, word.rpartition(".")[2]) for word in words)


def test_the_scan_sees_what_it_should():
    tree = ast.parse(
        "def test_a(): check(1)\ndef test_b(): assert 1\ndef test_c(): helper()\ndef helper(): assert 1\n"
        "def test_d():\n  with pytest.raises(ValueError): f()\nasync def test_e(): np.testing.assert_allclose(1, 1)\n"
    )
    assert without_an_assert(tree) == ["test_a"]
    tree = ast.parse(
        "from a import _b\nself._c\nd._e.f\nmonkeypatch.setattr('a.b._g', 1)\nmonkeypatch.setattr(h, '_i', 1)"
    )
    assert {name for _, name in names_read(tree) if is_private(name)} == {"_b", "_e", "_g", "_i"}
    assert {"_encode", "_lock"} <= private_names()
    assert len(MODULES) > 100


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_every_test_asserts_and_reads_public_names(path):
    tree = tree_of(path)
    assert without_an_assert(tree) == []
    assert [f"line {line}: {name}" for line, name in names_read(tree) if name in private_names()] == []
