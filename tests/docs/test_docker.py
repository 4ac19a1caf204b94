"""The Dockerfile is what docs/docker.md says, and copies what the package's build needs. No Docker is used."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

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


def test_the_build_finds_all_files_that_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"pyproject.toml", "src", project["readme"], *project["license-files"]} <= set(copied())


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
