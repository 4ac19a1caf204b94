"""The page "Train your own", from the first command to the last, on a small collection that nobody has seen."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

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


def jobs_of(page, folder):
    """The commands of the page in order, as run_forked.py takes them."""
    (folder / "bmretriever.py").write_text(
        "import sys\nfrom bmretriever_integrations.cli import main\nsys.exit(main())"
    )
    for place, (language, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
        if language == "python":
            (folder / f"block{place}.py").write_text(code)
            yield {"name": f"block{place}", "script": str(folder / f"block{place}.py"), "arguments": []}
            continue
        for line in code.splitlines():
            words = shlex.split(line)
            if words[0] == "bmretriever":
                yield {"name": words[1], "script": str(folder / "bmretriever.py"), "arguments": words[1:]}
            elif words[0] == "python":
                yield {"name": Path(words[1]).stem, "script": str(folder / words[1]), "arguments": words[2:]}
            else:
                assert words[:2] == ["pip", "install"], line


@pytest.mark.slow
def test_every_command_of_the_page_runs_in_its_order(folder, pytestconfig):
    root = pytestconfig.rootpath
    (folder / "training").symlink_to(root / "training")
    jobs = list(jobs_of(root / PAGE, folder))
    assert len(jobs) >= 8
    runner = root / "tests" / "examples" / "run_forked.py"
    done = subprocess.run(
        [sys.executable, str(runner), str(folder), "datasets", "sentence_transformers", "haystack"],
        input=json.dumps(jobs),
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    for job, code in json.loads(done.stdout).items():
        assert code == 0, f"{job}\n" + "\n".join(
            (folder / f"{job}.{end}").read_text()[-3000:] for end in ("out", "err")
        )
    assert list((folder / "build" / "my-model" / "tensorboard").iterdir())
    record = json.loads((folder / "build" / "my-model" / "training.json").read_text(encoding="utf-8"))
    assert record["losses"][-1][1] < record["losses"][0][1]
    (_, before), *_, (_, after) = record["evaluations"]
    assert after["ndcg@10"] >= before["ndcg@10"]
    assert "my-model" in (folder / "scores.md").read_text(encoding="utf-8")
