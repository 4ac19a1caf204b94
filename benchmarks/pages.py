"""Pages of the documentation whose tables a script makes."""

from __future__ import annotations

from collections.abc import Mapping


def fill(page: str, parts: Mapping[str, str]) -> str:
    """
    Put every part between its two marks, the lines ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    :param page: Markdown.
    :param parts: name -> what belongs there.
    :raises ValueError: if a part's marks are not there, once each and in order.
    """
    for name, part in parts.items():
        page = put_between(page, name, part)
    return page


def put_between(page: str, name: str, part: str) -> str:
    """
    Replace what stands between two marks.

    :param page: Markdown.
    :param name: the name of the part.
    :param part: what belongs there.
    :raises ValueError: if the marks are not there, once each and in order.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed or begin in rest or end in after:
        raise ValueError(f"the page must have one {begin} and one {end}: they must be there once each, in this order")
    return f"{before}{begin}\n\n{part}\n\n{end}{after}"
