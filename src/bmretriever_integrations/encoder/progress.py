"""Show a progress bar where the caller asks for one, and make no bar otherwise.

tqdm takes a lock that forked processes share, even for a bar that is not shown. If one of them is killed while it holds the lock,
all others wait for ever. So no bar is made unless it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm


@contextmanager
def text_bar(shown: bool, total: int, description: str) -> Iterator[Callable[[int], object]]:
    """
    Yield a function that is called with the number of texts that were just embedded.

    :param shown: whether to show a bar.
    :param total: number of texts.
    :param description: the words before the bar.
    """
    if not shown:
        yield _ignore
        return
    with tqdm(total=total, desc=description, unit="text") as bar:
        yield bar.update


def _ignore(_texts: int) -> None: ...
