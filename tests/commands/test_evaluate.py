"""The command: from folders to table, JSON and chart; a rerun goes on where the last one stopped."""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile

import pytest

from bmretriever_integrations.commands import evaluate
from bmretriever_integrations.forward.int8_products import weight_name

DOCUMENTS = {
    "d1": ("Aspirin", "lowers fever in adults"),
    "d2": "insulin lowers glucose",
    "d3": ("Statins", "lower cholesterol and the risk of stroke"),
    "d4": "BRCA1 mutations raise the risk of breast cancer",
}
QUERIES = {"q1": "what lowers fever?", "q2": "insulin and glucose"}


def run(*arguments):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    return evaluate.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def toy(write_task):
    return write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1), ("q2", "d2", 1), ("q2", "gone", 1), ("q9", "d1", 1)])


@pytest.fixture
def scifact(write_task):
    return write_task("scifact", DOCUMENTS, QUERIES, [("q1", "d1", 1)])


def test_table_json_and_chart(tmp_path, capsys, tiny, toy, scifact):
    model, report, chart = tiny("gpt_neox"), tmp_path / "report.json", tmp_path / "chart.png"
    assert run(toy, scifact, "--model", model, "--json", report, "--chart", chart, "--dtype", "float32") == 0
    printed = capsys.readouterr()
    for text in ("nDCG@10", "Recall@100", "MRR@10", "Passages/s", "BM25", model.name, "toy", "4 documents", "Mean"):
        assert text in printed.out
    assert "scifact: queries start with “Given a scientific claim, retrieve documents that support" in printed.out
    assert "toy: 1 of 3 relevant documents are not in the corpus" in printed.out
    assert "toy: 1 judged queries are not in queries.jsonl" in printed.out
    assert f"{model.name} on scifact: nDCG@10" in printed.err
    assert chart.read_bytes().startswith(b"\x89PNG\r\n")

    written = json.loads(report.read_text())
    assert written["report"] == "bmretriever evaluate"
    assert all(written["versions"].values())
    assert [task["name"] for task in written["tasks"]] == ["toy", "scifact"]
    assert set(written["means"]) == {"BM25", model.name}
    assert [(r["system"], r["task"]) for r in written["results"]] == [
        ("BM25", "toy"),
        ("BM25", "scifact"),
        (model.name, "toy"),
        (model.name, "scifact"),
    ]
    bm25, dense = written["results"][1], written["results"][3]
    assert bm25["means"] == {"nDCG@10": 1, "Recall@100": 1, "MRR@10": 1}
    assert bm25["settings"]["k1"] == 0.9
    assert dense["per_query"].keys() == {"q1"}
    assert dense["settings"]["dtype"] == "float32"
    assert dense["settings"]["files_sha256"]
    assert dense["passages_per_second"] > 0


def test_options_reach_the_engine_and_the_task(tmp_path, capsys, tiny, write_task):
    folder = write_task("toy", DOCUMENTS, QUERIES, [("q1", "d1", 1)], split="dev")
    report = tmp_path / "report.json"
    options = ("--split", "dev", "--instruction", "mesh", "--max-length", 9, "--dtype", "bfloat16", "--device", "cpu")
    run(folder, "--model", tiny("mistral"), "--json", report, *options)
    written = json.loads(report.read_text())
    assert written["tasks"][0]["split"] == "dev"
    settings = written["results"][1]["settings"]
    assert settings["instruction"] == "Given a concept, retrieve passages for its definition."
    assert (settings["max_length"], settings["dtype"], settings["device"]) == (9, "bfloat16", "cpu")


def test_every_report_names_what_was_scored(tmp_path, capsys, toy):
    report, page, chart = tmp_path / "report.json", tmp_path / "page.md", tmp_path / "chart.svg"
    settings = (
        "--precision",
        "int8",
        "--rescore",
        2,
        "--truncate-dim",
        144,
        "--quantization",
        "int8",
        "--max-length",
        64,
    )
    own = ("--instruction", "Find what helps", "--dtype", "float32", "--device", "cpu")
    run(toy, "--model", "mini", "--json", report, "--markdown", page, "--chart", chart, *settings, *own)
    printed = capsys.readouterr()
    weights = weight_name("cpu")
    label = (
        f"mini (max-length=64, quantization={weights}, truncate-dim=144, dtype=float32, precision=int8, rescore=2, "
        "instruction=own)"
    )
    written = json.loads(report.read_text())
    assert written["systems"]["mini"] == {
        "label": label,
        "changed": {
            "max_length": 64,
            "quantization": weights,
            "truncate_dim": 144,
            "vectors": "int8",
            "rescored": 2,
            "asked_dtype": "float32",
            "instruction": "Find what helps",
        },
    }
    assert written["systems"]["BM25"] == {"label": "BM25", "changed": {}}
    dense = written["results"][1]
    assert f"| toy (4 documents, 2 queries) | {label} |" in page.read_text()
    assert all(part in printed.out for part in ("max-length=64", "truncate-dim=144", "precision=int8", "rescore=2"))
    assert f">mini (max-length=64, quantization={weights}" in chart.read_text()
    for text in (
        f"mini: fingerprint {dense['settings']['files_sha256'][:12]}, float32",
        f"toy: version {written['tasks'][0]['sha256'][:12]}, split test",
        f"measured {dense['date'][:10]} (UTC) by bmretriever-integrations",
    ):
        assert all(text in shown for shown in (printed.out, page.read_text(), chart.read_text()))

    run(toy, "--model", "mini", "--markdown", page, "--device", "cpu")
    assert "| toy (4 documents, 2 queries) | mini |" in page.read_text()


def test_hybrid_is_measured_beside_each_model(tmp_path, capsys, monkeypatch, toy, scifact):
    pytest.importorskip("lancedb")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    run(toy, scifact, "--model", "mini", "--hybrid", "--max-length", 64, "--json", report, "--markdown", page)
    written = json.loads(report.read_text())
    assert list(written["means"]) == ["BM25", "mini", "mini hybrid"]
    assert written["systems"]["mini hybrid"] == {"label": "mini hybrid (max-length=64)", "changed": {"max_length": 64}}
    dense, hybrid = (written["results"][place]["settings"] for place in (2, 4))
    assert hybrid.pop("hybrid")["candidates"] == 100
    assert dense == hybrid
    printed = capsys.readouterr()
    assert f"mini hybrid: fingerprint {dense['files_sha256'][:12]}" in printed.out
    assert "| mini hybrid (max-length=64) |" in page.read_text()
    assert not list((tmp_path / "temporary").iterdir())

    run(toy, scifact, "--model", "mini", "--hybrid", "--max-length", 64, "--json", report)
    assert capsys.readouterr().err.count("taken from") == 6


def test_hybrid_has_no_stored_form_of_its_own(toy):
    with pytest.raises(ValueError, match="leave out --precision and --rescore"):
        run(toy, "--hybrid", "--precision", "int8")


def test_hybrid_without_lancedb_says_how_to_install_it(monkeypatch, toy):
    found = importlib.util.find_spec
    monkeypatch.setattr(evaluate, "find_spec", lambda name, *rest: None if name == "lancedb" else found(name, *rest))
    with pytest.raises(ImportError, match=r"pip install 'bmretriever-integrations\[evaluation,index\]'"):
        run(toy, "--hybrid")


def test_a_rerun_takes_what_is_measured_and_a_failed_run_loses_nothing(tmp_path, capsys, tiny, toy):
    report, neox, llama = tmp_path / "report.json", tiny("gpt_neox"), tiny("llama")
    run(toy, "--model", neox, "--model", llama, "--json", report)
    first = json.loads(report.read_text())["results"]
    assert "taken from" not in capsys.readouterr().err

    with pytest.raises(FileNotFoundError, match="nowhere"):
        run(toy, "--model", neox, "--model", "nowhere", "--model", llama, "--json", report)
    stopped = json.loads(report.read_text())
    assert stopped["results"] == first[:2]
    assert stopped["pending"] == first[2:]
    capsys.readouterr()

    run(toy, "--model", neox, "--model", llama, "--json", report)
    assert capsys.readouterr().err.count("taken from") == 3
    final = json.loads(report.read_text())
    assert (final["results"], final["pending"]) == (first, [])

    run(toy, "--model", neox, "--json", report, "--max-length", 16)
    assert capsys.readouterr().err.count("taken from") == 1  # BM25's; another max_length is another model


def test_cut_texts_are_counted_in_the_notes(tmp_path, capsys, tiny, toy):
    report = tmp_path / "report.json"
    run(toy, "--model", tiny("gpt_neox"), "--json", report, "--max-length", 9)
    cut = json.loads(report.read_text())["results"][1]["cut_texts"]
    printed = capsys.readouterr()
    assert cut == 6  # the instruction and the passages' prefix alone have as many tokens
    assert f"toy: {tiny('gpt_neox').name} cut 6 texts at 9 tokens" in printed.out
    assert "CutTextWarning" not in printed.err
    run(toy, "--model", tiny("gpt_neox"))
    assert " texts at " not in capsys.readouterr().out


def test_changed_judgements_are_measured_anew(tmp_path, capsys, tiny, toy):
    report = tmp_path / "report.json"
    run(toy, "--model", tiny("gpt_neox"), "--json", report)
    with (toy / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td2\t1\n")
    capsys.readouterr()
    run(toy, "--model", tiny("gpt_neox"), "--json", report)
    assert "taken from" not in capsys.readouterr().err


def test_models_of_one_folder_name_are_told_apart(tmp_path, capsys, tiny, toy):
    folders = [tmp_path / run_name / "final" for run_name in ("first", "second")]
    for folder, architecture in zip(folders, ("gpt_neox", "llama"), strict=True):
        folder.parent.mkdir()
        folder.symlink_to(tiny(architecture))
    report = tmp_path / "report.json"
    models = [argument for folder in (*folders, folders[0]) for argument in ("--model", folder)]
    run(toy, *models, "--json", report)
    systems = [result["system"] for result in json.loads(report.read_text())["results"]]
    assert len(systems) == len(set(systems)) == 3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("--chart", "chart.pdf"), ValueError, "must end in .png or .svg"),
        (("--json", "no/such/folder/report.json"), FileNotFoundError, "make it first"),
        (("--markdown", "."), IsADirectoryError, "is a folder; name a file"),
        (("--instruction", "scifakt"), ValueError, "Did you mean 'scifact'"),
        (("--max-length", 1), ValueError, "max_length must be at least 2"),
        (("--split", "dev"), FileNotFoundError, "splits there: test"),
    ],
)
def test_faults_are_found_before_anything_is_measured(capsys, toy, options, error, message):
    with pytest.raises(error, match=message):
        run(toy, *options)
    assert capsys.readouterr() == ("", "")


def test_equal_ids_mean_nothing_unless_the_task_or_the_user_says_so(tmp_path, capsys, write_task):
    documents = {"0": "treatment of asthma", "1": "care of gout", "100": "asthma once among other things"}
    report = tmp_path / "report.json"
    means = {}
    for name, options in (("numbers", ()), ("numbers", ("--queries-are-documents", "numbers")), ("scidocs", ())):
        folder = tmp_path / name
        if not folder.exists():
            folder = write_task(name, documents, {"0": "treatment of asthma"}, [("0", "100", 1)])
        run(folder, "--model", "mini", "--json", report, *options)
        means[name, bool(options)] = json.loads(report.read_text())["results"][0]["means"]["MRR@10"]
        printed = capsys.readouterr().out
        assert ("1 of 1 queries share their id with a document" in printed) == (name == "numbers" and not options)
        assert ("1 of 1 queries are documents themselves" in printed) == (name == "scidocs" or bool(options))
    assert means == {("numbers", False): 0.5, ("numbers", True): 1, ("scidocs", False): 1}
    with pytest.raises(ValueError, match="names 'other', which is none of the tasks"):
        run(folder, "--queries-are-documents", "other")


def test_two_tasks_of_one_name_are_refused(toy):
    with pytest.raises(ValueError, match="two task folders are named 'toy'"):
        run(toy, toy)


def test_arguments_are_declared_without_the_evaluation_packages():
    code = (
        "import argparse, sys\n"
        "for name in ('bm25s', 'ir_measures', 'matplotlib', 'Stemmer', 'torch', 'rich'): sys.modules[name] = None\n"
        "from bmretriever_integrations.commands import evaluate\n"
        "parser = argparse.ArgumentParser()\n"
        "evaluate.add_arguments(parser)\n"
        "print(parser.parse_args(['folder', '--model', 'mini']).model)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['mini']\n", "")


def test_missing_packages_are_named_with_the_command_that_installs_them(tmp_path):
    code = (
        "import sys, importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name in ('bm25s', 'Stemmer') else found(name, *rest)\n"
        "import bmretriever_integrations.evaluation\n"
    )
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert process.returncode == 1
    assert "evaluation needs bm25s, PyStemmer" in process.stderr
    assert 'pip install "bmretriever-integrations[evaluation]"' in process.stderr


def test_the_mteb_adapter_without_mteb_names_the_command_that_installs_it():
    code = "import sys\nsys.modules['mteb'] = None\nimport bmretriever_integrations.evaluation.mteb_adapter\n"
    process = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert process.returncode == 1
    assert "the mteb adapter needs mteb" in process.stderr
    assert 'pip install "bmretriever-integrations[mteb]"' in process.stderr
