"""MeSH descriptors in XML -> concept name to its definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bmretriever_integrations.evaluation.tasks.builders.json_files import only_file
from bmretriever_integrations.evaluation.tasks.builders.xml_records import read_elements, text_of
from bmretriever_integrations.evaluation.tasks.writing import TaskWriter


def build_mesh(sources: Sequence[Path], writer: TaskWriter) -> None:
    """
    Make the MeSH task: a query is a concept's name, its one relevant passage that concept's scope note.

    The passage is the definition alone, without the name, as in REPAIR's evaluation, which follows the paper. Format:
    NLM's desc20XX.dtd (DescriptorRecordSet, DescriptorRecord, ConceptList, Concept, ScopeNote).

    :param sources: one desc20XX.xml, or gzipped with a name that ends in .gz.
    :param writer: takes the task.
    :raises ValueError: if the file is not MeSH's descriptors, with file and place.
    """
    path = only_file(sources, "MeSH's desc20XX.xml")
    for record in read_elements(path, "DescriptorRecordSet", "DescriptorRecord", "descriptors"):
        for concept in record.iterfind("ConceptList/Concept"):
            ui, name = text_of(concept.find("ConceptUI")), text_of(concept.find("ConceptName/String"))
            where = f"{path}, descriptor {text_of(record.find('DescriptorUI')) or f'on line {record.sourceline}'}"
            if not ui or not name:
                raise ValueError(f"{where}: a concept lacks its ConceptUI or ConceptName")
            definition = text_of(concept.find("ScopeNote"))
            if not definition:
                writer.left_out["no scope note"] += 1
                continue
            writer.document(ui, "", definition, where)
            writer.query(
                f"name-{ui}", name, where
            )  # another id than the passage's, which would be left out as the query itself
            writer.judge(f"name-{ui}", ui, 1)
