"""The page "Train your own", from the first command to the last, on a small collection that nobody has seen."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest

PAGE = "docs/train-your-own.md"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ORGANS = ("heart", "liver", "kidney", "lung", "brain", "skin", "bone", "thyroid")
DRUGS = ("metformin", "aspirin", "warfarin", "digoxin", "insulin", "codeine", "lithium", "statin")


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the page needs."""
    papers = [
        {
            "_id": f"{drug}-{organ}",
            "title": f"{drug} in disease of the {organ}",
            "text": f"We gave {drug} to adults with a disease of the {organ} and saw the {organ} recover within weeks of "
            f"starting {drug}, while patients without {drug} did not get better over the same time.",
        }
        for drug in DRUGS
        for organ in ORGANS
    ]
    labelled = [
        {
            "task": "effects",
            "instruction": "Given a question, retrieve passages that answer it",
            "query": question.format(drug=drug, organ=organ),
            "positive": f"The {organ} gets better when {drug} is taken, as trials of {drug} in adults have shown.",
        }
        for drug in DRUGS
        for organ in ORGANS
        for question in ("What does {drug} do to the {organ}?", "Is {drug} good for the {organ}?", "{drug} and {organ}")
    ]
    (tmp_path / "papers.jsonl").write_text("\n".join(map(json.dumps, papers)))
    (tmp_path / "labelled.jsonl").write_text("\n".join(map(json.dumps, labelled)))
    task = tmp_path / "my-task"
    (task / "qrels").mkdir(parents=True)
    documents = [{"_id": "d1", "title": "", "text": "Gout"}, {"_id": "d2", "title": "", "text": "Asthma in children"}]
    (task / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (task / "queries.jsonl").write_text(json.dumps({"_id": "q1", "text": "children with asthma"}))
    (task / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n")
    return tmp_path


@pytest.mark.slow
def test_every_command_of_the_page_runs_in_its_order(folder, pytestconfig):
    root = pytestconfig.rootpath
    (folder / "training").symlink_to(root / "training")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = []
    for language, code in BLOCK.findall((root / PAGE).read_text(encoding="utf-8")):
        if language == "python":
            commands.append([sys.executable, "-c", code])
            continue
        for line in code.splitlines():
            words = shlex.split(line)
            if words[0] == "bmretriever":
                commands.append([sys.executable, "-m", "bmretriever_integrations", *words[1:]])
            elif words[0] == "python":
                commands.append([sys.executable, *words[1:]])
            else:
                assert words[:2] == ["pip", "install"], line
    assert len(commands) >= 8
    for command in commands:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    assert list((folder / "build" / "my-model" / "tensorboard").iterdir())
    record = json.loads((folder / "build" / "my-model" / "training.json").read_text(encoding="utf-8"))
    assert record["losses"][-1][1] < record["losses"][0][1]
    (_, before), *_, (_, after) = record["evaluations"]
    assert after["ndcg@10"] >= before["ndcg@10"]
    assert "my-model" in (folder / "scores.md").read_text(encoding="utf-8")
