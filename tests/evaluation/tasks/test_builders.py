"""Each builder on a small file in the official format: what becomes a document, a query, a judgement; and what is refused."""

from __future__ import annotations

import gzip
import json

import pytest

from bmretriever_integrations.evaluation.tasks.builders import BUILDERS
from bmretriever_integrations.evaluation.tasks.cache import build_task
from bmretriever_integrations.evaluation.tasks.catalogue import TASKS
from bmretriever_integrations.evaluation.tasks.retrieval import load_task

MESH = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode = "eng">
<DescriptorRecord DescriptorClass = "1">
  <DescriptorUI>D000001</DescriptorUI>
  <DescriptorName><String>Calcimycin</String></DescriptorName>
  <ConceptList>
   <Concept PreferredConceptYN="Y">
    <ConceptUI>M0000001</ConceptUI>
    <ConceptName><String>Calcimycin</String></ConceptName>
    <ScopeNote>An ionophorous antibiotic
     from Streptomyces.    </ScopeNote>
   </Concept>
   <Concept PreferredConceptYN="N">
    <ConceptUI>M0353609</ConceptUI>
    <ConceptName><String>A-23187</String></ConceptName>
   </Concept>
  </ConceptList>
 </DescriptorRecord>
<DescriptorRecord DescriptorClass = "1">
  <DescriptorUI>D000002</DescriptorUI>
  <DescriptorName><String>Temefos</String></DescriptorName>
  <ConceptList>
   <Concept PreferredConceptYN="Y">
    <ConceptUI>M0000002</ConceptUI>
    <ConceptName><String>Temefos</String></ConceptName>
    <ScopeNote>An insecticide.</ScopeNote>
   </Concept>
  </ConceptList>
 </DescriptorRecord>
</DescriptorRecordSet>
"""

DRUGBANK = """<?xml version="1.0" encoding="UTF-8"?>
<drugbank xmlns="http://www.drugbank.ca" version="5.1" exported-on="2025-01-02">
<drug type="biotech" created="2005-06-13" updated="2025-01-01">
  <drugbank-id primary="true">DB00001</drugbank-id>
  <drugbank-id>BTD00024</drugbank-id>
  <name>Lepirudin</name>
  <description>A recombinant hirudin.</description>
  <pathways><pathway><drugs>
    <drug><drugbank-id>DB00002</drugbank-id><name>Cetuximab</name></drug>
  </drugs></pathway></pathways>
</drug>
<drug type="biotech"><drugbank-id primary="true">DB00002</drugbank-id><name>Cetuximab</name>
  <description>An antibody against EGFR.</description></drug>
<drug type="biotech"><drugbank-id primary="true">DB00003</drugbank-id><name>Dornase</name><description/></drug>
</drugbank>
"""
VOCABULARY = "DrugBank ID,Accession Numbers,Common name,CAS,UNII,Synonyms,Standard InChI Key\nDB00002,X,Erbitux,,,,\n"

ICLINIQ = [
    {"input": "My knee hurts.", "answer_icliniq": "Rest it.", "answer_chatgpt": "-", "answer_chatdoctor": "-"},
    {"input": "Why do I cough?", "answer_icliniq": " ", "answer_chatgpt": "-", "answer_chatdoctor": "-"},
    {"input": "Is fever bad?", "answer_icliniq": "Seldom.", "answer_chatgpt": "-", "answer_chatdoctor": "-"},
]
PUBMEDQA = {
    "21645374": {
        "QUESTION": "Do mitochondria play a role in remodelling lace plant leaves?",
        "CONTEXTS": ["Programmed cell death is regulated.", "Leaves were stained."],
        "LABELS": ["BACKGROUND", "RESULTS"],
        "MESHES": [],
        "final_decision": "yes",
        "LONG_ANSWER": "Results depict mitochondrial dynamics in vivo.",
    }
}
BIOASQ = {
    "questions": [
        {
            "id": "5e30e689fbd6abf43b00003a",
            "body": "What is Hirschsprung disease?",
            "type": "summary",
            "documents": ["http://www.ncbi.nlm.nih.gov/pubmed/15829955", "http://www.ncbi.nlm.nih.gov/pubmed/1"],
            "snippets": [
                {"document": "http://www.ncbi.nlm.nih.gov/pubmed/15829955", "text": "It is a disorder.", "beginSection": "title"},
                {"document": "http://www.ncbi.nlm.nih.gov/pubmed/15829955", "text": "RET is  involved."},
                {"document": "http://www.ncbi.nlm.nih.gov/pubmed/6650562", "text": "Mostly sporadic."},
            ],
        },
        {"id": "b", "body": "Is RET a gene?", "snippets": [
            {"document": "http://www.ncbi.nlm.nih.gov/pubmed/15829955", "text": "RET is involved."}
        ]},
        {"id": "c", "body": "No snippets?", "documents": []},
    ]
}  # fmt: skip
RELISH = [
    {"uid": "u1", "pmid": "1", "experience": "phd", "is_anonymous": False,
     "response": {"relevant": ["2"], "partial": ["3"], "irrelevant": ["4", "9"]}},
    {"uid": "u2", "pmid": "1", "response": {"relevant": [], "partial": ["4"], "irrelevant": ["2"]}},
    {"uid": "u3", "pmid": "9", "response": {"relevant": ["1"], "partial": [], "irrelevant": []}},
]  # fmt: skip
PAPERS = "".join(json.dumps({"_id": str(n), "title": f"T{n}", "text": f"abstract {n}"}) + "\n" for n in range(1, 8))


@pytest.fixture
def build(tmp_path):
    """A function: name of a task, files (name -> text or JSON value) -> its folder, split into what it holds."""

    def run(name, files):
        for file, content in files.items():
            text = content if isinstance(content, str | bytes) else json.dumps(content)
            whole = text if isinstance(text, bytes) else text.encode()
            (tmp_path / file).write_bytes(gzip.compress(whole) if file.endswith(".gz") else whole)
        folder = tmp_path / "out" / name
        build_task(TASKS[name], [str(tmp_path / file) for file in files], folder)
        task = load_task(folder)
        return (
            task,
            {p.id: (p.title, p.text) for p in task.passages()},
            json.loads((folder / "origin.json").read_text()),
        )

    return run


@pytest.mark.parametrize("file", ["desc2026.xml", "desc2026.gz"])
def test_mesh(build, file):
    task, documents, origin = build("mesh", {file: MESH})
    assert documents == {
        "M0000001": ("", "An ionophorous antibiotic from Streptomyces."),
        "M0000002": ("", "An insecticide."),
    }
    assert task.queries == {"name-M0000001": "Calcimycin", "name-M0000002": "Temefos"}
    assert task.judgements == {"name-M0000001": {"M0000001": 1}, "name-M0000002": {"M0000002": 1}}
    assert list(task.own_documents) == [-1, -1]
    assert origin["left_out"] == {"no scope note": 1}


def test_an_archive_is_to_be_unpacked(build):
    with pytest.raises(
        ValueError, match=r"drugbank_all\.xml\.zip is an archive; unpack it, e.g. with unzip, and name the file in it"
    ):
        build("drugbank", {"drugbank_all.xml.zip": b"PK"})


def test_drugbank_alone_and_with_its_vocabulary(build, tmp_path):
    task, documents, origin = build("drugbank", {"full database.xml": DRUGBANK})
    assert documents == {"DB00001": ("", "A recombinant hirudin."), "DB00002": ("", "An antibody against EGFR.")}
    assert list(task.queries.values()) == ["Lepirudin", "Cetuximab"]
    assert origin["left_out"] == {"no description": 1}
    (tmp_path / "out" / "drugbank").rename(tmp_path / "first")
    task, documents, origin = build("drugbank", {"full database.xml": DRUGBANK, "drugbank vocabulary.csv": VOCABULARY})
    assert (list(documents), list(task.queries.values())) == (["DB00002"], ["Erbitux"])
    assert origin["left_out"] == {"not in the vocabulary": 2}


def test_icliniq(build):
    task, documents, origin = build("icliniq", {"iCliniq.json": ICLINIQ})
    assert documents == {"a1": ("", "Rest it."), "a3": ("", "Seldom.")}
    assert task.queries == {"q1": "My knee hurts.", "q3": "Is fever bad?"}
    assert task.judgements == {"q1": {"a1": 1}, "q3": {"a3": 1}}
    assert origin["left_out"] == {"no question or no response": 1}


def test_pubmedqa(build):
    task, documents, _ = build("pubmedqa", {"ori_pqal.json": PUBMEDQA})
    assert documents == {"21645374": ("", "Results depict mitochondrial dynamics in vivo.")}
    assert list(task.queries.values()) == [PUBMEDQA["21645374"]["QUESTION"]]
    assert list(task.judgements.values()) == [{"21645374": 1}]


def test_bioasq_joins_each_snippet_once_and_takes_several_files(build):
    later = {"questions": [{"id": "d", "body": "Sporadic?", "snippets": [{"document": "x/6650562", "text": "Yes."}]}]}
    task, documents, origin = build("bioasq", {"B1.json": BIOASQ, "B2.json": later})
    assert documents == {
        "15829955": ("", "It is a disorder. RET is involved."),
        "6650562": ("", "Mostly sporadic. Yes."),
    }
    assert task.judgements == {
        "5e30e689fbd6abf43b00003a": {"15829955": 1, "6650562": 1},
        "b": {"15829955": 1},
        "d": {"6650562": 1},
    }
    assert origin["left_out"] == {"no snippet": 1}


def test_relish_keeps_the_highest_grade_and_papers_with_text(build):
    task, documents, origin = build("relish", {"RELISH_v1.json": RELISH, "papers.jsonl": PAPERS})
    assert task.queries == {"q1": "T1 abstract 1"}
    assert task.judgements == {"q1": {"2": 2, "3": 1, "4": 1}}
    assert documents == {str(n): (f"T{n}", f"abstract {n}") for n in (2, 3, 4)}
    assert origin["left_out"] == {"judgement of a paper without text": 2}


def test_relish_takes_numbers_for_pmids_and_tells_what_texts_it_lost(build):
    judged = [{"pmid": 1, "response": {"relevant": [2], "partial": [3], "irrelevant": []}}]
    damaged = PAPERS.replace('{"_id": "3", "title"', '{"_id": "3", "titl')
    task, _, origin = build("relish", {"r.json": judged, "papers.jsonl": damaged})
    assert task.judgements == {"q1": {"2": 2}}
    (reason,) = set(origin["left_out"]) - {"judgement of a paper without text"}
    assert (reason.startswith("text of a paper: "), origin["left_out"][reason]) == (True, 1)


def test_questions_without_text_are_left_out(build):
    empty = PUBMEDQA | {"2": {"QUESTION": " ", "LONG_ANSWER": "x"}, "3": {"QUESTION": "x", "LONG_ANSWER": ""}}
    task, _, origin = build("pubmedqa", {"ori_pqal.json": empty})
    assert (list(task.queries), origin["left_out"]) == (["q21645374"], {"no question or no conclusion": 2})
    questions = [BIOASQ["questions"][1], BIOASQ["questions"][0] | {"body": " "}]
    task, _, origin = build("bioasq", {"b.json": {"questions": questions}})
    assert (list(task.queries), origin["left_out"]) == (["b"], {"no question": 1})


FAULTS = [
    ("mesh", {"d.xml": MESH.replace("</ConceptList>", "", 1)}, r"d\.xml is no well-formed XML.*line 19"),
    ("mesh", {"d.xml": "<PubmedArticleSet/>"}, r"root must be <DescriptorRecordSet>, got <PubmedArticleSet>"),
    ("mesh", {"d.xml": MESH.replace("<ConceptUI>M0000002</ConceptUI>", "")}, r"d\.xml, descriptor D000002: a concept lacks"),
    ("mesh", {"d.xml": MESH.replace("M0000002", "M0000001")}, r"D000002: the id 'M0000001' comes a second time"),
    ("mesh", {"d.xml": "<DescriptorRecordSet></DescriptorRecordSet>"}, "held nothing for a task"),
    ("mesh", {"a.xml": MESH, "b.xml": MESH}, r"expected one file, MeSH's desc20XX\.xml; got 2"),
    ("drugbank", {"d.xml": DRUGBANK.replace('xmlns="http://www.drugbank.ca"', "")}, "root must be <{http://www.drugbank.ca}"),
    ("drugbank", {"d.xml": DRUGBANK.replace("<name>Lepirudin</name>", "")}, r"d\.xml, drug on line 3: no <drugbank-id"),
    ("drugbank", {"v.csv": VOCABULARY}, "expected DrugBank's XML file"),
    ("drugbank", {"d.xml": DRUGBANK, "v.csv": "a,b\n1,2\n"}, r"v\.csv: no column 'DrugBank ID' or 'Common name'"),
    ("icliniq", {"i.json": "[{"}, r"i\.json is no sound JSON: .*line 1"),
    ("icliniq", {"i.json": {"input": ""}}, r"i\.json must hold a JSON list, got object"),
    ("icliniq", {"i.json": [*ICLINIQ, {"input": "x"}]}, r"i\.json, item 4: no 'answer_icliniq'; it has 'input'"),
    ("icliniq", {"i.json": [*ICLINIQ, "x"]}, r"item 4: expected an object with 'input', got string"),
    ("pubmedqa", {"p.json": {"7": {"QUESTION": 5}}}, r"p\.json, PMID 7: no 'LONG_ANSWER'"),
    ("pubmedqa", {"p.json": {"7": {"QUESTION": 5, "LONG_ANSWER": "x"}}}, "PMID 7: 'QUESTION' must be a string, got number"),
    ("bioasq", {"b.json": {"question": []}}, r"b\.json: no 'questions'; it has 'question'"),
    ("bioasq", {"b.json": {"questions": [{"id": "a", "body": "b", "snippets": [{"document": "x/y", "text": "t"}]}]}},
     r"b\.json, question 1: the snippet's document 'x/y' does not end in a PMID"),
    ("drugbank", {"d.xml": DRUGBANK, "v.csv": b"DrugBank ID,Common name\nDB00002,Caf\xe9\n"}, r"v\.csv is no CSV file in UTF-8"),
    ("drugbank", {"d.xml": DRUGBANK, "v.csv": VOCABULARY + 'DB00003,"' + "x" * 200_000}, r"v\.csv is no CSV file.*field limit"),
    ("drugbank", {"d.xml": DRUGBANK, "v.csv": VOCABULARY + "DB00002,Y,Other,,,,\n"},
     r"line 3: DB00002 is 'Other', but 'Erbitux' before"),
    ("drugbank", {"d.xml": DRUGBANK, "v.csv": ""}, r"v\.csv: no column .*; it has nothing"),
    ("icliniq", {"i.json": "[" * 100_000}, r"i\.json is no sound JSON"),
    ("icliniq", {"i.json": b'[{"input": "\xe9", "answer_icliniq": "x"}]'}, r"i\.json is no sound JSON.*utf-8"),
    ("icliniq", {"i.json": [{"input": "a \ud800", "answer_icliniq": "x"}]}, r"i\.json, item 1: '\\ud800' is half a character"),
    ("icliniq", {"i.json": [{"input": None, "answer_icliniq": "x"}]}, "'input' must be a string, got null"),
    ("pubmedqa", {"p.json": '{"7": {"QUESTION": "a"}, "7": {"QUESTION": "b"}}'},
     r"p\.json is no sound JSON: the key '7' comes a second time"),
    ("bioasq", {"b.json": {"questions": [{"id": "a", "body": "b", "snippets": 5}]}},
     "question 1: 'snippets' must be a list, got number"),
    ("bioasq", {"b.json": {"questions": [BIOASQ["questions"][1] | {"id": "a\tb"}]}}, r"the id 'a\\tb' does not fit"),
    ("bioasq", {"b.json": {"questions": [{"id": "a", "body": "b", "snippets": [{"document": "x/\u00b2", "text": "t"}]}]}},
     "end in a PMID"),
    ("relish", {"r.json": [{"pmid": 1.5, "response": {}}], "p.jsonl": PAPERS}, "'pmid' must be a string or number, got number"),
    ("relish", {"r.json": [{"pmid": "1", "response": {"relevant": [{}], "partial": [], "irrelevant": []}}], "p.jsonl": PAPERS},
     r"entry 1: a PMID must be a string or a number, got \{\}"),
    ("relish", {"r.json": RELISH}, "expected RELISH_v1.json and one or more files"),
    ("relish", {"r.json": [{"pmid": "1", "response": {"relevant": []}}], "p.jsonl": PAPERS}, r"entry 1: no 'partial'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "files", "message"), FAULTS)
def test_malformed_files_are_refused_with_their_place_and_leave_nothing(build, tmp_path, name, files, message):
    with pytest.raises(ValueError, match=message):
        build(name, files)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_gzip_is_named(tmp_path):
    path = tmp_path / "desc.gz"
    path.write_bytes(gzip.compress(MESH.encode())[:-200])
    with pytest.raises(ValueError, match=r"desc\.gz is cut short or damaged|desc\.gz is no well-formed XML"):
        build_task(TASKS["mesh"], [str(path)], tmp_path / "out")


def test_big_xml_is_streamed(tmp_path):
    """Two thousand records of 20 kB in a parser that holds one at a time: the tree would take 40 MB and more."""
    import tracemalloc

    record = MESH[MESH.index("<DescriptorRecord ") : MESH.index("</DescriptorRecord>")] + "</DescriptorRecord>"
    path = tmp_path / "big.xml"
    with path.open("w") as file:
        file.write("<DescriptorRecordSet>")
        for n in range(2000):
            own = record.replace("M0000001", f"M{n}").replace("antibiotic", "antibiotic " * 2000)
            file.write(own)
        file.write("</DescriptorRecordSet>")
    tracemalloc.start()
    build_task(TASKS["mesh"], [str(path)], tmp_path / "mesh")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(load_task(tmp_path / "mesh").queries) == 2000
    assert peak < 8_000_000


def test_every_task_without_a_hub_data_set_has_a_builder():
    assert {record.name for record in TASKS.values() if record.files is not None} == set(BUILDERS)
    assert all(record.hub or record.files for record in TASKS.values())
