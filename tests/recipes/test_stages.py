"""The recipe at smoke size: pairs, negatives, one stage of each kind, and the checkpoint it leaves."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.embedded import pack
from bmretriever_integrations.forward.last_token import LastTokenLlama, shorten
from bmretriever_integrations.training.base_model import _cut_tokenizer, cut_smollm2
from bmretriever_integrations.training.negatives import mine_bm25
from bmretriever_integrations.training.pairs import Pair, Source, read_pairs
from bmretriever_integrations.training.stages import StageSettings, load_settings, train_stage

DRUGS = ["aspirin", "warfarin", "insulin", "digoxin", "morphine", "heparin", "codeine", "lithium", "quinine", "statin"]


@pytest.fixture
def data(tmp_path):
    rows = [
        {
            "title": f"{drug} dose {number}",
            "text": f"The dose of {drug} is {number} mg. It is taken daily. Take {drug} with water. It helps {number}.",
        }
        for drug in DRUGS
        for number in range(4)
    ]
    with gzip.open(tmp_path / "titled.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    labelled = [
        {"task": "dose", "instruction": "Given a question, find a dose", "query": row["title"], "positive": row["text"]}
        for row in rows
    ]
    (tmp_path / "labelled.jsonl").write_text("\n".join(json.dumps(row) for row in labelled))
    return tmp_path


@pytest.fixture
def base(tiny, tmp_path):
    """A base as the recipe's own: its tokenizer appends EOS for trainers that do not."""
    folder = tmp_path / "base"
    AutoModel.from_pretrained(tiny("llama")).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    eos = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {eos}", special_tokens=[(eos, tokenizer.eos_token_id)]
    )
    tokenizer.save_pretrained(folder)
    return folder


def test_pairs_carry_the_released_templates(data):
    titled = read_pairs(data, Source(file="titled.jsonl.gz", pairing="title"), seed=0)
    assert len(titled) == 40
    pair = next(pair for pair in titled if "aspirin dose 2" in pair.query)
    assert pair.query == "Given a title, retrieve the passage that it heads\nQuery: aspirin dose 2"
    assert pair.positive.startswith("Represent this passage\npassage: The dose of aspirin is 2 mg.")
    spans = read_pairs(data, Source(file="titled.jsonl.gz", pairing="spans", limit=7), seed=0)
    assert len(spans) == 7
    for pair in spans:  # two disjoint spans of one document
        question, passage = pair.query.split("Query: ")[1], pair.positive.split("passage: ")[1]
        assert question not in passage
        assert question.startswith("The dose of")
    labelled = read_pairs(data, Source(file="labelled.jsonl", pairing="labelled"), seed=0)
    assert labelled[0].query.startswith("Given a question, find a dose\nQuery: ")


def test_bad_rows_name_file_and_line(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"title": "t", "text": "x"}\nnot json\n')
    with pytest.raises(ValueError, match=r"a\.jsonl:2: not JSON"):
        read_pairs(tmp_path, Source(file="a.jsonl", pairing="title"), 0)
    (tmp_path / "b.jsonl").write_text('{"title": "t"}\n')
    with pytest.raises(ValueError, match=r"b\.jsonl:1: no column 'text'"):
        read_pairs(tmp_path, Source(file="b.jsonl", pairing="title"), 0)


def test_negatives_are_hard_and_never_a_positive(data):
    pairs = read_pairs(data, Source(file="labelled.jsonl", pairing="labelled"), seed=0)
    pairs.append(Pair(pairs[0].task, pairs[0].query, pairs[1].positive))  # a query with two positives
    negatives = mine_bm25(pairs, seed=0)
    for pair, negative in zip(pairs, negatives, strict=True):
        assert negative not in {other.positive for other in pairs if other.query == pair.query}
    assert negatives == mine_bm25(pairs, seed=0)
    assert negatives != mine_bm25(pairs, seed=1)


def test_last_token_llama_is_the_plain_llama(tiny):
    network = AutoModel.from_pretrained(tiny("llama")).train()
    ids = torch.randint(5, 100, (3, 12))
    mask = torch.ones_like(ids)
    mask[0, 7:] = mask[2, 10:] = 0
    rows, last = torch.arange(3), mask.sum(1) - 1
    plain = network(input_ids=ids, attention_mask=mask).last_hidden_state[rows, last]
    plain.square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    assert isinstance(shorten(network), LastTokenLlama)
    short = network(input_ids=ids, attention_mask=mask).last_hidden_state[rows, last]
    short.square().sum().backward()
    torch.testing.assert_close(short, plain, rtol=1e-5, atol=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-4)


def test_a_stage_learns_repeats_and_leaves_a_checkpoint_that_loads(base, data, tmp_path):
    settings = StageSettings(
        sources=[Source(file="labelled.jsonl", pairing="labelled")],
        max_steps=40,
        batch_size=8,
        learning_rate=3e-3,
        warmup_steps=2,
        max_length=48,
        hard_negatives=True,
        temperature=20.0,  # random tiny vectors have norm 8, so products near 64
    )
    losses = train_stage(base, data, tmp_path / "one", settings, progress=False)
    assert losses[-1] < 0.8 * losses[0]
    assert train_stage(base, data, tmp_path / "two", settings, progress=False) == losses
    from sentence_transformers import SentenceTransformer

    texts = ["aspirin dose 2", "heparin " * 90]
    vectors = BMRetrieverEncoder(tmp_path / "one").encode_passages(texts)
    stock = SentenceTransformer(str(tmp_path / "one"), device="cpu")
    same = stock.encode([f"Represent this passage\npassage: {text.strip()}" for text in texts])
    np.testing.assert_allclose(vectors, same, rtol=1e-3, atol=1e-4)
    pack(tmp_path / "one", tmp_path / "small")
    small = BMRetrieverEncoder(tmp_path / "small").encode_passages(texts)
    cosine = (small * vectors).sum(1) / np.linalg.norm(small, axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosine.min() > 0.999


def test_settings_of_the_repository_parse(pytestconfig):
    files = sorted((pytestconfig.rootpath / "training").rglob("*.yaml"))
    assert len(files) >= 2
    for file in files:
        assert load_settings(file).max_steps > 0


def test_unknown_settings_are_refused(tmp_path):
    (tmp_path / "x.yaml").write_text("sources: []\nmax_steps: 1\nbatch_size: 2\nlearning_rate: 1.0\nlr: 3\n")
    with pytest.raises(ValueError, match=r"unknown settings \['lr'\]"):
        load_settings(tmp_path / "x.yaml")
    with pytest.raises(ValueError, match="batch_size must be at least 2"):
        StageSettings(sources=[], max_steps=1, batch_size=1, learning_rate=1.0)


def test_fewer_merges_are_a_valid_tokenizer(tiny):
    whole = AutoTokenizer.from_pretrained(tiny("llama"))
    merges = len(json.loads(whole.backend_tokenizer.to_str())["model"]["merges"])
    cut = _cut_tokenizer(whole, merges // 2)
    text = "Metformin lowers blood glucose 🧬"
    ids = cut(text)["input_ids"]
    assert len(cut) == len(whole) - merges + merges // 2
    assert ids[-1] == cut.eos_token_id
    assert max(ids) < len(cut)
    assert cut.decode(ids[:-1]) == text
    with pytest.raises(ValueError, match=f"merges must be 1..{merges}"):
        _cut_tokenizer(whole, merges + 1)


def test_another_file_is_not_taken_for_smollm2(tmp_path):
    (tmp_path / "SmolLM2.gguf").write_bytes(b"GGUF")
    with pytest.raises(ValueError, match="is not the file expected"):
        cut_smollm2(tmp_path / "SmolLM2.gguf", 2, 100)
    with pytest.raises(ValueError, match=r"layers must be 1\.\.30"):
        cut_smollm2(tmp_path / "SmolLM2.gguf", 31, 100)
