"""bmretriever export: what each option changes, what it prints and refuses, and what a stop or a full disk leaves."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors import safe_open

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints import RELEASED
from bmretriever_integrations.cli import main
from bmretriever_integrations.export import checkpoint, export_checkpoint
from bmretriever_integrations.export.card import RECORD
from bmretriever_integrations.files import whole_folder
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

TEXTS = ["aspirin", "heart " * 700]
PROMPTS = [f"Represent this passage\npassage: {text.strip()}" for text in TEXTS]


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def record(folder):
    return json.loads((folder / RECORD).read_text())


def passages(folder, **options):
    with BMRetrieverEncoder(folder, device="cpu", **{"dtype": "float32", **options}) as encoder:
        return encoder.encode_passages(TEXTS)


def test_it_says_what_it_wrote(tiny, tmp_path, capfd):
    model = str(tiny("mistral"))
    capfd.readouterr()  # making the tiny checkpoint shows a bar
    assert main(["export", model, "--to", str(tmp_path / "to")]) == 0
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"{tmp_path / 'to'}: {tiny('mistral').name}"
    assert re.fullmatch(r"float32, 64 wide, 0\.\d MB", lines[1])
    assert re.fullmatch(
        r"one query and one passage compared with the source in float32: largest relative error \d\.\de[+-]\d\d",
        lines[2],
    )
    assert err == ""
    assert os.listdir(tmp_path) == ["to"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_dtype(tiny, tmp_path, capsys, architecture, dtype):
    assert main(["export", str(tiny(architecture)), "--to", str(tmp_path / "to"), "--dtype", dtype]) == 0
    assert re.search(r"smallest cosine (0\.999\d*|1\.0*)\n", capsys.readouterr().out)
    with safe_open(tmp_path / "to" / "model.safetensors", "pt") as weights:
        assert {str(weights.get_tensor(name).dtype) for name in weights.keys()} == {f"torch.{dtype}"}  # noqa: SIM118
    assert json.loads((tmp_path / "to" / "config.json").read_text())["dtype"] == dtype
    right = reference_encode(tiny(architecture), PROMPTS)
    found = passages(tmp_path / "to", dtype=dtype)
    cosines = (found * right).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(right, axis=1)
    assert cosines.min() >= 0.999
    assert not np.array_equal(found, right)


def test_normalize_is_added_or_kept(tiny, tmp_path, error):
    right = reference_encode(tiny("llama"), PROMPTS)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    unit, again = tmp_path / "unit", tmp_path / "again"
    assert main(["export", str(tiny("llama")), "--to", str(unit), "--normalize"]) == 0
    assert main(["export", str(unit), "--to", str(again)]) == 0
    for folder in (unit, again):
        assert error(passages(folder), right) <= 1e-5
        assert record(folder)["normalize"]
        assert "the cosine here" in (folder / "README.md").read_text()


def test_max_length(tiny, tmp_path, error):
    models = pytest.importorskip("sentence_transformers")
    assert main(["export", str(tiny("gpt_neox")), "--to", str(tmp_path / "to"), "--max-length", "40"]) == 0
    right = reference_encode(tiny("gpt_neox"), PROMPTS, max_length=40)
    found = models.SentenceTransformer(str(tmp_path / "to"), device="cpu").encode_document([t.strip() for t in TEXTS])
    assert error(found, right) <= 1e-5
    assert error(reference_encode(tiny("gpt_neox"), PROMPTS), right) > 0.05


def test_a_released_checkpoint_is_named_with_revision_and_licence(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    small, other = RELEASED[0], "f" * 40
    snapshots = tmp_path / "hub" / f"models--{small.hub_id.replace('/', '--')}" / "snapshots"
    shutil.copytree(tiny("gpt_neox"), snapshots / small.revision)
    shutil.copytree(tiny("llama"), snapshots / other)
    assert main(["export", "410M", "--to", str(tmp_path / "pinned")]) == 0
    assert f"{small.hub_id} at revision {small.revision}\n" in capsys.readouterr().out
    assert main(["export", small.hub_id, "--to", str(tmp_path / "other"), "--revision", other]) == 0
    assert [record(tmp_path / name)["revision"] for name in ("pinned", "other")] == [small.revision, other]
    assert json.loads((tmp_path / "other" / "config.json").read_text())["model_type"] == "llama"
    card = (tmp_path / "pinned" / "README.md").read_text()
    assert f"license: mit\nbase_model: {small.hub_id}\n---\n" in card
    assert ModelCard(card).data.to_dict() == {
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": ["sentence-transformers", "feature-extraction", "bmretriever", "biomedical"],
        "license": "mit",
        "base_model": small.hub_id,
    }
    assert f"`{small.hub_id}`, revision `{small.revision}`" in card
    assert "MIT; it was trained from Pythia-410M" in card


def test_the_embedded_model(tmp_path, capsys):
    assert main(["export", "mini", "--to", str(tmp_path / "to")]) == 0
    np.testing.assert_allclose(passages(tmp_path / "to"), passages("mini"), rtol=1e-4, atol=1e-5)
    assert "license: apache-2.0\n---" in (tmp_path / "to" / "README.md").read_text()


def test_the_card_s_example_runs_and_no_file_tells_of_this_machine(tiny, tmp_path, capsys):
    pytest.importorskip("sentence_transformers")
    export_checkpoint(tiny("gemma"), tmp_path / "to")
    card = (tmp_path / "to" / "README.md").read_text()
    assert "licence: not known" not in card.split("---")[1]
    assert "license" not in card.split("---")[1]
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    exec(compile(code.replace("path/to/this/folder", str(tmp_path / "to")), "card", "exec"), {})
    assert "tensor(" in capsys.readouterr().out
    for name, data in content(tmp_path / "to").items():
        for place in (tmp_path, tmp_path.parent, tiny("gemma").parent, os.getcwd()):
            assert str(place).encode() not in data, name
        assert (tmp_path / "to" / name).stat().st_mode & 0o777 == 0o666 & ~umask()


def umask():
    now = os.umask(0)
    os.umask(now)
    return now


def test_overwrite_replaces_an_earlier_export_only(tiny, tmp_path, capsys):
    target = tmp_path / "to"
    command = ["export", str(tiny("llama")), "--to", str(target)]
    target.mkdir()  # an empty folder is free
    assert main(command) == 0
    before = content(target)
    assert main([*command, "--dtype", "float16"]) == 2
    assert "holds an earlier export; name a new folder, or replace it with --overwrite" in capsys.readouterr().err
    assert content(target) == before
    assert main([*command, "--dtype", "float16", "--overwrite"]) == 0
    assert record(target)["dtype"] == "float16"
    (target / RECORD).write_text('["something else"]')
    assert main([*command, "--overwrite"]) == 2
    assert "is not empty and is no earlier export" in capsys.readouterr().err
    assert record(target) == ["something else"]
    assert os.listdir(tmp_path) == ["to"]


MISTAKES = {
    ("export", "mini"): "the following arguments are required: --to",
    ("export", "nowhere", "--to", "x"): "model 'nowhere' is no folder",
    ("export", "mini", "--to", "x", "--dtype", "auto"): "invalid choice: 'auto'",
    ("export", "mini", "--to", "x", "--max-length", "0"): "must be a whole number from 1, got '0'",
    ("export", "mini", "--to", "x", "--max-length", "1"): "max_length must be at least 2, got 1",
    ("export", "{model}", "--to", "x", "--max-length", "4096"): "max_length must be at most 2048",
    ("export", "mini", "--to", "x", "--revision", "main"): "is not on the hub, so it has no revision 'main'",
    ("export", "{model}", "--to", "x", "--revision", "main"): "is not on the hub, so it has no revision 'main'",
    ("export", "{model}", "--to", "file"): "file is a file; name a folder",
    ("export", "{model}", "--to", "mine"): "mine is not empty and is no earlier export",
    ("export", "{model}", "--to", "mine", "--overwrite"): "mine is not empty and is no earlier export",
    ("export", "{model}", "--to", "{model}", "--overwrite"): "is the model itself; name another folder",
    ("export", "mine", "--to", "x"): "mine is no checkpoint: it has no config.json",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_prints_one_line_and_leaves_nothing(tiny, tmp_path, monkeypatch, error_of, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    assert MISTAKES[words] in error_of([word.format(model=tiny("gpt_neox")) for word in words])
    assert sorted(os.listdir(tmp_path)) == ["file", "mine"]


@pytest.fixture
def earlier(tiny, tmp_path):
    """A folder with an earlier export, and its files."""
    export_checkpoint(tiny("llama"), tmp_path / "to")
    return tmp_path / "to", content(tmp_path / "to")


def test_a_copy_that_is_not_the_source_is_not_kept(tiny, earlier, monkeypatch, capsys):
    target, before = earlier
    command = ["export", str(tiny("gemma")), "--to", str(target), "--overwrite"]
    for broken, message in ((moved_weight, "vectors differ from the source's by"), (no_eos, "gives other ids than")):
        monkeypatch.setattr(checkpoint, "fill", broken)
        assert main(command) == 2
        assert message in capsys.readouterr().err
        assert content(target) == before
        assert os.listdir(target.parent) == ["to"]


fill = checkpoint.fill


def moved_weight(folder, network, *rest, **named):
    network.layers[0].mlp.down_proj.weight.data[0, 0] += 1
    fill(folder, network, *rest, **named)


def no_eos(folder, *rest, **named):
    fill(folder, *rest, **named)
    whole = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**whole, "post_processor": None}))


def test_weights_that_a_number_type_cannot_hold(tiny, tmp_path, capsys):
    from transformers import AutoModel

    big = shutil.copytree(tiny("llama"), tmp_path / "big")
    network = AutoModel.from_pretrained(big)
    network.norm.weight.data *= 1e6
    network.save_pretrained(big)
    command = ["export", str(big), "--to", str(tmp_path / "to")]
    capsys.readouterr()
    assert main([*command, "--dtype", "float16"]) == 2
    assert "are not finite; use bfloat16 or float32" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["big"]
    assert main([*command, "--dtype", "bfloat16"]) == 0


def test_a_full_disk_leaves_the_earlier_export(tiny, earlier, capsys):
    target, before = earlier
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # the weights need more
    try:
        status = main(["export", str(tiny("llama")), "--to", str(target), "--overwrite"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 2
    assert "could not be written" in capsys.readouterr().err
    assert content(target) == before
    assert os.listdir(target.parent) == ["to"]


@pytest.mark.parametrize("moment", ["while writing", "between the renames"])
def test_a_killed_export_leaves_the_earlier_one(tiny, earlier, moment):
    target, before = earlier
    child = os.fork()
    if child == 0:  # no more than files in here: torch and tokenizers do not outlive a fork
        replace = os.replace

        def die(source, aim):
            if aim == target:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, aim)

        with whole_folder(target) as draft:
            (draft / "model.safetensors").write_bytes(b"new")
            if moment == "while writing":
                os.kill(os.getpid(), signal.SIGKILL)
            os.replace = die
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    aside = target.with_name(".to.replaced.tmp")
    assert content(target if moment == "while writing" else aside) == before
    export_checkpoint(tiny("mistral"), target, overwrite=True)
    assert os.listdir(target.parent) == ["to"]
    assert record(target)["source"] == tiny("mistral").name


def test_an_earlier_export_comes_back_when_the_next_one_fails(earlier):
    target, before = earlier
    os.replace(
        target, target.with_name(".to.replaced.tmp")
    )  # as a process leaves it that was killed between two renames
    with pytest.raises(KeyboardInterrupt), whole_folder(target):
        raise KeyboardInterrupt
    assert content(target) == before
    assert os.listdir(target.parent) == ["to"]
