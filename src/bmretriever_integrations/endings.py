"""How every command of this project ends: an exit status, and one line that says what is wrong if something is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells give it: 128 + SIGINT."""
USER_ERROR = 2


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        """
        End the process.

        :param message: what is wrong with the words that were given.
        """
        self.exit(USER_ERROR, f"error: {message} (see {self.prog} --help)\n")


def status_of(work: Callable[[], int]) -> int:
    """
    Run a command to its end.

    :param work: the command; returns its exit status.
    :returns: that status; 2 for what the user can set right (one line on stderr says what), 130 after Ctrl-C.
    """
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, TypeError, OSError, ImportError, FloatingPointError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return USER_ERROR
    return status
