"""The paper's data sets by name: from a clone of the hub's data set or a built folder to numbers beside the published ones."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints import find_checkpoint
from bmretriever_integrations.commands import build, evaluate
from bmretriever_integrations.evaluation.reports.published import differences
from bmretriever_integrations.evaluation.reports.table import notes
from bmretriever_integrations.evaluation.systems.baseline import SentenceTransformerBaseline
from bmretriever_integrations.evaluation.systems.bm25 import Bm25
from bmretriever_integrations.evaluation.systems.comparison import compare
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.systems.metrics import correlation, score
from bmretriever_integrations.evaluation.systems.ranking import rank_by_dot_product
from bmretriever_integrations.evaluation.tasks import catalogue
from bmretriever_integrations.evaluation.tasks.cache import build_task, find_task
from bmretriever_integrations.evaluation.tasks.retrieval import load_task
from bmretriever_integrations.evaluation.tasks.similarity import load_any
from bmretriever_integrations.prompts import PAPER_INSTRUCTIONS

DOCUMENTS = [
    {"_id": "d1", "title": "Aspirin", "text": "lowers fever in adults"},
    {"_id": "d2", "title": "", "text": "insulin lowers glucose"},
    {"_id": "d3", "title": "Statins", "text": "lower cholesterol"},
]
QUERIES = [
    {"_id": "q1", "text": "what lowers fever?"},
    {"_id": "q2", "text": "insulin"},
    {"_id": "q3", "text": "unjudged"},
]
QRELS = [{"query-id": "q1", "corpus-id": "d1", "score": 2.0}, {"query-id": "q2", "corpus-id": "d2", "score": 1.0}]
PAIRS = [
    {"sentence1": "fever", "sentence2": "fever", "score": 4.0},
    {"sentence1": "insulin lowers glucose", "sentence2": "glucose falls", "score": 2.5},
    {"sentence1": "gene", "sentence2": "statins lower cholesterol in adults", "score": 0.2},
]


@pytest.fixture
def scifact(clone):
    return clone(
        "scifact-clone", {("corpus", "corpus"): DOCUMENTS, ("queries", "queries"): QUERIES, ("default", "test"): QRELS}
    )


def run(command, *arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(argument) for argument in arguments]))


def test_a_retrieval_set_of_the_hub_becomes_a_beir_folder_once(scifact, tmp_path, capsys):
    assert run(build, "scifact", scifact) == 0
    assert "SciFact: 3 documents, 3 queries, 2 judgements" in capsys.readouterr().out
    folder = find_task("scifact", "test")
    assert folder == tmp_path / "tasks" / "scifact"
    task = load_task(folder)
    assert [(p.id, p.title, p.text) for p in task.passages()] == [tuple(row.values()) for row in DOCUMENTS]
    assert task.queries == {"q1": "what lowers fever?", "q2": "insulin"}
    assert task.judgements == {"q1": {"d1": 2}, "q2": {"d2": 1}}
    assert [path.name for path in folder.parent.iterdir()] == ["scifact"]
    with pytest.raises(FileExistsError, match="remove it to make it anew"):
        run(build, "scifact", scifact)


def test_pairs_answers_and_scirepeval_of_the_hub(clone, tmp_path):
    folder = clone("biosses-clone", {("default", "test"): PAIRS})
    build_task(catalogue.TASKS["biosses"], [folder], tmp_path / "biosses")
    task = load_any(tmp_path / "biosses")
    assert (task.left, task.right) == ([p["sentence1"] for p in PAIRS], [p["sentence2"] for p in PAIRS])
    np.testing.assert_array_equal(task.scores, [4.0, 2.5, 0.2])

    folder = clone("icliniq-clone", {("default", "train"): [{"input": "Cough?", "answer_icliniq": "Rest."}]})
    build_task(catalogue.TASKS["icliniq"], [folder], tmp_path / "icliniq")
    assert load_task(tmp_path / "icliniq").judgements == {"q1": {"a1": 1}}

    papers = [{"doc_id": str(n), "title": f"T{n}", "abstract": f"abstract {n}"} for n in range(4)]
    folder = clone("relish-clone", {("relish", "evaluation"): papers})
    judged = [("0", "1", 2), ("0", "2", 0), ("0", "9", 1), ("3", "0", 1)]
    rows = [{"query_id": query, "cand_id": document, "score": grade} for query, document, grade in judged]
    clone("relish-clone_test", {("relish", "test"): rows})
    build_task(catalogue.TASKS["relish"], [folder], tmp_path / "relish")
    task = load_task(tmp_path / "relish")
    assert task.queries == {"q0": "T0 abstract 0", "q3": "T3 abstract 3"}
    assert task.judgements == {"q0": {"1": 2, "2": 0}, "q3": {"0": 1}}
    assert json.loads((tmp_path / "relish" / "origin.json").read_text())["left_out"] == {
        "judgement of a paper without text": 1
    }


def test_what_cannot_be_had_says_how_to_get_it(tmp_path, clone):
    with pytest.raises(ConnectionError, match=r"cannot read mteb/nfcorpus .* bmretriever build TASK CLONE"):
        find_task("nfcorpus", "test")
    assert not (tmp_path / "tasks" / "nfcorpus").exists()
    with pytest.raises(
        FileNotFoundError, match=r"MeSH is not on the hub.*nlm\.nih\.gov.*bmretriever build mesh desc2026\.xml"
    ):
        find_task("mesh", "test")
    with pytest.raises(FileNotFoundError, match=r"is no folder and no named task.*these names: nfcorpus, scifact"):
        find_task("nfcorpsu", "test")
    with pytest.raises(ValueError, match="'nfcorpsu' is no named task"):
        run(build, "nfcorpsu", "x")
    with pytest.raises(FileNotFoundError, match="x is no file"):
        run(build, "mesh", "x")
    (tmp_path / "drugbank_all_full_database.xml.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="is an archive; unpack it"):
        run(build, "drugbank", tmp_path / "drugbank_all_full_database.xml.zip")
    with pytest.raises(ValueError, match=r"no '_id' and no 'id'; it has 'text'"):
        run(build, "scifact", clone("other", {("corpus", "corpus"): [{"text": "x"}]}))
    with pytest.raises(ValueError, match="has another layout than mteb's"):
        run(build, "nfcorpus", clone("another", {("docs", "docs"): [{"_id": "1", "text": "x"}]}))


@pytest.mark.parametrize(
    ("judgement", "message"),
    [
        (
            {"query-id": "q1", "corpus-id": "d1", "score": 0.5},
            r"judgement 1: the score must be a whole number, got 0\.5",
        ),
        ({"query-id": "q1", "score": 1}, "judgement 1: no 'corpus-id'; it has 'query-id', 'score'"),
    ],
)
def test_judgements_of_another_form_are_refused(clone, judgement, message):
    parts = {("corpus", "corpus"): DOCUMENTS, ("queries", "queries"): QUERIES, ("default", "test"): [judgement]}
    with pytest.raises(ValueError, match=message):
        run(build, "scifact", clone("odd", parts))


def test_a_pair_judged_twice_is_written_once_and_two_grades_are_refused(clone, tmp_path):
    parts = {("corpus", "corpus"): DOCUMENTS, ("queries", "queries"): QUERIES}
    run(build, "scifact", clone("again", {**parts, ("default", "test"): [*QRELS, QRELS[0]]}), "--to", tmp_path / "once")
    assert json.loads((tmp_path / "once" / "origin.json").read_text())["counts"]["judgements"] == 2
    other = [*QRELS, {**QRELS[0], "score": 1.0}]
    with pytest.raises(ValueError, match="query 'q1' judges 'd1' 1, but 2 before"):
        run(build, "scifact", clone("other", {**parts, ("default", "test"): other}), "--to", tmp_path / "twice")
    assert not (tmp_path / "twice").exists()


@pytest.fixture
def released(tmp_path, tiny, monkeypatch):
    """The 410M in the hub's cache at its pinned commit, with a tiny network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    known = find_checkpoint("410M")
    snapshots = tmp_path / "hub" / f"models--{known.hub_id.replace('/', '--')}" / "snapshots"
    shutil.copytree(tiny("gpt_neox"), snapshots / known.revision)
    return known


def test_numbers_stand_beside_the_published_ones(scifact, clone, tmp_path, capsys, tiny, monkeypatch, released):
    run(build, "scifact", scifact)
    run(build, "biosses", clone("biosses-clone", {("default", "test"): PAIRS}))
    monkeypatch.setitem(catalogue.TASKS, "scifact", replace(catalogue.TASKS["scifact"], documents=3, queries=2))
    model = released.hub_id
    report, page = tmp_path / "report.json", tmp_path / "page.md"
    capsys.readouterr()
    options = (
        "--model",
        model,
        "--baseline",
        tiny("llama"),
        "--json",
        report,
        "--markdown",
        page,
        "--chart",
        tmp_path / "c.png",
    )
    assert run(evaluate, "scifact", "biosses", *options) == 0
    printed = capsys.readouterr().out
    written = json.loads(report.read_text())
    means = {(r["system"], r["task"]): r["means"] for r in written["results"]}
    assert set(means) == {
        ("BM25", "scifact"),
        *((m, t) for m in (model, tiny("llama").name) for t in ("scifact", "biosses")),
    }
    here = means[model, "scifact"]["nDCG@10"]
    assert [(d["of"], d["published"], d["difference"]) for d in written["published"]] == [
        ("BM25", 0.665, pytest.approx(means["BM25", "scifact"]["nDCG@10"] - 0.665)),
        ("410M", 0.711, pytest.approx(here - 0.711)),
    ]
    both = (here + means[model, "biosses"]["Spearman"]) / 2
    assert written["means"][model] == {"Main measures": pytest.approx(both, abs=2e-6)}
    assert "BM25" not in written["means"]  # it does not compare sentences
    numbers = f"{here:.3f} | 0.711 | {here - 0.711:+.3f}"
    row = f"| scifact | {model} | nDCG@10 | {numbers} | REPAIR (github.com/yerimoh/REPAIR), Table 1"
    assert row in page.read_text()
    assert f"| {model} | {both:.3f} |" in page.read_text()
    assert f"{model}: commit {released.revision[:12]}, fingerprint" in printed
    for text in ("Published", "Sentences/s", "biosses: 3 pairs here, 100 in the published set", "Main measures"):
        assert text in printed
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_a_folder_or_commit_of_the_checkpoint_s_name_has_no_published_number_beside_it(
    scifact, tmp_path, capsys, tiny, monkeypatch, released
):
    run(build, "scifact", scifact)
    monkeypatch.setitem(catalogue.TASKS, "scifact", replace(catalogue.TASKS["scifact"], documents=3, queries=2))
    monkeypatch.chdir(tmp_path)
    snapshot = next((tmp_path / "hub").glob("*/snapshots/*"))
    shutil.copytree(snapshot, snapshot.parent / ("0" * 40))
    for name in ("BMRetriever-410M", "BMRetriever/BMRetriever-410M", "410M"):
        shutil.copytree(tiny("gpt_neox"), tmp_path / name)
        run(evaluate, "scifact", "--model", name, "--json", tmp_path / "r.json", "--markdown", tmp_path / "r.md")
        assert [d["of"] for d in json.loads((tmp_path / "r.json").read_text())["published"]] == ["BM25"]
        assert "0.711" not in capsys.readouterr().out + (tmp_path / "r.md").read_text()
    task = load_task(find_task("scifact", "test"))
    for commit, beside in ((None, ["410M"]), ("0" * 40, [])):
        shutil.rmtree(tmp_path / "BMRetriever", ignore_errors=True)
        with BMRetrieverEncoder(released.hub_id, revision=commit, local_files_only=True) as encoder:
            results = list(compare([DenseRetriever("x", encoder)], [task], {}))
        assert [difference.of for difference in differences([task], results)] == beside
        both = [replace(result, settings={**result.settings, "hybrid": {"candidates": 100}}) for result in results]
        assert differences([task], both) == []  # words are in it, too


def test_another_size_than_the_published_set_s_has_no_number_beside_it(scifact, capsys, tiny, tmp_path):
    run(build, "scifact", scifact)
    run(evaluate, "scifact", "--model", tiny("gpt_neox"), "--json", tmp_path / "r.json")
    assert "3 documents and 2 queries here, 5,183 and 300 in the published set" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["published"] == []


def test_the_list_has_every_record_and_faults_of_the_command_are_named(capsys):
    assert run(evaluate, "--list") == 0
    printed = capsys.readouterr().out
    for record in catalogue.TASKS.values():
        assert f"{record.name}: {record.title}, {record.group}; {record.measures[0]}" in printed
        assert (record.instruction_by == "the authors") == (record.name in PAPER_INSTRUCTIONS)
    assert "published 2B: Recall@5 0.700, Recall@20 0.812, nDCG@20 0.657" in printed
    with pytest.raises(ValueError, match="name a task"):
        run(evaluate)
    with pytest.raises(SystemExit):
        run(evaluate, "scifact", "--query-prompt", "query: ", "--baseline", "x")
    assert "--query-prompt belongs to the --baseline before it; there is none" in capsys.readouterr().err


def test_similarity_is_the_rank_correlation_of_cosines(tmp_path, tiny):
    folder = tmp_path / "biosses"
    folder.mkdir()
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in PAIRS))
    task = load_any(folder)
    assert correlation(task, np.array([0.1, 0.5, 0.9], np.float32)) == -1
    assert correlation(task, np.array([0.9, 0.2, 0.5], np.float32)) == pytest.approx(0.5)
    assert correlation(task, np.ones(3, np.float32)) == 0
    with BMRetrieverEncoder(tiny("llama"), dtype="float32", device="cpu") as encoder:
        retriever = DenseRetriever("tiny", encoder)
        left, right = (encoder.encode_queries(side, "biosses") for side in (task.left, task.right))
        expected = [a @ b / np.sqrt(a @ a * (b @ b)) for a, b in zip(left, right, strict=True)]
        np.testing.assert_allclose(retriever.similarities(task), expected, rtol=1e-5)
        assert [r.system for r in compare([Bm25(), retriever], [task], {})] == ["tiny"]
    (folder / "pairs.jsonl").write_text(json.dumps(PAIRS[0]) + '\n{"sentence1": "a", "score": 1}\n')
    with pytest.raises(ValueError, match=r"pairs\.jsonl:2: expected sentence1, sentence2 and a number score"):
        load_any(folder)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b'{"sentence1": "a", "sentence2": "b", "score": NaN}', r"pairs\.jsonl:3: expected .*NaN is no score"),
        (b'{"sentence1": "\xe9", "sentence2": "b", "score": 1}', r"pairs\.jsonl:3: expected .*UnicodeDecodeError"),
        (b'{"sentence1": "a", "sentence2": "b", "score": 4}', "2 pairs with 1 scores; a correlation needs two or more"),
        (b"", "1 pairs with 1 scores"),
    ],
)
def test_pairs_that_have_no_order_are_refused(tmp_path, second, message):
    (tmp_path / "pairs.jsonl").write_bytes(json.dumps(PAIRS[0]).encode() + b"\n\n" + second + b"\n")
    with pytest.raises(ValueError, match=message):
        load_any(tmp_path)


def test_a_beir_folder_under_the_name_of_a_similarity_task_is_refused(write_task):
    folder = write_task("biosses", {"d": "fever"}, {"q": "fever"}, [("q", "d", 1)])
    with pytest.raises(FileNotFoundError, match=r"has no pairs\.jsonl .*biosses names such a task"):
        run(evaluate, folder)


def test_a_part_of_a_set_of_rounded_counts_has_no_published_number_beside_it(write_task):
    task = load_task(write_task("mesh", {"d": "fever"}, {"q": "fever"}, [("q", "d", 1)]))
    record = catalogue.TASKS["mesh"]
    assert not record.fits(task)
    (_version, note) = notes([task], [])
    assert "1 documents and 1 queries here, about 29,600 and about 29,600 in the published set" in note
    for size, fits in ((29_600, True), (30_500, True), (33_000, False)):
        grown = replace(task, document_ids=["d"] * size, queries=dict.fromkeys(map(str, range(size)), ""))
        assert record.fits(grown) == fits


def test_a_value_of_the_wrong_type_is_named_where_several_are_allowed(clone):
    folder = clone("biosses-clone", {("default", "test"): [{"sentence1": "a", "sentence2": "b", "score": "high"}]})
    with pytest.raises(ValueError, match="row 1: 'score' must be a number, got string"):
        run(build, "biosses", folder)


def test_a_baseline_that_cannot_be_loaded_is_refused_before_anything_is_measured(
    scifact, tmp_path, monkeypatch, capsys
):
    run(build, "scifact", scifact)
    capsys.readouterr()
    monkeypatch.setattr("bmretriever_integrations.evaluation.systems.baseline.find_spec", lambda name: None)
    with pytest.raises(ImportError, match='a baseline needs sentence-transformers: pip install "sentence-transformers'):
        run(evaluate, "scifact", "--model", "mini", "--baseline", "x", "--json", tmp_path / "r.json")
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "r.json").exists()


@pytest.fixture
def judged(write_task):
    documents = {"d1": "fever", "d2": "fever fever", "d3": "fever chills", "d4": "insulin"}
    judgements = [("q1", "d1", 1), ("q1", "d3", 0), ("q1", "d4", 2), ("q2", "d4", 0), ("q2", "d2", 1)]
    return write_task("papers", documents, {"q1": "fever", "q2": "fever"}, judgements)


def test_judged_only_ranks_a_query_s_own_candidates(judged):
    task = load_task(judged, measures=("MAP", "nDCG"), judged_only=True)
    queries, documents = np.array([[1, 0], [1, 0]], np.float32), np.array([[3, 0], [9, 0], [5, 0], [1, 0]], np.float32)
    for cut in (1, 2, 4):  # wherever the blocks are cut
        blocks = [documents[i : i + cut] for i in range(0, 4, cut)]
        ranking = rank_by_dot_product(queries, blocks, 100, task.own_documents, task.candidates)
        assert [row.tolist() for row in ranking] == [[2, 0, 3], [1, 3]]
    nothing = load_task(judged, judged_only=True)
    assert replace(nothing, candidates=np.empty((2, 0), np.int64)).most_candidates == 0  # no judged paper is at hand
    values = score(task, ranking)
    # q1: irrelevant, grade 1, grade 2
    assert values["MAP"] == pytest.approx({"q1": (1 / 2 + 2 / 3) / 2, "q2": 1})
    assert values["nDCG"]["q1"] == pytest.approx((1 / np.log2(3) + 2 / 2) / (2 + 1 / np.log2(3)))
    assert [row.tolist() for row in Bm25().rank(task, 100).ranking] == [[0, 2], [1]]
    assert [len(row) for row in Bm25().rank(load_task(judged), 100).ranking] == [3, 3]


def test_cuts_of_recall_and_reciprocal_rank(write_task):
    documents = {f"d{n:02}": "text" for n in range(30)}
    measures = ("MRR@5", "Recall@1", "Recall@5", "Recall@20", "nDCG@20")
    task = load_task(
        write_task("cuts", documents, {"q": "x"}, [("q", "d04", 1), ("q", "d19", 1), ("q", "d20", 1)]),
        measures=measures,
    )
    values = {name: of["q"] for name, of in score(task, [np.arange(30)]).items()}
    ndcg = (1 / np.log2(6) + 1 / np.log2(21)) / (1 + 1 / np.log2(3) + 1 / 2)
    assert values == pytest.approx(
        {"MRR@5": 1 / 5, "Recall@1": 0, "Recall@5": 1 / 3, "Recall@20": 2 / 3, "nDCG@20": ndcg}
    )
    values = score(task, [np.array([*range(5, 10), 4])])
    assert values["MRR@5"]["q"] == 0


def test_a_baseline_ranks_with_its_prompts_and_its_similarity(write_task, tiny):
    from sentence_transformers import SentenceTransformer

    documents = {"d1": ("Aspirin", "lowers fever"), "d2": "insulin lowers glucose", "d3": "statins"}
    task = load_task(write_task("toy", documents, {"q1": "fever", "q2": "glucose"}, [("q1", "d1", 1), ("q2", "d2", 1)]))
    model = SentenceTransformer(str(tiny("llama")), device="cpu")
    baseline = SentenceTransformerBaseline(
        "tiny", str(tiny("llama")), query_prompt="query: ", passage_prompt="passage: ", device="cpu"
    )
    texts = ["passage: Aspirin lowers fever", "passage: insulin lowers glucose", "passage: statins"]
    similarity = (
        model.encode(["query: fever", "query: glucose"], normalize_embeddings=True)
        @ model.encode(texts, normalize_embeddings=True).T
    )
    assert [row.tolist() for row in baseline.rank(task, 3).ranking] == np.argsort(-similarity, axis=1).tolist()
    settings = baseline.settings(task)
    assert (settings["query_prompt"], settings["passage_prompt"], settings["similarity"]) == (
        "query: ",
        "passage: ",
        "cosine",
    )
    assert settings["files_sha256"]
    assert SentenceTransformerBaseline("tiny", str(tiny("llama")), device="cpu").settings(task) != settings


def test_a_baseline_of_the_hub_is_named_by_its_commit_and_its_files(tmp_path, tiny, monkeypatch, write_task):
    commit, repository = "a" * 40, tmp_path / "hub" / "models--me--mine"
    shutil.copytree(tiny("llama"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "hub"))
    task = load_task(write_task("toy", {"d": "text"}, {"q": "text"}, [("q", "d", 1)]))
    settings = SentenceTransformerBaseline("mine", "me/mine", device="cpu").settings(task)
    same = SentenceTransformerBaseline("tiny", str(tiny("llama")), device="cpu").settings(task)
    assert (settings["revision"], same["revision"]) == (commit, None)
    assert settings["files_sha256"] == same["files_sha256"] is not None


def test_prompts_go_to_the_baseline_before_them():
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    words = ["t", "--baseline", "a", "--query-prompt", "query: ", "--baseline", "b", "--passage-prompt", "p: "]
    first, second = parser.parse_args(words).baseline
    assert (first.model, first.query_prompt, first.passage_prompt) == ("a", "query: ", None)
    assert (second.model, second.query_prompt, second.passage_prompt) == ("b", None, "p: ")
