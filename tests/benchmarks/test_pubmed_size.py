"""The page on PubMed's size says what its script works out, and the script's arithmetic is right."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bmretriever_integrations.checkpoints import RELEASED

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "pubmed_size.py"


@pytest.fixture(scope="module")
def size():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("pubmed_size", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["pubmed_size"] = module  # where dataclasses look for the names in their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["pubmed_size"]
    sys.path[:] = before


def test_the_page_holds_the_scripts_tables(size) -> None:
    page = size.PAGE.read_text(encoding="utf-8")
    made = size.tables(json.loads(size.MEASURED.read_text()), size.Assumed())
    assert set(re.findall(r"<!-- (\w+) -->", page)) == set(made)
    assert size.fill(page, made) == page
    assert size.fill(page, {**made, "disk": "| other |"}) != page


def test_hours_are_work_over_rate(size) -> None:
    measured = {"checkpoints": {"410M": {"abstract": {"gflop": 100.0}, "title": {"gflop": 10.0}}}}
    assumed = size.Assumed(records=36e6, with_abstract=0.5, peak=1e15, share_of_peak=0.55)
    hours = size.gpu_hours(measured, RELEASED[0], assumed)
    assert hours == pytest.approx(36e6 * 55e9 / 0.55e15 / 3600)
    assert hours == pytest.approx(1.0)
    for change, factor in (({"records": 72e6}, 2), ({"share_of_peak": 0.275}, 2), ({"with_abstract": 1.0}, 100 / 55)):
        assert size.gpu_hours(measured, RELEASED[0], replace(assumed, **change)) == pytest.approx(factor)


def test_work_is_about_two_for_each_weight_and_token(size) -> None:
    embedding = {"410M": 51_511_296, "1B": 103_022_592, "2B": 524_288_000, "7B": 131_072_000}  # rows x width
    for checkpoint in RELEASED:
        counted = json.loads(size.MEASURED.read_text())["checkpoints"][checkpoint.name]["abstract"]
        weights = checkpoint.parameters - embedding[checkpoint.name]
        attention = counted["gflop"] * 1e9 / (2 * weights * counted["tokens"])
        assert 1.0 < attention < 1.1, checkpoint.name  # what is above 1 is attention's


def test_memory_of_an_index(size) -> None:
    found = size.index_bytes(1024, 1e6)
    assert found["flat, float32"] == 4.096e9
    assert found["HNSW, M = 32, float32"] == 4.352e9
    assert found["HNSW, M = 32, int8"] == 1.28e9
    assert found["IVF-PQ, 2^18 cells, 128 bytes"] == 136e6 + 2**18 * 4096
    assert found["flat, binary"] == 128e6


def test_tokens_are_counted_in_both_groups(size, tmp_path) -> None:
    def citation(number, abstract):
        inside = f"<Abstract><AbstractText>{abstract}</AbstractText></Abstract>" if abstract else ""
        article = f"<Article><ArticleTitle>Study {number}</ArticleTitle>{inside}</Article>"
        return f"<PubmedArticle><MedlineCitation><PMID>{number}</PMID>{article}</MedlineCitation></PubmedArticle>"

    source = tmp_path / "p.xml"
    texts = ["aspirin " * 10, "", "", "fever " * 3000]
    source.write_text(f"<PubmedArticleSet>{''.join(map(citation, range(4), texts))}</PubmedArticleSet>")
    found = size.measure([source], None)
    assert found["files"] == ["p.xml"]
    for checkpoint in RELEASED:
        whole, title = (found["checkpoints"][checkpoint.name][group] for group in size.GROUPS)
        assert (whole["records"], title["records"]) == (2, 2)
        assert (whole["cut"], title["cut"]) == (0.5, 0)
        assert title["tokens"] < 20 < whole["tokens"] < 300
        assert whole["gflop"] > title["gflop"] > 0


def test_the_command_prints_what_its_options_change(size, capsys) -> None:
    def printed(*words):
        size.main(words)
        return capsys.readouterr().out

    hours = [size.gpu_hours(json.loads(size.MEASURED.read_text()), one, size.Assumed()) for one in RELEASED]
    costs = " | ".join(f"{2.5 * hour:,.1f}" for hour in hours)
    assert f"| cost at 2.5 a GPU-hour | {costs} |" in printed("--price", "2.5")
    assert "| float32 | 152 GB |" in printed("--records", "37e6")
    done = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert "Example: python benchmarks/pubmed_size.py" in " ".join(done.stdout.split())


def of_size(rows: int) -> dict[str, object]:
    took = {"cpu": rows / 1e4, "peak_mb": 100 + rows / 1e3, "before_mb": 90}
    sizes = {"data": 1900 * rows, "words": 300 * rows, "filters": 100 * rows}
    steps = dict.fromkeys(("compact", "words", "lists", "others", "ask", "update"), took)
    return {**steps, "update": {**took, "peak_mb": 90}, "sizes": sizes}


def test_an_index_grows_by_its_last_slope(size) -> None:
    from index_size import index_tables, record_bytes

    grown = {"width": 256, "questions": 10, "rows": {str(rows): of_size(rows) for rows in (10, 50_000, 200_000)}}
    parts = record_bytes(grown, 576)
    assert list(parts.values()) == [1900 - 512, 1152, 300, 100, 87]  # the last was measured
    made = index_tables(grown, 40e6)
    first = sum(record_bytes(grown, 1024).values())
    assert f"| bytes of a record | {first:,.0f} |" in made["index"]
    assert f"| all records | {40e6 * first / 1e9:,.0f} GB |" in made["index"]
    assert "| full-text index, CPU-s | 0.0 | 5.0 | 20.0 | 100 |" in made["growth"]
    assert "| full-text index, peak MB | 100 | 150 | 300 | 1,000 |" in made["growth"]
    assert "| an update of 4,096 records, peak MB | 90 | 90 | 90 | none seen |" in made["growth"]
    assert "| a question by words, CPU-ms | 0.1 | 500.0 | 2,000.0 | 10,000 |" in made["growth"]


def test_every_step_of_growth_is_measured(size, tmp_path) -> None:
    pytest.importorskip("lancedb")
    from index_growth import STEPS, run_step, write

    from bmretriever_integrations.index.table import open_table

    def citation(number):
        article = f"<ArticleTitle>Statins and stroke {number}</ArticleTitle>"
        inside = f"<PMID>{number}</PMID><Article>{article}</Article>"
        return f"<PubmedArticle><MedlineCitation>{inside}</MedlineCitation></PubmedArticle>"

    source = tmp_path / "p.xml"
    source.write_text(f"<PubmedArticleSet>{''.join(map(citation, range(3)))}</PubmedArticleSet>")
    write(tmp_path / "i", 10, [source])  # each citation three times and one a fourth time
    assert open_table(tmp_path / "i").count_rows() == 10
    found = {step: run_step(step, tmp_path / "i") for step in STEPS[1:]}
    assert min(found["sizes"].values()) > 0
    assert open_table(tmp_path / "i").count_rows() == 20
    for step in set(found) - {"sizes"}:
        assert found[step]["cpu"] >= 0 < found[step]["before_mb"] <= found[step]["peak_mb"]
