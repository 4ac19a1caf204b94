"""What to do with a file that is not read, where its name or its beginning tells what it is."""

from __future__ import annotations

import re
from pathlib import Path

SAVE = "save the results again in the format PubMed, which gives a .txt file with abstracts"
AS_RIS = "export the references as RIS (.ris) instead"
AS_LINES = "write its rows as JSON lines (docs/records.md, Your own records)"
BY_ENDING = {
    ".csv": f"CSV that PubMed saves has no abstracts: {SAVE}. Of another table, {AS_LINES}",
    **dict.fromkeys((".tsv", ".xls", ".xlsx", ".ods", ".parquet"), f"this is a table: {AS_LINES}"),
    ".json": f"this is no file of lines: {AS_LINES}",
    ".bib": f"BibTeX is not read: {AS_RIS}",
    **dict.fromkeys((".enw", ".enl", ".enlx", ".ciw"), f"this form of a reference manager is not read: {AS_RIS}"),
    **dict.fromkeys((".htm", ".html"), "this is a page for reading: fetch the records as a file (docs/records.md)"),
    ".pdf": "PDF is not read: PubMed Central has the full text of many articles as XML",
}
BY_ROOT = {
    "html": "it is a page that a browser saved. Fetch the records as a file (docs/records.md)",
    "xml": f"EndNote's XML is not read: {AS_RIS}",
    "eSearchResult": "it tells what a search found and holds no records. Fetch these with efetch (docs/records.md)",
    "eSummaryResult": "summaries have no abstracts. Fetch the records with efetch (docs/records.md)",
    "RDF": "Europe PMC's Dublin Core is not read. Ask for format=xml and resultType=core (docs/records.md)",
}
BY_BEGINNING = {
    re.compile(r"\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE): BY_ROOT["html"],
    re.compile(r"\s*1: \S"): f"it looks like PubMed's format Summary, which has no abstracts: {SAVE}",
    re.compile(r"\s*1\. \S"): f"it looks like PubMed's format Abstract, which is made for reading: {SAVE}",
    re.compile(
        r"\s*(?:[0-9]{1,9}\s+)+\Z"
    ): "it looks like a list of PMIDs. Fetch the records of these (docs/records.md)",
    re.compile(r"(?:\ufeff)?FN (?:Clarivate|Thomson|ISI)"): f"it is Web of Science's plain text: {AS_RIS}",
}
ELSEWHERE = "docs/records.md says how to get records in a form that is read"


def advice_by_ending(path: Path) -> str:
    """
    Say what to do with a file whose ending no form has.

    :param path: the file.
    """
    name = path.name.lower().removesuffix(".gz")
    return next((advice for ending, advice in BY_ENDING.items() if name.endswith(ending)), ELSEWHERE)


def advice_by_content(beginning: str, root: str | None = None) -> str:
    """
    Say what to do with a file that has none of the forms of its ending.

    :param beginning: its first characters.
    :param root: the name of its root element, if it is XML.
    """
    if root is not None:
        return BY_ROOT.get(root, ELSEWHERE)
    return next((advice for pattern, advice in BY_BEGINNING.items() if pattern.match(beginning)), ELSEWHERE)
