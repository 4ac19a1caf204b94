"""The words with which a user's shell calls the program again."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from bmretriever_integrations.commands.arguments import this_program


@pytest.fixture
def program(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".venv" / "bin" / "bmretriever"
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_program_that_the_shell_does_not_find_is_named_by_its_path(program: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "argv", [".venv/bin/bmretriever", "demo"])
    assert this_program() == ".venv/bin/bmretriever"


def test_a_program_that_the_shell_finds_is_named_by_its_name(program: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(sys, "argv", [str(program), "demo"])
    assert this_program() == "bmretriever"


def test_the_module_is_named_by_its_name(monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["somewhere/__main__.py", "demo"])
    assert this_program() == f"{shlex.quote(sys.executable)} -m bmretriever_integrations"
