"""Who imports whom: the package is light, parts import lower levels only, each integration reaches its own framework alone."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bmretriever_integrations

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGE = "bmretriever_integrations"
COMPONENTS = "haystack_integrations/components/embedders/bmretriever/"
FRAMEWORKS = (
    "haystack",
    "llama_index",
    "sentence_transformers",
    "faiss",
    "chromadb",
    "qdrant_client",
    "datasets",
    "peft",
    "bm25s",
    "ray",
    "torchao",
    "lancedb",
    "langchain_core",
)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light_and_reaches_no_framework():
    code = (
        "import sys; before = set(sys.modules); import bmretriever_integrations; new = set(sys.modules) - before; "
        "print(sorted(name for name in new if name.partition('.')[0] not in sys.stdlib_module_names))"
    )  # nothing else is imported, so it is quick on any machine
    assert run(code) == "['bmretriever_integrations', 'bmretriever_integrations.versions']"


@pytest.mark.parametrize(
    "module",
    [
        "encoder",
        "corpus",
        "index.search",
        "checkpoints",
        "encoder.sharing",
        "stores",
        "cli",
        "testing",
        "parallel",
        "ray_data",
    ],
)
def test_core_works_with_every_framework_blocked(module):
    blocked = f"import sys; [sys.modules.__setitem__(name, None) for name in {FRAMEWORKS}]; "
    run(blocked + f"import bmretriever_integrations.{module}")


@pytest.mark.parametrize(
    ("own", "modules"),
    [
        (
            "haystack",
            "haystack_integrations.components.embedders.bmretriever, "
            "haystack_integrations.components.retrievers.bmretriever, bmretriever_integrations.haystack",
        ),
        ("llama_index", "bmretriever_integrations.llama_index"),
        ("langchain_core", "bmretriever_integrations.langchain"),
    ],
)
def test_an_integration_reaches_its_own_framework_alone(own, modules):
    pytest.importorskip(own)
    others = tuple(name for name in FRAMEWORKS if name != own)
    run(f"import sys; [sys.modules.__setitem__(name, None) for name in {others}]; import {modules}")


def test_exported_names_exist_and_unknown_ones_say_what_there_is():
    for name in bmretriever_integrations.__all__:
        assert getattr(bmretriever_integrations, name) is not None
    assert dir(bmretriever_integrations) == sorted(bmretriever_integrations.__all__)
    with pytest.raises(AttributeError, match=r"it has .*BMRetrieverEncoder"):
        bmretriever_integrations.Encoder  # noqa: B018


def modules():
    """Dotted name -> file, of all our modules."""
    paths = SOURCE.rglob("*.py")
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imported(path):
    """The modules of ours that a file imports anywhere in it, but not for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def part(module):
    """As docs/architecture.md writes it."""
    path = MODULES[module].relative_to(SOURCE)
    if path.parts[0] != PACKAGE:
        return f"{path.parent.as_posix()}/"
    return f"{path.parts[1]}/" if len(path.parts) > 2 else path.name


def levels():
    """The table of docs/architecture.md: part -> level."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return {name: int(level) for level, name in re.findall(r"^\| (\d+) \| `([^`]+)` \|", page, re.MULTILINE)}


def test_page_names_every_part_and_none_that_is_not_there():
    assert set(levels()) == {part(module) for module in MODULES}


def test_every_path_of_the_page_is_there():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+(?:/|\.py))`", page))
    assert len(named) > 30
    for name in named:
        assert any((parent / name).exists() for parent in (SOURCE / PACKAGE, SOURCE, ROOT)), f"there is no {name}"


def test_the_larger_parts_are_divided_as_the_page_says():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for parent in ("evaluation", "training"):
        inner = {path.parent.name for path in (SOURCE / PACKAGE / parent).glob("*/__init__.py")}
        assert inner == set(re.findall(rf"`{parent}/(\w+)/`", page))


def test_a_part_imports_lower_levels_only():
    level = levels()
    wrong = {
        f"{part(module)} (level {level[part(module)]}) imports {part(target)} (level {level[part(target)]}) in {module}"
        for module, path in MODULES.items()
        for target in imported(path)
        if part(target) != part(module) and {part(module), part(target)} <= set(level)
        if level[part(target)] >= level[part(module)]
    }
    assert not wrong, "\n".join(sorted(wrong))


def test_no_module_imports_itself_by_way_of_others():
    arrows = {module: sorted(set(imported(path)) - {module}) for module, path in MODULES.items()}
    done: set[str] = set()

    def follow(module, way):
        assert module not in way, " imports ".join([*way[way.index(module) :], module])
        if module not in done:
            for target in arrows[module]:
                follow(target, [*way, module])
            done.add(module)

    for module in arrows:
        follow(module, [])
