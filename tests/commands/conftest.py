"""What tests of the commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bmretriever_integrations.cli import main


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    """A function: arguments of a command that cannot be run -> the one line that it prints, with exit status 2."""

    def error(words: Sequence[str]) -> str:
        capsys.readouterr()  # what made the test's checkpoints has its own bars
        try:
            status = main(list(words))
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return error
