"""Write hits for programs to standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bmretriever_integrations.hits.answers import Answer
from bmretriever_integrations.hits.csv_text import as_csv
from bmretriever_integrations.hits.json_text import as_json, as_json_lines
from bmretriever_integrations.hits.ris import as_ris

FORMATS = ("table", "json", "jsonl", "csv", "ris")


def write(answers: Sequence[Answer], form: str, several: bool) -> None:
    """
    Write answers to standard output in UTF-8, whatever the encoding of the console is.

    :param answers: the questions and their hits.
    :param form: one of :data:`FORMATS` but the table.
    :param several: whether the user may ask several questions at once, so that each hit must say to which it belongs.
    """
    if form == "json":
        text = as_json(answers, several)
    elif form == "jsonl":
        text = as_json_lines(answers)
    elif form == "csv":
        text = as_csv(answers)
    else:
        text = as_ris(answers, several)
    sys.stdout.flush()
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a stream of text alone, as in notebooks
        sys.stdout.write(text)
    else:
        binary.write(text.encode("utf-8"))
        binary.flush()
