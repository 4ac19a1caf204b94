"""Miners: exact scores, prompts on the right side, and the same negatives as sentence-transformers' own mining."""

from __future__ import annotations

import random
import runpy
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.training.negatives import Rules, dense, mine
from bmretriever_integrations.training.negatives.embedders import (
    BMRetrieverEmbedder,
    SentenceTransformerEmbedder,
    load_miner,
)
from bmretriever_integrations.training.negatives.lexical import Bm25Miner
from bmretriever_integrations.training.negatives.pool import Query, make_pool
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs

WORDS = [
    f"{a}{b}" for a in ("cardi", "nephr", "hepat", "neur", "derm") for b in ("itis", "oma", "osis", "pathy", "ectomy")
]
SCRIPT = Path(__file__).parents[3] / "training" / "mine_negatives.py"


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    """A sentence-transformers model that loads at once: random vectors of words, averaged."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [*WORDS, "query", "passage", ":", "[UNK]"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(words), 32)).astype(np.float32)
    folder = tmp_path_factory.mktemp("static")
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu").save(str(folder))
    return str(folder)


@pytest.fixture
def data(tmp_path):
    draw = random.Random(2)
    path = tmp_path / "pairs.parquet"
    with PairWriter(path) as writer:
        for n in range(60):
            words = draw.sample(WORDS, 3)
            query = " ".join(words) if n % 4 else "cardiitis nephroma"  # one query has 15 positives
            positive = " ".join([*words[:2], *draw.sample(WORDS, 3), f"number{n}"])
            writer.write(Pair(task="t", instruction="Given a word, find more", query=query, positive=positive))
    return path


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"relative_margin": 0.05}, {"relative_margin": 0.05}),
        ({"absolute_margin": 0.1}, {"absolute_margin": 0.1}),
        ({"max_score": 0.4}, {"max_score": 0.4}),
        ({"skip": 3}, {"range_min": 3}),
    ],
)
def test_same_negatives_as_sentence_transformers(static, data, tmp_path, ours, theirs):
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import mine_hard_negatives

    pairs = list(read_pairs(data))
    found = mine_hard_negatives(
        Dataset.from_dict({"query": [p.query for p in pairs], "positive": [p.positive for p in pairs]}),
        SentenceTransformer(static, device="cpu"),
        num_negatives=4,
        range_max=60,
        output_format="labeled-list",
        output_scores=True,
        verbose=False,
        **theirs,
    )
    expected = {
        (query, texts[0]): dict(zip(texts[1:], scores[1:], strict=True))
        for query, texts, scores in zip(found["query"], found["positive"], found["scores"], strict=True)
    }
    rules = Rules(negatives=4, sample="hardest", **ours)
    mine(data, tmp_path / "out", dense.DenseMiner(SentenceTransformerEmbedder(static, device="cpu")), rules)
    mined = {}
    for pair in read_pairs(tmp_path / "out" / "pairs.parquet"):
        if pair.negatives:
            mined[pair.query, pair.positive] = dict(zip(pair.negatives, pair.negative_scores, strict=True))
    assert len(expected) > 20
    assert mined.keys() == expected.keys()
    for key, negatives in expected.items():
        assert mined[key] == pytest.approx(negatives, abs=1e-6)


class Table:
    """An embedder whose vectors are looked up."""

    name = "table"

    def __init__(self, vectors):
        self.vectors = vectors

    def settings(self):
        return {"miner": "table"}

    def passages(self, texts):
        return self.vectors[[int(text) for text in texts]]

    def queries(self, texts, instruction):
        return self.passages(texts) * (2 if instruction == "double" else 1)


@pytest.mark.parametrize("gpu", [False, True])
def test_blocks_give_the_exact_ranking(tmp_path, monkeypatch, gpu):
    """Against one matrix product, with a reach that begins and ends within blocks; the GPU's calls, on the CPU."""
    calls = []
    if gpu:
        monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
        monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
        monkeypatch.setattr(
            faiss, "knn_gpu", lambda res, q, p, k, metric: calls.append(k) or faiss.knn(q, p, k, metric), raising=False
        )
    monkeypatch.setattr(dense, "PASSAGES_AT_ONCE", 7)
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    miner = dense.DenseMiner(Table(vectors))
    miner.prepare([str(n) for n in range(50)], tmp_path, progress=False)
    reach = (range(3, 25), range(40, 40), range(41, 50))
    queries = [Query("t", ("single", "double")[n % 2], str(n), [4, 20, 44]) for n in range(10)]
    found = miner.search(queries, reach, 40)
    allowed = np.r_[3:25, 41:50]
    scores = (vectors[:10] * np.array([1, 2] * 5)[:, None]) @ vectors.T
    for n in range(10):
        order = allowed[np.argsort(-scores[n, allowed])]
        assert found.rows[n, :31].tolist() == order.tolist()
        assert found.scores[n, :31] == pytest.approx(scores[n, order], rel=1e-5, abs=1e-5)
        assert (found.rows[n, 31:] == -1).all()
        assert found.positives[3 * n : 3 * n + 3] == pytest.approx(scores[n, [4, 20, 44]], rel=1e-5, abs=1e-5)
    assert bool(calls) == gpu


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_refused(tmp_path, value):
    vectors = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)
    vectors[7, 3] = value
    miner = dense.DenseMiner(Table(vectors))
    with pytest.raises(ValueError, match="miner table gives 1 of 50 texts a vector with NaN or infinity, first '7'"):
        miner.prepare([str(n) for n in range(50)], tmp_path, progress=False)
    assert not list(tmp_path.iterdir())
    miner.prepare([str(n) for n in range(7)], tmp_path, progress=False)
    with pytest.raises(ValueError, match="miner table gives 1 of 2 texts"):
        miner.search([Query("t", "i", "7", [1]), Query("t", "i", "8", [1])], (range(7),), 3)


def test_bm25_scores_are_those_of_bm25s(tmp_path, data):
    import bm25s

    pool = make_pool(data, "task", [], 1)
    miner = Bm25Miner()
    miner.prepare(pool.passages, tmp_path, progress=False)
    found = miner.search(pool.queries, pool.reach["t"], 10)
    index = bm25s.BM25(k1=0.9, b=0.4, method="lucene")
    index.index(bm25s.tokenize(pool.passages, stopwords=None, show_progress=False), show_progress=False)
    start = 0
    for n, query in enumerate(pool.queries):
        scores = index.get_scores(query.text.split())
        best = np.argsort(-scores, kind="stable")[:10]
        best = best[scores[best] > 0]
        assert found.rows[n, : len(best)].tolist() == best.tolist()
        assert found.scores[n, : len(best)] == pytest.approx(scores[best], rel=1e-5)
        end = start + len(query.positives)
        assert found.positives[start:end] == pytest.approx(scores[query.positives], rel=1e-5)
        start = end


def test_prefixes_stand_before_queries_and_passages(static):
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(static, device="cpu")
    embedder = SentenceTransformerEmbedder(
        static, query_prefix="{instruction} query : ", passage_prefix="passage : ", device="cpu"
    )
    queries = embedder.queries(["cardioma"], "nephritis")
    assert queries == pytest.approx(plain.encode(["nephritis query : cardioma"], normalize_embeddings=True), abs=1e-6)
    passages = embedder.passages(["cardioma"])
    assert passages == pytest.approx(plain.encode(["passage : cardioma"], normalize_embeddings=True), abs=1e-6)


def test_dot_product_models_are_not_scaled(static, tmp_path):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(static, device="cpu")
    model.similarity_fn_name = "dot"
    model.save(str(tmp_path / "dot"))
    vectors = SentenceTransformerEmbedder(str(tmp_path / "dot"), device="cpu").passages(
        ["cardioma", "neuritis dermoma"]
    )
    assert vectors == pytest.approx(model.encode(["cardioma", "neuritis dermoma"]), abs=1e-6)
    assert abs(np.linalg.norm(vectors, axis=1) - 1).min() > 0.1
    model.similarity_fn_name = "manhattan"
    model.save(str(tmp_path / "far"))
    with pytest.raises(ValueError, match="compares by manhattan; a miner needs cosine or dot"):
        SentenceTransformerEmbedder(str(tmp_path / "far"), device="cpu")


def test_own_encoder_mines_with_instruction_template_and_dot_product(tiny, data, tmp_path):
    folder = str(tiny("llama"))
    embedder = BMRetrieverEmbedder(folder, device="cpu")
    mine(data, tmp_path / "out", dense.DenseMiner(embedder), Rules(negatives=2, sample="hardest"))
    pair = next(read_pairs(tmp_path / "out" / "pairs.parquet"))
    encoder = BMRetrieverEncoder(folder, device="cpu")
    query = encoder.encode_queries([pair.query], pair.instruction)[0]
    passages = encoder.encode_passages([pair.positive, *pair.negatives])
    assert [pair.positive_score, *pair.negative_scores] == pytest.approx(passages @ query, rel=1e-4)
    assert not np.allclose(np.linalg.norm(passages, axis=1), 1)


def test_max_length_and_weights_make_other_keys(tiny, tmp_path):
    from bmretriever_integrations.testing import write_tiny_checkpoint

    text = " ".join(WORDS * 5)
    whole = BMRetrieverEmbedder(str(tiny("llama")), device="cpu")
    cut = BMRetrieverEmbedder(str(tiny("llama")), max_length=8, device="cpu")
    assert not np.allclose(whole.passages([text]), cut.passages([text]))
    assert whole.settings() != cut.settings()
    other = BMRetrieverEmbedder(str(write_tiny_checkpoint(tmp_path / "o", "llama", seed=1)), device="cpu")
    assert whole.settings()["vectors"] != other.settings()["vectors"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("bm52", {}, "miner must be one of bm25, sentence-transformers:MODEL, bmretriever:MODEL, got 'bm52'"),
        ("bmretriever", {}, "miner must be one of"),
        ("sentence-transformers:", {}, "miner must be one of"),
        ("bm25:x", {}, "miner must be one of"),
        ("bm25", {"query_prefix": "query: "}, "bm25 has no query_prefix; leave it out"),
        ("bm25", {"max_length": 8}, "bm25 has no max_length"),
        ("bmretriever:mini", {"passage_prefix": "passage: "}, "bmretriever has no passage_prefix"),
        ("sentence-transformers:x", {"max_length": 0}, "max_length must be at least 1"),
    ],
)
def test_wrong_miners_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        load_miner(name, **settings)


def test_the_command_mines_and_shows(data, tmp_path, monkeypatch, capsys):
    def status(*words):
        given = ["mine_negatives.py", str(data), "--output", str(tmp_path / "out"), "--miner", *words]
        monkeypatch.setattr(sys, "argv", given)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        return end.value.code

    assert status("bm25", "--negatives", "2", "--sample", "hardest", "--show", "1") == 0
    pairs = list(read_pairs(tmp_path / "out" / "pairs.parquet"))
    assert max(len(pair.negatives) for pair in pairs) == 2
    out = capsys.readouterr().out
    assert "Hard negatives" in out
    assert pairs[0].id in out
    again = ["mine_negatives.py", str(tmp_path / "out" / "pairs.parquet"), "--output", str(tmp_path / "again")]
    monkeypatch.setattr(sys, "argv", [*again, "--miner", "bm25"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    had = sum(bool(pair.negatives) for pair in pairs)
    assert f"{had:,} pairs had negatives, which were replaced; --keep leaves them" in capsys.readouterr().out
    for wrong, message in (
        (["bm52"], "miner must be one of"),
        (["bm25", "--depth", "0"], "depth must be"),
    ):
        assert status(*wrong) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")
