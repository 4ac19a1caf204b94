"""The instruction that a checkpoint was trained with goes from the folder into the export and into the evaluation."""

from __future__ import annotations

import json

import pytest
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations.checkpoints.instructions import stored_instructions
from bmretriever_integrations.cli import main
from bmretriever_integrations.export import export_checkpoint, write_sentence_transformer
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS, query_prompt

OWN = "Given a complaint, retrieve its name"


@pytest.fixture
def trained(tiny, tmp_path):
    raw = tiny("llama")
    network, tokenizer = AutoModel.from_pretrained(raw), AutoTokenizer.from_pretrained(raw)
    named = {"query": OWN, "complaints": OWN}
    return write_sentence_transformer(network, tokenizer, tmp_path / "trained", instructions=named)


def test_an_export_keeps_the_instruction(trained, tmp_path):
    export_checkpoint(trained, tmp_path / "exported")
    for folder in (trained, tmp_path / "exported"):
        expected = {**TASK_INSTRUCTIONS, "query": OWN, "complaints": OWN}
        assert stored_instructions(folder) == expected
        assert SentenceTransformer(str(folder), device="cpu").prompts["query"] == query_prompt(OWN, "")
    assert f'its instruction is\n"{OWN}"' in (tmp_path / "exported" / "README.md").read_text()


def test_an_own_task_is_evaluated_with_the_instruction_of_the_model(trained, tiny, tmp_path):
    used = {}
    for name in ("own", "scifact"):
        task = tmp_path / name
        (task / "qrels").mkdir(parents=True)
        (task / "corpus.jsonl").write_text('{"_id": "d1", "text": "gout"}\n{"_id": "d2", "text": "asthma"}')
        (task / "queries.jsonl").write_text('{"_id": "q1", "text": "wheezing"}')
        (task / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n")
    report = tmp_path / "report.json"
    models = ["--model", str(trained), "--model", str(tiny("llama"))]
    assert main(["evaluate", str(tmp_path / "own"), str(tmp_path / "scifact"), *models, "--json", str(report)]) == 0
    for result in json.loads(report.read_text())["results"]:
        used[result["system"], result["task"]] = result["settings"].get("instruction")
    assert used["trained", "own"] == OWN
    assert used[tiny("llama").name, "own"] == DEFAULT_INSTRUCTION
    assert used["trained", "scifact"] == TASK_INSTRUCTIONS["scifact"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"prompts": 3}', '{"prompts": {"query": 3}}', "[" * 100_000])
def test_another_tools_file_has_no_instructions(tmp_path, content):
    (tmp_path / "config_sentence_transformers.json").write_text(content)
    assert stored_instructions(tmp_path) == {}
    assert stored_instructions(tmp_path / "none") == {}


def test_a_short_name_is_no_folder(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained.rename(tmp_path / "mini")
    assert stored_instructions("mini") == {}
    assert stored_instructions("./mini")["query"] == OWN


def test_prompts_of_another_template_are_no_instructions(tmp_path):
    prompts = {"query": "query: ", "document": "passage: ", "web": "Instruct: Find it\nQuery: ", "empty": "\nQuery: "}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    assert stored_instructions(tmp_path) == {"web": "Instruct: Find it"}
