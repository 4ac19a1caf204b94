"""Build the DrugBank task from its XML file and its vocabulary: a drug's name is the query for its description."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.corpus.markup import plain_text
from bmretriever_integrations.evaluation.tasks.builders.xml_records import read_elements
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter

NAMESPACE = "{http://www.drugbank.ca}"
COLUMNS = ("DrugBank ID", "Common name")
"""The two columns of ``drugbank vocabulary.csv`` that are read."""


def build_drugbank(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the DrugBank task: a query is a drug's name, and its only relevant passage is the drug's description.

    :param sources: "full database.xml", which may be gzipped, and perhaps "drugbank vocabulary.csv". With a vocabulary, only
        its drugs are used, under its common names.
    :param writer: the writer of the task.
    :raises ValueError: if a file has another form; the message names the file and the place. Also if there is not one XML file.
    """
    tables = [path for path in sources if path.suffix.lower() == ".csv"]
    databases = [path for path in sources if path not in tables]
    if len(databases) != 1 or len(tables) > 1:
        raise ValueError(
            "expected DrugBank's XML file and perhaps its vocabulary .csv, got " + " ".join(map(str, sources))
        )
    names = _read_vocabulary(tables[0]) if tables else None
    path = databases[0]
    for drug in read_elements(path, f"{NAMESPACE}drugbank", f"{NAMESPACE}drug", "drugs"):
        where = f"{path}, drug on line {drug.sourceline}"
        drug_id = plain_text(drug.find(f"{NAMESPACE}drugbank-id[@primary='true']"))
        name, text = plain_text(drug.find(f"{NAMESPACE}name")), plain_text(drug.find(f"{NAMESPACE}description"))
        if not drug_id or not name:
            raise ValueError(f'{where}: no <drugbank-id primary="true"> or no <name>')
        if names is not None and drug_id not in names:
            writer.left_out["not in the vocabulary"] += 1
        elif not text:
            writer.left_out["no description"] += 1
        else:
            writer.document(drug_id, "", text, where)
            writer.query(f"name-{drug_id}", name if names is None else names[drug_id], where)
            writer.judge(f"name-{drug_id}", drug_id, 1)


def _read_vocabulary(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
            if missing:
                there = ", ".join(map(repr, rows.fieldnames or [])) or "nothing"
                raise ValueError(f"{path}: no column {' or '.join(map(repr, missing))}; it has {there}")
            for row in rows:
                drug, name = row[COLUMNS[0]], row[COLUMNS[1]]
                if drug and name and names.setdefault(drug, name) != name:
                    raise ValueError(f"{path}, line {rows.line_num}: {drug} is {name!r}, but {names[drug]!r} before")
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    return names
