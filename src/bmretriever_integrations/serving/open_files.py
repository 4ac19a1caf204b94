"""How many files the process may have open; each connection is one."""

from __future__ import annotations

import sys

OTHERS = 1024
"""Files beside the connections: the index's, the model's and the libraries'."""


def allow_connections(connections: int) -> None:
    """
    Raise the bound of open files for this process, as far as the system lets it: many shells allow 1,024.

    :param connections: the most connections that the server takes.
    """
    if sys.platform == "win32":  # which has no such bound
        return
    import resource

    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + OTHERS  # those that are refused have one, too
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
