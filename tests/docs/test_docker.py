"""The Dockerfile is what docs/docker.md says, and copies what the package's build needs. No Docker is used."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Instruction and its argument, of each line that is not a comment."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [tuple(line.split(" ", 1)) for line in lines if line and not line.startswith("#")]


def copied() -> list[str]:
    return [source for name, argument in instructions() if name == "COPY" for source in argument.split()[:-1]]


def test_what_is_copied_exists_and_is_sent_to_docker():
    sent = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sent) == sorted(copied())
    assert all((ROOT / source).exists() for source in copied())


def test_the_copied_files_are_enough_to_build_the_package(tmp_path):
    pytest.importorskip("hatchling")
    for source in copied():
        place, target = ROOT / source, tmp_path / source
        if place.is_dir():
            shutil.copytree(place, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, target)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("bmretriever_integrations/models/mini/") for name in names)
    assert any(name.startswith("haystack_integrations/components/embedders/bmretriever/") for name in names)


def test_the_page_shows_the_line_that_installs():
    [install] = [
        command
        for name, argument in instructions()
        for command in argument.split(" && ")
        if name == "RUN" and "-c constraints.txt" in command
    ]
    assert f"```text\n{install}\n```" in PAGE
    extras = re.search(r"\[(.*)\]", install)[1].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])


def test_pytorch_is_the_version_of_the_constraints():
    [torch] = [re.search(r"torch==\S+", argument)[0] for _, argument in instructions() if "torch==" in argument]
    assert torch in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_it_does_not_run_as_root():
    [user] = [argument for name, argument in instructions() if name == "USER"]
    [made] = [argument for _, argument in instructions() if argument.startswith("useradd ")]
    number = re.search(r"--uid (\d+)", made)[1]
    assert f" {user} " in f"{made} "
    assert f"is not root and has the id {number}" in PAGE


def test_its_last_command_runs_without_a_network():
    [code] = [re.search(r'python -c "(.*)"', argument)[1] for _, argument in instructions() if "python -c" in argument]
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
