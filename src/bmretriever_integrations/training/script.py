"""What all scripts in ``training/`` do alike: read the command line, run, and end with an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from bmretriever_integrations.cli import Parser, read_arguments, status_of


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """
    Make a parser whose help shows a script's docstring unchanged.

    :param description: the docstring.
    """
    return Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def run_script(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], None]) -> NoReturn:
    """
    Run a script and end the process.

    :param parser: reads the command line.
    :param run: does the work; what it raises becomes one line on stderr and a status other than 0.
    """

    def work() -> int:
        run(read_arguments(parser, sys.argv[1:]))
        return 0

    sys.exit(status_of(work))
