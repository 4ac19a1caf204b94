"""The mteb adapter: mteb's own evaluation gives the numbers of ours."""

# ruff: noqa: E402  what follows needs mteb
from __future__ import annotations

import logging

import numpy as np
import pytest

mteb = pytest.importorskip("mteb", reason='mteb is not installed: pip install "bmretriever-integrations[mteb]"')

from datasets import Dataset
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.types import PromptType

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.evaluation.mteb_adapter import MtebEncoder
from bmretriever_integrations.evaluation.systems.comparison import compare
from bmretriever_integrations.evaluation.systems.dense import DenseRetriever
from bmretriever_integrations.evaluation.tasks.retrieval import load_task
from bmretriever_integrations.forward.int8_products import weight_name

WORDS = [
    "fever",
    "insulin",
    "statin",
    "asthma",
    "cancer",
    "stroke",
    "vaccine",
    "gene",
    "kidney",
    "liver",
    "heart",
    "lung",
]
TITLES = [f"{a} {b}" for a in WORDS[:6] for b in WORDS[6:]]


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    documents = {f"d{i}": (title, " ".join(random.choice(WORDS, 12))) for i, title in enumerate(TITLES)}
    queries = {f"q{i}": f"what helps {word}?" for i, word in enumerate(WORDS)}
    judgements = [
        (query, f"d{random.integers(len(TITLES))}", int(random.integers(1, 3))) for query in queries for _ in "123"
    ]
    return documents, queries, sorted({(query, document): grade for query, document, grade in judgements}.items())


def local_task(name, data, prompt=None):
    documents, queries, judged = data

    class Local(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=name,
            description="made in a test",
            reference="https://example.org",
            dataset={"path": "local", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
            prompt=prompt,
        )

        def load_data(self, **kwargs):
            relevant = {}
            for (query, document), grade in judged:
                relevant.setdefault(query, {})[document] = grade
            rows = [{"id": key, "title": title, "text": text} for key, (title, text) in documents.items()]
            split = {
                "corpus": Dataset.from_list(rows),
                "queries": Dataset.from_list([{"id": key, "text": text} for key, text in queries.items()]),
                "relevant_docs": relevant,
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return Local()


@pytest.fixture
def encoder(tiny):
    with BMRetrieverEncoder(tiny("mistral"), dtype="float32", device="cpu") as engine:
        yield engine


def test_mteb_and_our_evaluator_agree(encoder, data, write_task):
    documents, queries, judged = data
    folder = write_task("scifact", documents, queries, [(*pair, grade) for pair, grade in judged])
    (ours,) = compare([DenseRetriever("tiny", encoder)], [load_task(folder)], {})
    logging.disable(logging.WARNING)
    try:
        theirs = mteb.evaluate(MtebEncoder(encoder), [local_task("SciFact", data)], cache=None, show_progress_bar=False)
    finally:
        logging.disable(logging.NOTSET)
    scores = theirs.task_results[0].scores["test"][0]
    assert 0.05 < ours.means["nDCG@10"] < 0.95
    assert scores["ndcg_at_10"] == pytest.approx(ours.means["nDCG@10"], abs=1e-4)
    assert scores["recall_at_100"] == pytest.approx(ours.means["Recall@100"], abs=1e-4)


def batches(*texts):
    return [{"text": list(texts)}]


def test_templates_and_instructions_by_kind_of_text(encoder, data):
    adapter = MtebEncoder(encoder)
    known, own = (
        local_task("SCIDOCS", data),
        local_task("Local", data, prompt={"query": "Given a name, retrieve its disease"}),
    )
    plain = local_task("Plain", data)

    def encode(task, kind):
        return adapter.encode(
            batches("fever in adults"),
            task_metadata=task.metadata,
            hf_split="test",
            hf_subset="default",
            prompt_type=kind,
        )

    document = encode(known, PromptType.document)
    np.testing.assert_array_equal(document, encoder.encode_passages(["fever in adults"]))
    for task, instruction in ((known, "scidocs"), (own, "Given a name, retrieve its disease"), (plain, None)):
        expected = encoder.encode_queries(["fever in adults"], instruction)
        np.testing.assert_array_equal(encode(task, PromptType.query), expected)
        np.testing.assert_array_equal(encode(task, None), expected)
        assert not np.array_equal(expected, document)


def test_similarity_is_the_dot_product_and_the_name_is_the_model_s(encoder):
    adapter = MtebEncoder(encoder)
    vectors = encoder.encode_passages(["fever", "insulin lowers glucose"])
    np.testing.assert_allclose(np.asarray(adapter.similarity(vectors, vectors)), vectors @ vectors.T, rtol=1e-5)
    meta = adapter.mteb_model_meta
    assert meta.name.startswith("bmretriever/")
    assert meta.revision == encoder.identity()["files_sha256"]
    assert (meta.embed_dim, meta.max_tokens, meta.use_instructions) == (encoder.width, 512, True)
    assert MtebEncoder(encoder, "me/mine").mteb_model_meta.name == "me/mine"


def score_of(model, data, cache):
    logging.disable(logging.WARNING)
    try:
        result = mteb.evaluate(model, [local_task("Local", data)], cache=cache, show_progress_bar=False)
    finally:
        logging.disable(logging.NOTSET)
    return result.task_results[0].scores["test"][0]["ndcg_at_10"]


@pytest.mark.parametrize(
    "setting",
    [
        {"truncate_dim": 2},
        {"max_length": 6},
        {"normalize": True},
        {"quantization": "int8"},
        {"dtype": "bfloat16"},
        {"instruction": "Given a name, retrieve its disease"},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_mteb_does_not_take_another_setting_s_result_for_this_one_s(tiny, data, tmp_path, setting):
    options = {"dtype": "float32", "device": "cpu", **setting}
    cache = mteb.ResultCache(tmp_path / "shared")
    with BMRetrieverEncoder(tiny("mistral"), dtype="float32", device="cpu") as plain:
        first = MtebEncoder(plain)
        score_of(first, data, cache)
        assert first.mteb_model_meta.experiment_kwargs is None
    with BMRetrieverEncoder(tiny("mistral"), **options) as changed:
        second = MtebEncoder(changed)
        calls = []
        encode = second.encode
        second.encode = lambda *args, **named: calls.append(1) or encode(*args, **named)
        score = score_of(second, data, cache)
        assert calls  # it was run, not looked up
        assert score == score_of(MtebEncoder(changed), data, mteb.ResultCache(tmp_path / "own"))
    named = setting if "quantization" not in setting else {"quantization": weight_name("cpu")}
    assert second.mteb_model_meta.experiment_kwargs == named


def test_encode_arguments_that_would_not_be_run_are_refused(encoder, data):
    task = local_task("Local", data)
    for asked, error in (({"precision": "int8"}, ValueError), ({"normalize_embeddings": True}, TypeError)):
        with pytest.raises(error, match=r"precision 'int8'.*CompressionWrapper|unexpected keyword argument"):
            mteb.evaluate(MtebEncoder(encoder), [task], cache=None, show_progress_bar=False, encode_kwargs=asked)
    whole = MtebEncoder(encoder).encode(
        batches("fever"), task_metadata=task.metadata, hf_split="test", hf_subset="default", precision="float32"
    )
    np.testing.assert_array_equal(whole, encoder.encode_queries(["fever"]))


def test_a_folder_with_a_checkpoint_s_short_name_is_not_that_checkpoint(tiny, tmp_path, monkeypatch):
    (tmp_path / "410M").symlink_to(tiny("gpt_neox"))
    monkeypatch.chdir(tmp_path)
    with BMRetrieverEncoder("410M", dtype="float32", device="cpu") as encoder:
        meta = MtebEncoder(encoder).mteb_model_meta
    assert (meta.name, meta.n_parameters) == ("bmretriever/410M", None)
