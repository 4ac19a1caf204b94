"""A stage from pairs to checkpoint, at a size that takes seconds."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from transformers import AutoModel, AutoTokenizer, BertConfig, LlamaModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.instructions import stored_instructions
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode
from bmretriever_integrations.training.pairs.schema import PairWriter, read_pairs
from bmretriever_integrations.training.stages import network as networks
from bmretriever_integrations.training.stages import record
from bmretriever_integrations.training.stages import run as runs
from bmretriever_integrations.training.stages.loss import StageLoss
from bmretriever_integrations.training.stages.network import LastTokenVectors, open_base
from bmretriever_integrations.training.stages.run import train_stage
from bmretriever_integrations.training.stages.settings import LoraSettings, StageSettings

TEXTS = ["aspirin dose 2", "heparin " * 90, ""]
PROMPTS = [passage_prompt(text) for text in TEXTS]


def settings(**given):
    base = {
        "max_steps": 4,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "warmup_share": 0.5,
        "max_length": 48,
        "negatives": 1,
        "temperature": 20.0,  # random tiny vectors have norm 8, so products near 64
        "eval_share": 0.1,
        "log_every": 1,
    }
    return StageSettings(**{**base, **given})


def train(base, data, output, **given):
    return train_stage(base, data, output, settings(**given), progress=False)


def error(vectors, expected):
    return (np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)).max()


def test_a_stage_learns_and_the_same_seed_gives_the_same_curve(tiny, doses, tmp_path):
    record = train(tiny("llama"), doses, tmp_path / "one", max_steps=40, log_every=10, save_every=10, eval_every=20)
    losses = dict(record["losses"])
    assert losses[40] < 0.8 * losses[1]
    assert [step for step, _ in record["evaluations"]] == [0, 20, 40]
    assert record["evaluations"][2][1]["ndcg@10"] > record["evaluations"][0][1]["ndcg@10"]
    again = train(tiny("llama"), doses, tmp_path / "two", max_steps=40, log_every=10, save_every=10, eval_every=20)
    assert again["losses"] == record["losses"]
    other = train(tiny("llama"), doses, tmp_path / "three", max_steps=10, log_every=10, save_every=10, seed=1)
    assert other["losses"][0] != record["losses"][0]
    assert record["tokens"] > 40 * 8 * 3 * 10
    assert record["settings"]["temperature"] == 20.0
    assert json.loads((tmp_path / "one" / "training.json").read_text())["losses"] == [
        list(row) for row in record["losses"]
    ]
    assert sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir())[-1] == "tensorboard"


def test_tensorboard_finds_losses_and_scores(tiny, doses, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny("llama"), doses, tmp_path / "out")
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard")).Reload()
    tags = events.Tags()["scalars"]
    assert {"train/loss", "eval/ndcg@10", "eval/recall@10"} <= set(tags)
    assert len(events.Scalars("train/loss")) == 4


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stage_that_changes_nothing_leaves_the_vectors(tiny, doses, tmp_path, architecture):
    train(tiny(architecture), doses, tmp_path / "out", learning_rate=1e-12, max_steps=2)
    expected = reference_encode(tiny(architecture), PROMPTS)
    encoder = BMRetrieverEncoder(tmp_path / "out", dtype="float32")
    assert error(encoder.encode_passages(TEXTS), expected) <= 1e-5
    stock = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    assert error(stock.encode(PROMPTS), expected) <= 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_network_sees_the_ids_of_the_encoder(tiny, doses, tmp_path, architecture, monkeypatch):
    seen = set()
    forward = LastTokenVectors.forward

    def spy(self, features):
        lengths = features["attention_mask"].sum(1).tolist()
        seen.update(tuple(row[:length]) for row, length in zip(features["input_ids"].tolist(), lengths, strict=True))
        return forward(self, features)

    monkeypatch.setattr(LastTokenVectors, "forward", spy)
    train(tiny(architecture), doses, tmp_path / "out", max_length=16, max_steps=20, eval_share=0.0)
    tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(tiny(architecture)), 16)
    pairs = list(read_pairs(doses))
    texts = [query_prompt(pair.instruction, pair.query) for pair in pairs]
    texts += [passage_prompt(text) for pair in pairs for text in (pair.positive, *pair.negatives)]
    assert seen == {tuple(ids) for ids in tokenizer(texts)}


def test_a_normalised_stage_saves_a_model_that_normalises(tiny, doses, tmp_path):
    train(tiny("llama"), doses, tmp_path / "out", normalize=True, temperature=0.05, max_steps=2)
    vectors = BMRetrieverEncoder(tmp_path / "out", dtype="float32").encode_passages(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    with pytest.raises(ValueError, match=r"out was trained by cosines.*--set normalize=true --set temperature=0\.02"):
        train(tmp_path / "out", doses, tmp_path / "further", max_steps=1)


def test_a_stage_by_the_cosine_saves_a_model_whose_dot_product_is_the_cosine(tiny, doses, tmp_path):
    cosine = train(tiny("llama"), doses, tmp_path / "out", similarity="cosine", temperature=0.05, max_steps=2)
    vectors = BMRetrieverEncoder(tmp_path / "out", dtype="float32").encode_passages(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    unit = train(tiny("llama"), doses, tmp_path / "unit", normalize=True, temperature=0.05, max_steps=2)
    np.testing.assert_allclose(np.array(cosine["losses"]), np.array(unit["losses"]), rtol=1e-3)


def test_the_plain_class_is_saved(tiny, doses, tmp_path):
    train(tiny("llama"), doses, tmp_path / "out", max_steps=1)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["architectures"] == ["LlamaModel"]
    assert type(AutoModel.from_pretrained(tmp_path / "out")) is LlamaModel


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_adapter_merges_to_the_same_vectors(tiny, doses, tmp_path, architecture):
    lora = LoraSettings(rank=4, alpha=8)
    train(tiny(architecture), doses, tmp_path / "out", lora=lora, learning_rate=1e-2, gradient_checkpointing=True)
    merged = BMRetrieverEncoder(tmp_path / "out", dtype="float32").encode_passages(TEXTS)
    adapter = BMRetrieverEncoder(tmp_path / "out" / "adapter", dtype="float32").encode_passages(TEXTS)
    assert error(adapter, merged) <= 1e-5
    assert error(merged, reference_encode(tiny(architecture), PROMPTS)) > 1e-3
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 8, str(tiny(architecture)))
    layers = 8 if architecture == "gpt_neox" else 14  # every linear layer of both blocks
    assert len({name.rsplit(".", 1)[-1] for name in config["target_modules"]}) == layers // 2


def test_gradient_checkpointing_and_caching_change_no_loss(tiny, doses, tmp_path):
    plain = train(tiny("mistral"), doses, tmp_path / "a")["losses"]
    spared = train(
        tiny("mistral"), doses, tmp_path / "b", gradient_checkpointing=True, gradient_caching=True, mini_batch_tokens=64
    )["losses"]
    np.testing.assert_allclose(np.array(spared), np.array(plain), rtol=1e-4)


def test_a_warm_up_of_all_steps_is_refused(tiny, doses, tmp_path):
    with pytest.raises(ValueError, match=r"warmup_steps is 100, but the stage has 8 steps.*warmup_share to 0\.1"):
        train(tiny("llama"), doses, tmp_path / "out", max_steps=None, epochs=1, warmup_steps=100, warmup_share=None)
    short = {"max_steps": None, "epochs": 1, "log_every": 5, "save_every": 5}
    record = train(tiny("llama"), doses, tmp_path / "out", warmup_steps=7, warmup_share=None, **short)
    assert [step for step, _ in record["losses"]] == [1, 5, 8]  # the last one too


def test_the_record_counts_the_pairs_of_each_task(tiny, doses, tmp_path):
    record = train(tiny("llama"), doses, tmp_path / "out", max_steps=1)
    assert set(record["tasks"]) == {"dose 0", "dose 1"}
    for task in record["tasks"].values():
        assert task["pairs"] + task["held_out"] == 40
    assert record["left_out"] == 0
    assert sum(task["held_out"] for task in record["tasks"].values()) > 0


def test_the_folder_names_the_instructions_it_was_trained_with(tiny, doses, tmp_path):
    train(tiny("llama"), doses, tmp_path / "one", max_steps=1, lora=LoraSettings(rank=2))
    for folder in (tmp_path / "one", tmp_path / "one" / "adapter"):
        found = stored_instructions(folder)
        assert {found[name] for name in ("query", "dose 0", "dose 1")} == {"Given a question, find a dose"}
    with PairWriter(tmp_path / "two.parquet") as writer:
        for pair in read_pairs(doses):
            instruction = f"Given a question, find a {pair.task}"
            writer.write(replace(pair, instruction=instruction))
    train(tiny("llama"), tmp_path / "two.parquet", tmp_path / "two", max_steps=1)
    found = stored_instructions(tmp_path / "two")
    assert (found["dose 0"], found["dose 1"]) == ("Given a question, find a dose 0", "Given a question, find a dose 1")
    assert found["query"] == DEFAULT_INSTRUCTION  # no one of them is that of all queries


class HalfLoss(StageLoss):
    def forward(self, sentence_features, labels):
        return super().forward(sentence_features, labels) / 2


class Count(BaseEvaluator):
    def __init__(self, pairs, tokenizer, settings):
        super().__init__()
        self.pairs = pairs

    def __call__(self, model, output_path=None, epoch=-1, steps=-1):
        return {"pairs": float(len(self.pairs))}


def test_a_loss_and_an_evaluator_of_ones_own(tiny, doses, tmp_path):
    given = {"settings": settings(max_steps=1), "progress": False}
    plain = train_stage(tiny("llama"), doses, tmp_path / "plain", **given)
    own = train_stage(tiny("llama"), doses, tmp_path / "own", loss=HalfLoss, evaluator=Count, **given)
    assert own["losses"][0][1] == pytest.approx(plain["losses"][0][1] / 2)
    assert own["tokens"] == plain["tokens"] > 0
    held_out = sum(task["held_out"] for task in own["tasks"].values())
    assert own["evaluations"] == [(0, {"pairs": held_out}), (1, {"pairs": held_out})]
    with pytest.raises(ValueError, match="it differs in the loss"):
        train_stage(tiny("llama"), doses, tmp_path / "own", **given)


def test_a_missing_peft_is_said_before_the_base_is_loaded(tiny, doses, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"lora needs peft: run pip install \"bmretriever-integrations\[train\]\""):
        train("none", doses, tmp_path / "out", lora=LoraSettings())
    monkeypatch.setattr(record, "PACKAGES", ("torch", "no-such-package"))  # as peft where nothing needs it
    assert set(train(tiny("llama"), doses, tmp_path / "out", max_steps=1)["versions"]) == {"torch"}


def test_schedule_and_decay_reach_the_optimizer(tiny, doses, tmp_path):
    linear = train(tiny("llama"), doses, tmp_path / "a", max_steps=8)["losses"]
    constant = train(tiny("llama"), doses, tmp_path / "b", max_steps=8, schedule="constant_with_warmup")["losses"]
    assert constant[:3] == linear[:3]
    assert constant[7] != linear[7]
    decayed = train(tiny("llama"), doses, tmp_path / "c", max_steps=8, weight_decay=10.0)["losses"]
    assert decayed[7] != linear[7]
    clipped = train(tiny("llama"), doses, tmp_path / "d", max_steps=8, max_grad_norm=1e-6)["losses"]
    assert clipped[7] != linear[7]


def test_bf16_is_refused_where_the_device_has_none(tiny, doses, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "resolve_dtype", lambda dtype, device: torch.float32)
    with pytest.raises(ValueError, match="this cpu does not compute in bfloat16: set bf16 to false"):
        train(tiny("llama"), doses, tmp_path / "out", bf16=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("caching", [False, True])
def test_bf16_trains_float32_weights(tiny, doses, tmp_path, monkeypatch, caching):
    monkeypatch.setattr(networks, "resolve_dtype", lambda dtype, device: torch.bfloat16)
    plain = train(tiny("llama"), doses, tmp_path / "a")["losses"]
    rounded = train(tiny("llama"), doses, tmp_path / "b", bf16=True, gradient_caching=caching)["losses"]
    assert rounded != plain
    np.testing.assert_allclose(np.array(rounded), np.array(plain), rtol=0.05)
    assert AutoModel.from_pretrained(tmp_path / "b").dtype == torch.float32


def test_a_base_that_is_not_causal_is_refused(tiny, tmp_path):
    folder = shutil.copytree(tiny("llama"), tmp_path / "bert")
    (folder / "model.safetensors").unlink()
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4}
    AutoModel.from_config(BertConfig(vocab_size=vocabulary, **sizes)).save_pretrained(folder)
    with pytest.raises(ValueError, match="is not causal"):
        open_base(str(folder), settings())


def test_a_lora_base_in_bf16_is_half_the_size(tiny, monkeypatch):
    monkeypatch.setattr(networks, "resolve_dtype", lambda dtype, device: torch.bfloat16)
    network = open_base(str(tiny("llama")), settings(bf16=True, lora=LoraSettings())).network
    kinds = {parameter.requires_grad: parameter.dtype for parameter in network.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}


def test_what_is_wrong_is_said_before_the_output_is_touched(tiny, doses, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(FileNotFoundError, match="is no folder, no hub id"):
        train(tmp_path / "none", doses, out)
    with pytest.raises(FileNotFoundError, match="no pairs at"):
        train(tiny("llama"), tmp_path / "none", out)
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(ValueError, match="is no parquet file of pairs"):
        train(tiny("llama"), tmp_path / "text.parquet", out)
    with pytest.raises(ValueError, match="fewer than batch_size 100"):
        train(tiny("llama"), doses, out, batch_size=100)
    damaged = shutil.copytree(tiny("llama"), tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes((tiny("llama") / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"damaged.model.safetensors is damaged or incomplete"):
        train(damaged, doses, out)
    assert not out.exists()
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"is no training run: it holds thesis\.txt"):
        train(tiny("llama"), doses, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_loss_that_is_no_number_stops_the_run(tiny, doses, tmp_path):
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step \d+: lower learning_rate"):
        train(tiny("llama"), doses, tmp_path / "out", learning_rate=1e30, max_steps=20, warmup_share=0.0)


def test_a_finished_run_is_not_run_again_and_not_overwritten(tiny, doses, tmp_path, monkeypatch):
    record = train(tiny("llama"), doses, tmp_path / "out")
    monkeypatch.setattr(runs.pairs, "prepare", None)  # a second training would call it
    assert train(tiny("llama"), doses, tmp_path / "out") == json.loads(json.dumps(record))
    with pytest.raises(ValueError, match=r"learning_rate \(0\.003 there, 0\.1 now\)"):
        train(tiny("llama"), doses, tmp_path / "out", learning_rate=0.1)
    with pytest.raises(ValueError, match="it differs in the base"):
        train(tiny("mistral"), doses, tmp_path / "out")
    content = bytearray(doses.read_bytes())
    content[len(content) // 4] ^= 1  # in the texts, neither size nor footer change
    doses.write_bytes(content)
    with pytest.raises(ValueError, match="it differs in the data"):
        train(tiny("llama"), doses, tmp_path / "out")


def test_a_run_that_could_not_save_goes_on_to_save(tiny, doses, tmp_path, monkeypatch):
    def full(*_given):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(networks, "save_network", full)
        with pytest.raises(OSError, match="no space left"):
            train(tiny("llama"), doses, tmp_path / "out")
    record = train(tiny("llama"), doses, tmp_path / "out")
    assert record["losses"] == train(tiny("llama"), doses, tmp_path / "whole")["losses"]
    saved = [load_file(tmp_path / folder / "model.safetensors") for folder in ("out", "whole")]
    assert all(torch.equal(tensor, saved[1][name]) for name, tensor in saved[0].items())


def test_a_second_start_of_a_run_is_refused(tiny, doses, tmp_path, monkeypatch):
    def meanwhile(*given):
        with pytest.raises(BlockingIOError, match="is being written by another process"):
            train(tiny("llama"), doses, tmp_path / "out")
        return prepare(*given)

    prepare = runs.pairs.prepare
    monkeypatch.setattr(runs.pairs, "prepare", meanwhile)
    assert train(tiny("llama"), doses, tmp_path / "out")["steps"] == 4
    assert not (tmp_path / "out" / ".lock").exists()


def test_what_stopped_before_its_first_state_may_be_started_otherwise(tiny, doses, tmp_path):
    table = pq.read_table(doses)
    pq.write_table(table.drop_columns(["negatives", "negative_scores"]), doses)
    with pytest.raises(ValueError, match="no pair has any: mine them first"):
        train(tiny("llama"), doses, tmp_path / "out", negatives=1)
    assert train(tiny("llama"), doses, tmp_path / "out", negatives=0)["steps"] == 4


def test_an_adapter_is_trained_further(tiny, doses, tmp_path):
    lora = LoraSettings(rank=4, alpha=8)
    train(tiny("llama"), doses, tmp_path / "one", lora=lora, learning_rate=1e-2)
    train(tmp_path / "one" / "adapter", doses, tmp_path / "same", lora=lora, learning_rate=1e-12)
    train(tmp_path / "one" / "adapter", doses, tmp_path / "two", lora=lora, learning_rate=1e-2)
    first, same, second = (
        BMRetrieverEncoder(tmp_path / name, dtype="float32").encode_passages(TEXTS) for name in ("one", "same", "two")
    )
    assert error(same, first) <= 1e-5
    assert error(second, first) > 1e-3
    config = json.loads((tmp_path / "two" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny("llama"))  # one adapter holds both stages
    adapter = BMRetrieverEncoder(tmp_path / "two" / "adapter", dtype="float32").encode_passages(TEXTS)
    assert error(adapter, second) <= 1e-5


def test_an_adapter_of_another_base_is_not_trained_further(tiny, doses, tmp_path):
    lora = LoraSettings(rank=4, alpha=8)
    train(tiny("llama"), doses, tmp_path / "one", lora=lora, max_steps=1)
    config = tmp_path / "one" / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(tiny("llama")), str(tiny("gpt_neox"))))
    with pytest.raises(ValueError, match=r"does not fit|not found in the base model"):
        train(tmp_path / "one" / "adapter", doses, tmp_path / "two", lora=lora)


@pytest.mark.parametrize("further", [False, True])
def test_an_adapter_in_bfloat16_gets_no_copies_in_float32(tiny, doses, tmp_path, monkeypatch, further):
    monkeypatch.setattr(networks, "check_bf16", lambda _settings: None)
    lora, base = LoraSettings(rank=4, alpha=8), tiny("llama")
    if further:
        train(base, doses, tmp_path / "one", lora=lora, max_steps=1)
        base = tmp_path / "one" / "adapter"
    opened = open_base(str(base), settings(lora=lora, bf16=True))
    seen = set()
    for name, module in opened.network.named_modules():
        if name.endswith("lora_A.default"):
            assert (module.weight.dtype, module.weight.requires_grad) == (torch.float32, True)
            module.register_forward_hook(lambda _module, inputs, _output: seen.add(inputs[0].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        LastTokenVectors(opened.network, normalize=False)(
            {"input_ids": torch.full((2, 6), 9), "attention_mask": torch.ones(2, 6, dtype=torch.int64)}
        )
    assert seen == {torch.bfloat16}


def test_an_adapter_that_is_trained_further_keeps_its_rank(tiny, doses, tmp_path):
    train(tiny("llama"), doses, tmp_path / "one", lora=LoraSettings(rank=4, alpha=8), max_steps=1)
    with pytest.raises(ValueError, match="has rank 4 and alpha 8, the settings say 8 and 8"):
        train(tmp_path / "one" / "adapter", doses, tmp_path / "two", lora=LoraSettings(rank=8, alpha=8))


def test_a_seed_decides_an_adapters_first_weights(tiny, doses, tmp_path):
    def started(name, seed):
        train(tiny("llama"), doses, tmp_path / name, lora=LoraSettings(rank=4), max_steps=1, seed=seed)
        return load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")

    one, again, other = started("a", 1), started("b", 1), started("c", 2)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one if "lora_A" in name)
