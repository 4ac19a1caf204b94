"""One command runs every case with every contender, proves their vectors, and leaves a JSON that the report reads."""

from __future__ import annotations

import copy
import json

import pytest
import report
from side_by_side.goals import goals_table
from side_by_side.options import CASES, CONTENDERS
from side_by_side.results import Outcome, read_results
from side_by_side.table import PEERS, full_tables, short_tables

from bmretriever_integrations.device import cpu_has_bfloat16

TIMED = [case for case in CASES if case != "memory"]
EXPECTED = {*CONTENDERS, *(("ours-auto", "st-best-auto") if cpu_has_bfloat16() else ())}


@pytest.fixture
def outcomes(tiny_run) -> dict[str, Outcome]:
    return {outcome.case: outcome for outcome in read_results(tiny_run.path)[1]}


def test_every_case_and_contender_is_there(outcomes):
    assert list(outcomes) == list(CASES)
    for case in TIMED:
        expected = EXPECTED - ({"ours-int8"} if case == "passages" else set())  # 8 bits are for few tokens at a time
        assert set(outcomes[case].names()) | set(outcomes[case].raw["not_installed"]) == expected
        assert outcomes[case].depths == [2, 3]
        assert outcomes[case].whole == 4


@pytest.mark.parametrize("case", TIMED)
def test_every_contender_gives_the_right_vectors(outcomes, case):
    outcome = outcomes[case]
    for name in outcome.names():
        assert outcome.right(name), (name, outcome.error(name), outcome.cosine(name))
        assert outcome.error(name) <= 1e-5 or outcome.dtype(name) in ("bfloat16", "int8")
    assert outcome.raw["likeness_of_texts"] < 0.999  # a vector of another text would not pass for right


def test_rounds_are_carried_by_pytest_benchmark(tiny_run, outcomes):
    for entry in tiny_run.content["benchmarks"]:
        rounds = 1 if "memory" in entry["name"] else 2
        assert entry["stats"]["rounds"] == rounds
    for case in TIMED:
        for name, contender in outcomes[case].raw["contenders"].items():
            for depth in contender["depths"].values():
                always = name.removesuffix("-auto") in ("ours", "ours-int8", "st-best")
                assert [times is None for times in depth["seconds"]] == [False, not always]
    whole = sum(
        times
        for contender in outcomes["passages"].raw["contenders"].values()
        for depth in contender["depths"].values()
        for times in depth["seconds"][0]
    )
    first_round = tiny_run.content["benchmarks"][0]["stats"]["data"][0]
    assert whole <= first_round  # what pytest-benchmark timed holds these runs


def test_tokens_given_to_the_network(outcomes):
    passages, queries = outcomes["passages"], outcomes["queries"]
    assert passages.computed_share("ours") <= 1  # packed
    assert passages.computed_share("st-default") > 1  # padded
    assert queries.computed_share("ours") < 0.8  # the instruction once for all
    assert 0.8 < queries.computed_share("haystack") < 1.2  # one by one, a share
    assert queries.raw["contenders"]["haystack"]["share_of_texts"] < 1


def test_what_the_device_does_at_most_is_measured(outcomes):
    for case in TIMED:
        raw = outcomes[case].raw
        assert set(raw["matmul_peak"]) == {"float32", *(("bfloat16",) if cpu_has_bfloat16() else ())}
        assert raw["read_bandwidth"] > 1e8
        for name, contender in raw["contenders"].items():
            two, three = (contender["depths"][depth]["computed_flops"] for depth in ("2", "3"))
            assert 0 < two < three < 2 * two * (1 + name.startswith("ours"))
    shares = [
        outcomes["queries"].raw["contenders"][name]["depths"]["3"]["computed_flops"] for name in ("ours", "st-best")
    ]
    assert shares[0] < 0.8 * shares[1]


def test_sentence_transformers_at_its_best_tried_batch_sizes(outcomes):
    settings = outcomes["passages"].raw["contenders"]["st-best"]["settings"]
    assert set(settings["tried"]) <= {"sdpa, batches of 2", "sdpa, batches of 4"}
    fastest = min(settings["tried"], key=settings["tried"].get)
    assert f"{settings['attention']}, batches of {settings['batch_size']}" == fastest


def test_memory_is_that_of_fresh_processes(outcomes):
    found = outcomes["memory"].raw["contenders"]
    assert list(found) == ["ours", "st-default"]
    for runs in found.values():
        assert [run["passages"] for run in runs] == [20, 60]
        assert all(0 < run["process_bytes"] < 500e6 for run in runs)


def test_what_is_told_of_the_machine(tiny_run):
    machine = tiny_run.content["machine_info"]
    assert machine["threads_used"] == 1
    assert "node" not in machine
    assert {"cpu", "cores", "memory_gib", "python"} <= set(machine)
    assert {"torch", "transformers", "sentence-transformers"} <= set(tiny_run.content["versions"])
    assert tiny_run.content["commit_info"] == {"id": "c0ffee"}
    options = tiny_run.content["options"]
    assert (options["rounds"], options["tiny"], options["threads"]) == (2, True, 1)
    assert str(tiny_run.path.parent) not in tiny_run.path.read_text()  # no place on a machine


def test_tables_are_printed_at_the_end(tiny_run):
    results = [read_results(tiny_run.path)]
    assert short_tables(results) in tiny_run.printed
    assert full_tables(results) in tiny_run.printed
    assert len(short_tables(results).splitlines()) >= 4 + len(TIMED)


def test_the_command_for_gpus_says_what_it_does(tiny_run):
    """Machine first, the goals last."""
    printed = tiny_run.printed
    steps = [
        "== machine and versions",
        "torch  ",
        "== benchmark, ",
        "| times faster than |",
        "| goal |",
        "seconds in all",
    ]
    assert sorted(steps, key=printed.index) == steps
    assert goals_table(read_results(tiny_run.path)[1], on_gpu=False) in printed
    assert "tests.txt" not in printed
    assert "these numbers show that everything runs, nothing else" in printed


def test_speed_with_wrong_vectors_is_not_shown(tiny_run):
    content = copy.deepcopy(tiny_run.content)
    passages = content["benchmarks"][0]["extra_info"]["result"]
    passages["contenders"]["haystack"]["depths"]["3"]["equality"] = {
        "relative_error": 1.1,
        "cosine": 0.53,
        "right": False,
    }
    row = short_tables([(content, [Outcome(passages)])]).splitlines()[4].split(" | ")
    assert row[1 + list(PEERS).index("haystack")] == "wrong vectors: cosine 0.5300"
    passages["contenders"]["ours"]["depths"]["2"]["equality"] = {"relative_error": 1.1, "cosine": 0.97, "right": False}
    assert short_tables([(content, [Outcome(passages)])]).count("our vectors are wrong: cosine 0.9700") == len(PEERS)


def test_runs_of_one_machine_stand_together(tiny_run):
    content, outcomes = read_results(tiny_run.path)
    queries, others = [[o for o in outcomes if (o.case == "queries") is wanted] for wanted in (True, False)]
    gpu = {**content, "machine_info": {**content["machine_info"], "gpu": "NVIDIA X", "gpu_memory_gib": 80.0}}
    short = short_tables([(gpu, others), (content, outcomes), (gpu, queries)])
    assert short.count("NVIDIA X") == 1
    assert short.index("passages in bulk") < short.index("queries in bulk")
    full = full_tables([(gpu, others), (gpu, queries)])
    assert full.count("### NVIDIA X") == full.count("| goal |") == 1
    assert full.count("Texts:") == 2  # each run with its versions and its commit


def test_report_fills_the_pages_and_draws_the_chart(tiny_run, tmp_path, monkeypatch):
    pages = {name: tmp_path / name for name in ("README.md", "benchmarks.md")}
    for page in pages.values():
        page.write_text("before\n<!-- benchmark table -->\nold\n<!-- /benchmark table -->\nafter\n")
    given = [tiny_run.path, "--readme", pages["README.md"], "--docs", pages["benchmarks.md"]]
    monkeypatch.setattr("sys.argv", ["report.py", *map(str, given)])
    for _ in range(2):  # a second time nothing changes
        assert report.main() == 0
        for page, part in zip(pages.values(), report.parts([tiny_run.path]), strict=True):
            inner = f"<!-- benchmark table -->\n\n{part}\n\n<!-- /benchmark table -->"
            assert page.read_text() == f"before\n{inner}\nafter\n"
    assert "How many times faster" in (tmp_path / "benchmarks-tiny.svg").read_text()


@pytest.mark.parametrize(("content", "said"), [({"benchmarks": []}, "schema"), (None, "must be there once each")])
def test_report_refuses_other_json_and_missing_markers(tiny_run, tmp_path, monkeypatch, content, said):
    (tmp_path / "other.json").write_text(json.dumps(content))
    (tmp_path / "page.md").write_text("no markers")
    result = tiny_run.path if content is None else tmp_path / "other.json"
    monkeypatch.setattr("sys.argv", ["report.py", str(result), "--readme", str(tmp_path / "page.md")])
    with pytest.raises(ValueError, match=said):
        report.main()
    assert (tmp_path / "page.md").read_text() == "no markers"
