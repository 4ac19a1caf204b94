"""Results of several machines stand side by side, and what is wanted of each kind of device beside what was measured."""

from __future__ import annotations

import json

import pytest
import report
from made_up_results import content, outcome, whole
from side_by_side.chart import draw_chart
from side_by_side.goals import goals_table
from side_by_side.overview import overview
from side_by_side.table import full_tables, machine, short_tables

SLOW = {"ours": whole(4.0, 4.0), "st-best": whole(5.0, 5.0)}
FAST = {"ours": whole(1.0, 1.0), "st-best": whole(2.0, 2.0)}
NOISY = {"ours": whole(1.0, 1.0), "st-best": whole(2.0, 9.0)}
BOTH = {**FAST, "ours-auto": whole(1.0, 1.0), "st-best-auto": whole(3.0, 3.0)}
IN_BFLOAT16 = {"ours-auto": "bfloat16", "st-best-auto": "bfloat16"}


def test_the_overview_spans_the_machines():
    gpu = {**FAST, "ours": whole(0.5, 0.5)}
    results = [
        (content(None), [outcome(gpu, dtypes=dict.fromkeys(gpu, "bfloat16")), outcome(gpu, model="1B")]),
        (content("CPU A"), [outcome(SLOW, model="1B"), outcome(SLOW), outcome(NOISY, case="queries")]),
        (content("CPU B", ("avx2", "avx512_bf16")), [outcome(BOTH, dtypes=IN_BFLOAT16)]),
    ]
    lines = overview(results).splitlines()
    assert lines[0].endswith("at its best | GPU, float32 | GPU, bfloat16 | CPU, float32 | CPU, bfloat16 |")
    assert lines[2:5] == [
        "| 410M, passages in bulk | - | 4.00 | 1.25 to 2.00 | 3.00 |",
        "| 410M, queries in bulk | - | - | too noisy | - |",
        "| 1B, passages in bulk | 4.00 | - | 1.25 | - |",
    ]
    assert lines[-3:] == [
        "GPU: Some GPU, 80 GiB.",
        "",
        "CPUs: CPU A, 2 threads; CPU B with AVX-512 BF16, 2 threads.",
    ]


def test_a_machine_is_named_by_what_decides():
    names = [machine(content("CPU", flags)) for flags in ((), ("avx2",), ("avx512_bf16",), ("avx512_bf16", "amx_bf16"))]
    assert names == ["CPU, 2 threads"] * 2 + ["CPU with AVX-512 BF16, 2 threads", "CPU with AMX, 2 threads"]


def test_of_two_runs_of_one_machine_the_later_counts():
    results = [(content(), [outcome(SLOW)]), (content(day=2), [outcome(FAST)])]
    assert "| 2.00 |" in overview(results)
    assert short_tables(results).count("passages in bulk") == 1
    assert full_tables(results).split("**Goals**")[0].count("passages in bulk") == 2  # each run as it was


def test_a_result_that_is_dropped_into_the_folder_appears(tmp_path, monkeypatch):
    """In both pages, with its chart, after the GPUs' and the older ones."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    for name, said, of in (
        ("new", content("CPU B", day=2), FAST),
        ("old", content("CPU A"), SLOW),
        ("gpu", content(None, day=3), FAST),
    ):
        said["benchmarks"] = [{"extra_info": {"result": outcome(of).raw}}]
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
    paths = report.committed()
    assert [path.stem for path in paths] == ["gpu", "old", "new"]
    readme, docs = report.parts(paths)
    assert "| 410M, passages in bulk | 2.00 | 1.25 to 2.00 |" in readme
    short, _, full = docs.partition("###")
    assert short.index("**Some GPU") < short.index("**CPU A") < short.index("**CPU B") < short.index("-new.svg)")
    assert "### CPU A" not in short
    assert full.index("### CPU A, 2 threads") < full.index("### CPU B, 2 threads")
    for page in ("README.md", "benchmarks.md"):
        (tmp_path / page).write_text("<!-- benchmark table --><!-- /benchmark table -->")
    given = ["--readme", str(tmp_path / "README.md"), "--docs", str(tmp_path / "benchmarks.md")]
    monkeypatch.setattr("sys.argv", ["report.py", *given])
    assert report.main() == 0
    assert readme in (tmp_path / "README.md").read_text()
    assert docs in (tmp_path / "benchmarks.md").read_text()
    chart = (tmp_path / "benchmarks-new.svg").read_text()
    assert all(said in chart for said in ("CPU B, 2 threads", "passages in bulk", "sentence-transformers at its best"))


def test_a_chart_draws_no_noise(tmp_path):
    for name, outcomes in (("some", [outcome(FAST), outcome(NOISY, case="queries")]), ("none", [outcome(NOISY)])):
        draw_chart(tmp_path / f"{name}.svg", [(content(), outcomes)])
    some, none = ((tmp_path / f"{name}.svg").read_text() for name in ("some", "none"))
    assert "passages in bulk" in some
    assert "queries in bulk" not in some
    assert "in bulk" not in none


@pytest.fixture
def reached():
    """One query of 410M on a CPU: 24 layers of a million weights."""
    rounds = {"ours": 0.1, "st-best": 0.2, "ours-auto": 0.1, "st-best-auto": 0.12, "ours-int8": 0.04}
    return outcome(
        {name: {"24": [[of]] * 3} for name, of in rounds.items()},
        dtypes={**IN_BFLOAT16, "ours-int8": "int8"},
        case="one-query",
        weights_of_layer=1_000_000,
        read_bandwidth=1.2e9,
    )


def goals(outcomes, on_gpu=False):
    cells = [line.strip("| ").split(" | ") for line in goals_table(outcomes, on_gpu).splitlines()[2:]]
    return {what: rest for what, *rest in cells}


def test_goals_for_a_cpu(reached):
    found = goals([reached])
    assert found["410M, one query, float32: times sentence-transformers at its best"] == ["1.50", "2.00", "yes"]
    assert found["410M, one query, float32: of the memory bandwidth"] == ["70 %", "80 %", "yes"]
    assert found["410M, one query, bfloat16: times sentence-transformers at its best"] == ["1.50", "1.20", "**no**"]
    assert found["410M, one query, bfloat16: of the memory bandwidth"] == ["70 %", "40 %", "**no**"]
    assert found["410M, one query, int8: times sentence-transformers at its best"] == ["2.50", "3.00", "yes"]
    assert found["1B, one query, float32: times sentence-transformers at its best"] == ["1.50", "-", "not measured"]
    for model in ("410M", "1B"):
        assert found[f"{model}, passages in bulk, float32: times sentence-transformers at its best"][0] == "1.25"
        assert found[f"{model}, passages in bulk, bfloat16: times sentence-transformers at its best"][0] == "1.70"
        assert found[f"{model}, passages in bulk, bfloat16: of the matmul peak"][0] == "75 %"
        assert found[f"{model}, queries in bulk, float32: times sentence-transformers at its best"][0] == "2.50"


def test_int8_is_measured_against_bfloat16(reached):
    for name in ("ours-auto", "st-best-auto"):
        del reached.raw["contenders"][name]
    assert goals([reached])["410M, one query, int8: times sentence-transformers at its best"][1] == "-"


def test_a_refused_ratio_reaches_no_goal():
    noisy, refused = outcome(NOISY), ["1.25", "-", "too noisy, or wrong vectors"]
    assert goals([noisy])["410M, passages in bulk, float32: times sentence-transformers at its best"] == refused


def test_each_kind_of_device_has_its_goals():
    on_gpu = goals([outcome(FAST, dtypes=dict.fromkeys(FAST, "bfloat16"))], on_gpu=True)
    assert on_gpu["410M, passages in bulk, bfloat16: times sentence-transformers at its best"] == [
        "1.50",
        "2.00",
        "yes",
    ]
    assert any(goal.startswith("7B") for goal in on_gpu)
    assert not any(goal.startswith("7B") for goal in goals([]))
    tables = [full_tables([(content(kind), [outcome(FAST)])]) for kind in (None, "CPU")]
    assert ["7B, passages" in table for table in tables] == [True, False]
