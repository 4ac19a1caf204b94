"""Passages in, round trip, and what is kept and reported."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs
from bmretriever_integrations.training.synthesis.asking import Asked
from bmretriever_integrations.training.synthesis.consistency import Bm25RoundTrip, DenseRoundTrip, load_round_trip
from bmretriever_integrations.training.synthesis.filtering import keep, write_kept
from bmretriever_integrations.training.synthesis.levels import Draft
from bmretriever_integrations.training.synthesis.passages import choose, read_passages
from bmretriever_integrations.training.synthesis.spending import Spending
from bmretriever_integrations.training.synthesis.yield_report import report, report_table, write_report

INSTRUCTION = "Given a question, retrieve passages that answer it"
CORPUS = [
    "Metformin lowers blood glucose in type 2 diabetes.",
    "Warfarin thins the blood and prevents clots.",
    "Warfarin warfarin and fluconazole interact in the liver.",
    "The soleus muscle lifts the heel.",
]


def draft(query, positive, task="t"):
    return Draft(Pair(task=task, instruction=INSTRUCTION, query=query, positive=positive), "question")


def test_bm25_ranks_by_hand():
    queries = ["what lowers glucose", "warfarin", "zebra", "what is it"]
    own = np.array([0, 1, 2, 3])
    ranks = Bm25RoundTrip().ranks(queries, [INSTRUCTION] * 4, CORPUS, own)
    assert ranks.tolist() == [1, 2, 4, 4]  # the last two tell nothing apart, which counts as last
    assert Bm25RoundTrip().ranks([], [], CORPUS, own[:0]).tolist() == []


def by_sorting(queries, passages, own):
    scores = queries @ passages.T
    return [int((scores[row] > scores[row, position]).sum()) + 1 for row, position in enumerate(own)]


QUERIES = ["glucose", "clots", "liver", "heel"]


@pytest.mark.parametrize("at_once", [2, 100])
def test_our_encoder_ranks_with_each_query_s_instruction(tiny, monkeypatch, at_once):
    monkeypatch.setattr("bmretriever_integrations.training.synthesis.consistency.PASSAGES_AT_ONCE", at_once)
    encoder = BMRetrieverEncoder(tiny("llama"), device="cpu", dtype="float32")
    own = np.array([0, 1, 2, 3])
    instructions = [INSTRUCTION, "Given a claim, find proof of it", INSTRUCTION, INSTRUCTION]
    queries = np.concatenate(
        [encoder.encode_queries([query], words) for query, words in zip(QUERIES, instructions, strict=True)]
    )
    ranks = DenseRoundTrip("tiny", encoder).ranks(QUERIES, instructions, CORPUS, own)
    assert ranks.tolist() == by_sorting(queries, encoder.encode_passages(CORPUS), own)


def test_a_sentence_transformers_folder_ranks_by_its_own_similarity(tiny, tmp_path):
    body = Transformer(str(tiny("llama")))
    body.tokenizer.pad_token = body.tokenizer.pad_token or body.tokenizer.eos_token
    SentenceTransformer(
        modules=[body, Pooling(body.get_embedding_dimension(), "mean")], device="cpu", similarity_fn_name="cosine"
    ).save(str(tmp_path / "st"))
    retriever = load_round_trip(f"sentence-transformers:{tmp_path / 'st'}")
    own = np.array([3, 2, 1, 0])
    model = SentenceTransformer(str(tmp_path / "st"), device="cpu")
    unit = [model.encode(texts, normalize_embeddings=True) for texts in (QUERIES, CORPUS)]
    assert retriever.ranks(QUERIES, [INSTRUCTION] * 4, CORPUS, own).tolist() == by_sorting(*unit, own)


def test_round_trips_by_name():
    assert load_round_trip("none") is None
    assert load_round_trip("bm25").name == "BM25"
    for wrong in ("bm26", "sentence-transformers:", "st:x"):
        with pytest.raises(ValueError, match="round trip must be bm25, none"):
            load_round_trip(wrong)


DRAFTS = [
    draft("what lowers glucose in diabetes", CORPUS[0]),
    draft("What lowers glucose in diabetes?", CORPUS[1]),  # a repeat
    draft("what lowers glucoses in diabetes", CORPUS[0]),  # a near one
    draft("warfarin", CORPUS[1]),  # second to the other warfarin passage
    draft("zebra crossing", CORPUS[3]),
]


@pytest.mark.parametrize(("top_k", "queries", "lost"), [(1, 1, 2), (2, 2, 1), (4, 3, 0)])
def test_top_k_decides_what_is_kept(top_k, queries, lost):
    kept = keep(DRAFTS, CORPUS, Bm25RoundTrip(), top_k=top_k, similarity=0.8)
    assert (len(kept.pairs), kept.inconsistent) == (queries, lost)
    assert kept.repeats == {"exact": 1, "near": 1}
    assert kept.passages == 4
    assert kept.by_type == {"question": {"valid": 5, "kept": queries}}
    assert len(kept.lost) == lost


def test_without_round_trip_and_with_a_lax_similarity():
    assert len(keep(DRAFTS, CORPUS, None, top_k=1, similarity=0.8).pairs) == 3
    assert len(keep(DRAFTS, CORPUS, None, top_k=1, similarity=1.0).pairs) == 4
    with pytest.raises(ValueError, match="top_k must be 1 or more"):
        keep(DRAFTS, CORPUS, None, top_k=0, similarity=0.8)


def test_negatives_are_ranked_among():
    one = Draft(
        Pair(task="t", instruction=INSTRUCTION, query="warfarin", positive=CORPUS[1], negatives=(CORPUS[2],)), "x"
    )
    kept = keep([one], [], Bm25RoundTrip(), top_k=1, similarity=0.8)
    assert (kept.passages, kept.inconsistent) == (2, 1)


def test_the_report_adds_up(tmp_path):
    kept = keep(DRAFTS, CORPUS, Bm25RoundTrip(), top_k=2, similarity=0.8)
    asked = Asked(questions=8, requests=9)
    asked.usable_at.update({1: 4, 2: 1})
    asked.unusable.update({"truncated": 2, "refusal": 1})
    content = report(kept, asked, Spending(1.0, 2.0, None, None, 10, 5), 1.5, {"model": "m"})
    assert content["asked"] == content["valid"] + sum(content["unusable"].values())
    assert content["different"] == content["valid"] - sum(content["repeats"].values())
    assert content["kept"] == content["different"] - content["round_trip"]["lost"] == 2
    assert content["cost"] == pytest.approx(20e-6)
    write_report(content, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == content
    cells = dict(zip(*(list(column.cells) for column in report_table(content).columns[:2]), strict=True))
    assert cells["kept"] == "2"
    assert cells["  unusable: truncated"] == "2"
    assert cells["  not in BM25's top 2 of 4"] == "1"
    path = write_kept(kept, tmp_path)
    assert list(read_pairs(path)) == kept.pairs
    kept.pairs = []
    assert write_kept(kept, tmp_path) is None
    assert not path.exists()  # no older run's pairs pass for this one's


def test_passages_from_pairs_and_corpora(tmp_path):
    with PairWriter(tmp_path / "a.parquet") as writer:
        for text in (CORPUS[0], CORPUS[0], CORPUS[1]):
            writer.write(
                Pair(task="t", instruction=INSTRUCTION, query="q", positive=text, source="x.jsonl", licence="CC0")
            )
    rows = [{"_id": "7", "title": "Soleus", "text": CORPUS[3]}, {"_id": "8", "title": "", "text": CORPUS[1]}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    passages = read_passages([tmp_path / "a.parquet", tmp_path / "b.jsonl"], "CC BY 4.0")
    assert [passage.text for passage in passages] == [*CORPUS[:2], f"Soleus {CORPUS[3]}"]  # each text once
    assert passages[0].id.startswith("x.jsonl#")
    assert (passages[2].id, passages[2].licence) == ("b.jsonl#7", "CC BY 4.0")
    assert passages[0].licence == "CC0"
    (tmp_path / "c.txt").write_text("text")
    (tmp_path / "d.jsonl").write_text(json.dumps({"_id": "1", "title": "", "text": CORPUS[0]}) + "\n{broken\n")
    with pytest.raises(ValueError, match=r"d\.jsonl:2: not JSON"):
        read_passages([tmp_path / "d.jsonl"])
    with pytest.raises(FileNotFoundError, match="no pairs at"):
        read_passages([tmp_path / "none.parquet"])
    with pytest.raises(ValueError, match="ends in none of"):
        read_passages([tmp_path / "c.txt"])


def test_choosing_passages(tmp_path):
    (tmp_path / "c.jsonl").write_text(
        "\n".join(json.dumps({"_id": str(n), "title": "", "text": "word " * n}) for n in range(1, 41))
    )
    passages = read_passages([tmp_path / "c.jsonl"])
    chosen = choose(passages, 5, (10, 30), seed=0)
    assert len(chosen) == 5
    assert all(10 <= len(passage.text.split()) <= 30 for passage in chosen)
    assert choose(passages, 9, (10, 30), seed=0)[:5] == chosen  # a higher limit keeps what a lower one chose
    assert choose(passages, 5, (10, 30), seed=1) != chosen
    assert len(choose(passages, None, (10, 30), seed=0)) == 21
    with pytest.raises(ValueError, match="none of the 40 passages has 90 to 99 words"):
        choose(passages, None, (90, 99), seed=0)
    with pytest.raises(ValueError, match="limit must be 1 or more"):
        choose(passages, 0, (10, 30), seed=0)
