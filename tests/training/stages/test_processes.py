"""Real processes: one that is killed and goes on, and two that train as one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from transformers import AutoTokenizer

from bmretriever_integrations.training.stages.state import complete_state, newest_state

RECIPE = """
batch_size: 8
learning_rate: 3.0e-3
warmup_steps: 2
max_length: 48
temperature: 20.0
negatives: 1
log_every: 5
save_every: 10
eval_every: 10
eval_share: 0.1
stage1: {epochs: 5}
stage2: {max_steps: 5, gradient_caching: true, mini_batch_tokens: 64}
"""


@pytest.fixture
def train(tiny, doses, tmp_path, pytestconfig):
    """A function: rounds of jobs -> exit codes. A job is (output, stage, more settings of the job)."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)

    def job(output, stage=1, changes=(), **more):
        arguments = [tmp_path / "recipe.yaml", "--stage", stage, "--base", tiny("llama"), "--data", doses]
        arguments += ["--output", tmp_path / output, *(part for change in changes for part in ("--set", change))]
        return {"arguments": [str(argument) for argument in arguments], **more}

    def run(*rounds):
        script = pytestconfig.rootpath / "training" / "train.py"
        command = [sys.executable, str(Path(__file__).parent / "fork_stages.py"), str(script)]
        jobs = json.dumps([[job(**one) for one in jobs] for jobs in rounds])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        done = subprocess.run(command, input=jobs, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout), done.stderr

    return run


@pytest.fixture
def taught(tiny, tmp_path):
    """Changes of settings that add a teacher, whose vectors are random ones of the words."""
    torch.manual_seed(5)
    words = AutoTokenizer.from_pretrained(tiny("llama")).backend_tokenizer
    SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=24)], device="cpu").save(
        str(tmp_path / "teacher")
    )
    model = f"{{model: {tmp_path / 'teacher'}, false_negative_share: 0.95}}"
    return [f"teacher={model}", "distillation=1.0", "distillation_temperature=0.1"]


def record(folder):
    return json.loads((folder / "training.json").read_text())


def test_a_killed_run_goes_on_to_the_same_losses(train, tmp_path):
    kill_at = str(tmp_path / "killed" / "states" / "checkpoint-20" / "progress.json")
    killed = {"output": "killed"}
    codes, noise = train([{**killed, "kill_at": kill_at}], [killed], [{"output": "whole"}])
    assert codes == [[-9], [0], [0]], noise[-3000:]
    whole, resumed = record(tmp_path / "whole"), record(tmp_path / "killed")
    assert resumed["steps"] == whole["steps"] == 40
    assert [step for step, _ in resumed["losses"]] == [step for step, _ in whole["losses"]]
    np.testing.assert_allclose(resumed["losses"], whole["losses"], rtol=0, atol=1e-6)
    assert resumed["evaluations"] == whole["evaluations"]
    assert resumed["tokens"] == whole["tokens"]
    weights = [load_file(tmp_path / folder / "model.safetensors") for folder in ("killed", "whole")]
    for name, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][name], rtol=0, atol=1e-6)
    lines = [
        line for line in noise.replace("\r", "\n").splitlines() if line and not line.startswith("recipe, stage 1:")
    ]
    # nothing but the bar and one line at the end of each run
    assert ["40 steps on 71 pairs, loss" in line for line in lines] == [True] * 2, lines


def test_two_processes_train_as_one(train, taught, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def changes(stage):
        return ["max_steps=5", "epochs=null", *(taught if stage == 2 else [])]

    def of_rank(output, stage, rank):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
        }
        return {
            "output": output,
            "stage": stage,
            "changes": changes(stage),
            "environment": environment,
            "sgd": True,
        }

    def alone(output, stage):
        return {"output": output, "stage": stage, "changes": changes(stage), "sgd": True}

    codes, noise = train(
        [of_rank("two", 1, 0), of_rank("two", 1, 1)],
        [of_rank("two cached", 2, 0), of_rank("two cached", 2, 1)],
        [alone("one", 1)],
        [alone("one cached", 2)],
    )
    assert codes == [[0, 0], [0, 0], [0], [0]], noise[-3000:]
    assert record(tmp_path / "two")["processes"] == 2
    for together, single in (("two", "one"), ("two cached", "one cached")):
        np.testing.assert_allclose(
            record(tmp_path / together)["losses"], record(tmp_path / single)["losses"], rtol=1e-5
        )
        assert record(tmp_path / together)["tokens"] == record(tmp_path / single)["tokens"]
        trained, expected = (load_file(tmp_path / folder / "model.safetensors") for folder in (together, single))
        for name, tensor in expected.items():
            torch.testing.assert_close(trained[name], tensor, rtol=1e-5, atol=1e-6)


def test_a_half_written_state_does_not_count(tmp_path):
    for step, whole in ((10, True), (20, True), (100, False)):
        folder = tmp_path / "states" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trained.safetensors").write_bytes(b"")
        if whole:
            complete_state(folder, {"step": step})
    assert newest_state(tmp_path).name == "checkpoint-20"
