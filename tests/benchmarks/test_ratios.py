"""What may be shown: no time that the device cannot reach, and no ratio that is noise."""

from __future__ import annotations

import pytest
from made_up_results import content, outcome, whole
from side_by_side.limits import is_possible, share_of_bandwidth, share_of_peak
from side_by_side.ratios import Spread, is_settled, is_shown, measured_ratio, pairs, ratio
from side_by_side.table import full_tables, short_tables


def made(found):
    return content(), [found]


def test_spread():
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0, 1)
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]).width == pytest.approx(2 / 3)


def test_two_slices_give_the_whole_model():
    found = outcome(
        {
            "ours": {"2": [[2.5], [2.7]], "4": [[4.5], [4.7]]},  # half a second, and one a layer
            "st-default": {"2": [[3.0], None], "4": [[6.0], None]},
        },
        matmul_peak={"float32": 1e9},
    )
    assert found.is_estimate
    assert found.seconds("ours") == {0: pytest.approx(24.5), 1: pytest.approx(24.7)}
    assert ratio(found, "st-default", "ours").middle == pytest.approx(36 / 24.5)
    assert found.texts_a_second("ours") == pytest.approx(10 / 24.6)
    assert found.tokens_a_second("ours") == pytest.approx(3000 / 24.6)
    assert share_of_peak(found, "ours") == pytest.approx(6 / 24.6)
    assert is_shown(found, "ours")


def test_one_slice_speaks_of_itself_alone():
    found = outcome({"ours": {"4": [[2.0]]}}, matmul_peak={"float32": 1e9})
    assert (found.whole, found.is_estimate) == (4, False)
    assert share_of_peak(found, "ours") == pytest.approx(0.5)  # a sixth of the operations, in 2 s


def test_latency_of_single_queries():
    items = [0.010, 0.011, 0.012, 0.013, 0.050]
    found = outcome({"ours": {"24": [items, items]}}, case="one-query")
    assert found.latency("ours", 50) == pytest.approx(12)
    assert found.latency("ours", 95) == pytest.approx(42.6)
    assert found.texts_a_second("ours") == pytest.approx(1 / 0.012)


def test_the_share_of_the_peak_is_of_the_work_that_was_done():
    """A query of which the half is shared, in half the time of a plain one, is no faster a network."""
    found = outcome({"ours": whole(2.0), "st-best": whole(4.0)}, flops=4e9, matmul_peak={"float32": 2e9})
    found.raw["contenders"]["ours"]["depths"]["24"] |= {"computed_flops": 2e9, "computed_tokens": 1500}
    assert share_of_peak(found, "ours") == share_of_peak(found, "st-best") == 0.5
    for what in ({"computed_tokens": None, "computed_flops": None}, {"dtype": "float16"}):
        entry = found.raw["contenders"]["ours"]
        (entry["depths"]["24"] if "dtype" not in what else entry).update(what)
        assert share_of_peak(found, "ours") is None  # of a replayed graph, or of a peak that nobody measured


def test_older_results_have_their_work_from_the_tokens():
    """410M computes 2 * 12,582,912 operations a token and layer, but the last layer for one token of each text only."""
    found = outcome({"ours": whole(1.0), "st-best": whole(1.0)}, matmul_peak={"float32": 1e12}, real_tokens=300)
    for name, tokens in (("ours", 150), ("st-best", 450)):
        entry = found.raw["contenders"][name]["depths"]["24"]
        entry["computed_tokens"] = tokens
        del entry["computed_flops"]
    layer = 2 * 12_582_912 / 1e12
    assert share_of_peak(found, "st-best") == pytest.approx(450 * 24 * layer, rel=0.01)
    assert share_of_peak(found, "ours") == pytest.approx(150 * (23 + 1 / 6 + 1 / 15 * 5 / 6) * layer, rel=0.01)


@pytest.mark.parametrize(("seconds", "possible"), [(6.0, True), (5.8, True), (5.6, False), (0.4, False)])
def test_no_time_is_shown_that_the_device_cannot_reach(seconds, possible):
    """6 GFLOP take 6 s on this device; measuring errs by a twentieth."""
    found = outcome({"ours": whole(seconds), "st-best": whole(12.0)}, matmul_peak={"float32": 1e9})
    assert is_possible(found, "ours") == is_shown(found, "ours") == is_shown(found, "st-best") == possible
    assert (ratio(found, "st-best", "ours") is not None) == possible
    table, _, _ = full_tables([made(found)]).partition("**Goals**")
    assert table.count("too noisy") == (0 if possible else 7)  # two rows of three figures, and a ratio
    assert table.count("%") == table.count("| 100 % |") + table.count("| 50 % |") == (2 if possible else 0)  # not 103 %


def test_fifty_texts_a_second_at_fifteen_times_the_peak():
    """Two noisy slices said so: 1B in bfloat16 on a machine of two threads."""
    found = outcome(
        {
            "ours": {"2": [[0.90], [1.10], [0.95]], "3": [[0.91], [1.11], [0.96]]},
            "st-best": {"2": [[0.95], [1.00], [0.98]], "3": [[1.40], [1.45], [1.50]]},
        },
        flops=16e9,
        matmul_peak={"float32": 1e9},
    )
    assert share_of_peak(found, "ours") > 13
    assert not is_possible(found, "ours")
    short, (full, _, _) = short_tables([made(found)]), full_tables([made(found)]).partition("**Goals**")
    assert (short.count("too noisy"), full.count("too noisy")) == (3, 7)
    assert "%" not in short + full
    assert f"{found.texts_a_second('ours'):.3g}" not in short + full


def test_a_layer_may_be_impossible_where_the_whole_is_not():
    """Two layers in 0.1 s are five times what the device does, although a slow start makes the whole's time look right."""
    found = outcome({"ours": {"2": [[10.0]], "4": [[10.1]]}}, matmul_peak={"float32": 1e9})
    assert share_of_peak(found, "ours") < 1
    assert not is_possible(found, "ours")


def slices(*rounds: tuple[float, float]) -> dict:
    return {"2": [[a] for a, _ in rounds], "4": [[b] for _, b in rounds]}


def test_slices_that_contradict_each_other_are_left_out_or_refused():
    good, bad = (1.0, 2.0), (2.0, 1.0)
    peer = slices(*[(2.0, 4.0)] * 4)
    once = outcome({"ours": slices(good, good, bad, good), "st-best": peer})
    assert ratio(once, "st-best", "ours") == Spread(2.0, 2.0, 2.0, 3)
    twice = outcome({"ours": slices(good, bad, bad, good), "st-best": peer})
    assert not is_possible(twice, "ours")
    assert measured_ratio(twice, "st-best", "ours").count == 2
    assert ratio(twice, "st-best", "ours") is None
    assert not is_shown(outcome({"ours": slices((5.0, 4.0))}), "ours")


def test_a_ratio_is_refused_where_its_quartiles_lie_too_far_apart():
    calm, wild = (1.0, 1.0, 1.0, 1.0), (1.0, 2.0, 1.0, 2.0)
    found = outcome({"ours": whole(*calm), "st-best": whole(2.0, 2.2, 2.2, 2.4), "st-default": whole(*wild)})
    assert ratio(found, "st-best", "ours").width < 0.25 < measured_ratio(found, "st-default", "ours").width
    assert [is_shown(found, name) for name in found.names()] == [True, True, False]
    row = short_tables([made(found)]).splitlines()[-1]
    assert row.split(" | ")[1:3] == ["**2.20** (2.15 to 2.25)", "too noisy"]
    rows = full_tables([made(found)]).split("**Goals**")[0].splitlines()
    assert [line.count("too noisy") for line in rows if line.startswith(("| ours", "| st"))] == [0, 0, 4]
    alone = outcome({"ours": whole(*wild), "st-best": whole(*calm)})
    assert not any(is_shown(alone, name) for name in alone.names())
    assert not is_shown(outcome({"ours": whole(*wild)}), "ours")  # nobody to compare with: its own times


def test_a_peer_whose_ratio_in_its_own_dtype_is_refused_shows_nothing():
    """Although int8 is steadily faster than it."""
    seconds = {
        "ours-auto": whole(1.0, 3.0, 1.0, 3.0),
        "st-best-auto": whole(*[4.0] * 4),
        "ours-int8": whole(*[1.0] * 4),
    }
    found = outcome(seconds, dtypes={"ours-auto": "bfloat16", "st-best-auto": "bfloat16", "ours-int8": "int8"})
    assert {name: is_shown(found, name) for name in seconds} == {
        "ours-auto": False,
        "st-best-auto": False,
        "ours-int8": True,
    }


def test_noise_that_hits_both_alike_is_none():
    found = outcome({"ours": whole(1.0, 3.0, 2.0), "st-best": whole(2.0, 6.0, 4.0)})
    assert ratio(found, "st-best", "ours") == Spread(2.0, 2.0, 2.0, 3)
    assert is_shown(found, "ours")


def test_rounds_are_enough_when_every_ratio_is_narrow():
    calm = outcome({"ours": whole(1.0, 1.0), "st-best": whole(2.0, 2.1), "haystack": {"24": [[3.0], [3.1]]}})
    assert is_settled(calm)
    calm.raw["contenders"]["haystack"]["depths"]["24"]["seconds"] = [[3.0], None]
    assert not is_settled(calm)  # one round has no spread
    calm.raw["contenders"]["haystack"]["depths"]["24"]["seconds"] = [[3.0], [4.0]]
    assert not is_settled(calm)
    calm.raw["contenders"]["haystack"]["depths"]["24"]["equality"] = {"right": False, "cosine": 0.5}
    assert is_settled(calm)  # nobody waits for wrong vectors
    good, bad = (1.0, 2.0), (2.0, 1.0)
    assert not is_settled(outcome({"ours": slices(good, bad, good), "st-best": slices(good, good, good)}))


def test_one_round_has_no_quartiles():
    table = short_tables([made(outcome({"ours": whole(1.0), "st-best": whole(2.0)}))])
    assert "**2.00** (one round)" in table


def test_each_of_ours_meets_sentence_transformers_in_its_own_dtype():
    names = ("ours", "st-best", "st-default", "ours-auto", "st-best-auto", "ours-int8")
    second = {"ours-auto": "bfloat16", "st-best-auto": "bfloat16", "ours-int8": "int8"}
    found = outcome({name: whole(1.0) for name in names}, dtypes=second)
    assert set(pairs(found)) == {
        ("st-best", "ours"),
        ("st-default", "ours"),
        ("st-best-auto", "ours-auto"),
        ("st-best-auto", "ours-int8"),
    }
    assert {found.dtype(peer) == found.dtype(own) for peer, own in pairs(found) if own != "ours-int8"} == {True}
    without = outcome({name: whole(1.0) for name in names if "auto" not in name}, dtypes=second)
    assert ("st-best", "ours-int8") in pairs(without)


def one_query(bandwidth, **seconds):
    dtypes = {"ours-int8": "int8", "ours-auto": "bfloat16", "st-best-auto": "bfloat16"}
    contenders = {name.replace("_", "-"): {"24": [[of, of]] * 3} for name, of in seconds.items()}
    return outcome(contenders, dtypes=dtypes, case="one-query", weights_of_layer=1_000_000, read_bandwidth=bandwidth)


def test_one_query_reads_every_weight_once():
    """24 layers of a million weights."""
    found = one_query(1e9, ours=0.12, ours_auto=0.06, ours_int8=0.03, st_best=0.2, st_best_auto=0.12)
    assert [share_of_bandwidth(found, name) for name in ("ours", "ours-auto", "ours-int8")] == pytest.approx([0.8] * 3)
    table = short_tables([made(found)])
    assert table.count("80 % of the memory bandwidth") == 3
    rows = full_tables([made(found)]).splitlines()
    assert "of the memory bandwidth" in next(line for line in rows if line.startswith("|  |"))
    (row,) = [line for line in rows if line.startswith("| ours-int8 |")]
    assert "| 80 % |" in row
    assert "| cosine >= 0.99 | **4.00** (4.00 to 4.00), than sentence-transformers at its best in bfloat16 |" in row
    assert share_of_bandwidth(outcome({"ours": whole(1.0)}, read_bandwidth=1e9), "ours") is None  # in bulk
    assert share_of_bandwidth(one_query(None, ours=0.12), "ours") is None  # on a GPU


def test_one_query_that_outran_the_memory_is_refused():
    """Its slices lay in the cache, where the whole model has no room."""
    found = one_query(1e9, ours=0.08, st_best=0.2)
    assert not is_possible(found, "ours")
    assert short_tables([made(found)]).splitlines()[-1].count("too noisy") == 3
