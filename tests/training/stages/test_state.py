"""A run that goes on from its states although files were damaged, and what is said where it cannot."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file

from bmretriever_integrations.training.stages import network as networks
from bmretriever_integrations.training.stages.run import train_stage
from bmretriever_integrations.training.stages.settings import LoraSettings, StageSettings
from bmretriever_integrations.training.stages.state import newest_state


def train(base, data, output, **given):
    fixed = {"batch_size": 8, "learning_rate": 3e-3, "max_steps": 4, "max_length": 48, "temperature": 20.0}
    settings = StageSettings(**{**fixed, "eval_share": 0.0, "log_every": 1, "save_every": 2, **given})
    return train_stage(base, data, output, settings, progress=False)


@pytest.fixture(scope="module")
def doses(tmp_path_factory, write_doses):
    """The pairs of all runs here: a run names its file."""
    return write_doses(tmp_path_factory.mktemp("pairs") / "pairs" / "doses.parquet")


@pytest.fixture(scope="module")
def whole(tiny, doses, tmp_path_factory):
    """Losses and weights of a run that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    return train(tiny("llama"), doses, folder)["losses"], load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def stopped_once(tiny, doses, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped") / "out"

    def full(*_given):
        raise OSError("no space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "save_network", full)
        with pytest.raises(OSError, match="no space left"):
            train(tiny("llama"), doses, folder)
    assert newest_state(folder).name == "checkpoint-4"
    return folder


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """The folder of a run that was stopped when it had trained and not yet saved, with the states of steps 2 and 4."""
    return shutil.copytree(stopped_once, tmp_path / "out")


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "trained.safetensors", "trainer_state.json", "progress.json", "missing"]
)
def test_a_damaged_newest_state_is_passed_over(tiny, doses, stopped, whole, name):
    newest = stopped / "states" / "checkpoint-4"
    if name == "missing":
        (newest / "scheduler.pt").unlink()
    else:
        halve(newest / name)
    with pytest.warns(UserWarning, match=r"checkpoint-4.* is damaged.*; the run goes on from checkpoint-2"):
        record = train(tiny("llama"), doses, stopped)
    losses, weights = whole
    assert record["losses"] == losses
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load_file(stopped / "model.safetensors").items())


def test_a_run_with_damaged_states_only_is_refused(tiny, doses, stopped):
    for number in (2, 4):
        halve(stopped / "states" / f"checkpoint-{number}" / "optimizer.pt")
    with pytest.raises(ValueError, match=r"checkpoint-2.optimizer\.pt is damaged, and no older state is whole: remove"):
        train(tiny("llama"), doses, stopped)


@pytest.fixture(scope="module")
def with_adapter(tiny, doses, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter") / "out"
    train(tiny("llama"), doses, folder, lora=LoraSettings(rank=2), max_steps=1)
    return folder


@pytest.mark.parametrize("content", ["", '{"settings"', "[1]", "[" * 100_000])
def test_damaged_records_are_said(tiny, doses, tmp_path, with_adapter, content):
    shutil.copytree(with_adapter, tmp_path / "out")
    whole = (tmp_path / "out" / "training.json").read_text()
    for path in (tmp_path / "out" / "training.json", tmp_path / "out" / "stage.json"):
        path.write_text(content)
        with pytest.raises(ValueError, match=rf"{path.name} is damaged: .*; remove the folder, or restore the file"):
            train(tiny("llama"), doses, tmp_path / "out", lora=LoraSettings(rank=2), max_steps=1)
        (tmp_path / "out" / "training.json").write_text(whole)
    (tmp_path / "out" / "adapter" / "adapter_config.json").write_text(content)
    with pytest.raises(ValueError, match=r"adapter_config\.json is damaged"):
        train(tmp_path / "out" / "adapter", doses, tmp_path / "two", lora=LoraSettings(rank=2), max_steps=1)
