"""Build the MeSH task from descriptors in XML: a concept's name is the query for its definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.corpus.markup import plain_text
from bmretriever_integrations.evaluation.tasks.builders.json_files import only_file
from bmretriever_integrations.evaluation.tasks.builders.xml_records import read_elements
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_mesh(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Build the MeSH task: a query is a concept's name, and its only relevant passage is the concept's scope note.

    The passage is the definition without the name, as in REPAIR's evaluation, which follows the paper. NLM's desc20XX.dtd
    defines the format (DescriptorRecordSet, DescriptorRecord, ConceptList, Concept, ScopeNote).

    :param sources: one file desc20XX.xml, or a gzipped file whose name ends in .gz.
    :param writer: the writer of the task.
    :raises ValueError: if the file does not contain MeSH's descriptors; the message names the file and the place.
    """
    path = only_file(sources, "MeSH's desc20XX.xml")
    for record in read_elements(path, "DescriptorRecordSet", "DescriptorRecord", "descriptors"):
        for concept in record.iterfind("ConceptList/Concept"):
            ui, name = plain_text(concept.find("ConceptUI")), plain_text(concept.find("ConceptName/String"))
            where = f"{path}, descriptor {plain_text(record.find('DescriptorUI')) or f'on line {record.sourceline}'}"
            if not ui or not name:
                raise ValueError(f"{where}: a concept lacks its ConceptUI or ConceptName")
            definition = plain_text(concept.find("ScopeNote"))
            if not definition:
                writer.left_out["no scope note"] += 1
                continue
            writer.document(ui, "", definition, where)
            # the query needs another id than the passage: a document with the query's id is left out of its ranking
            writer.query(f"name-{ui}", name, where)
            writer.judge(f"name-{ui}", ui, 1)
