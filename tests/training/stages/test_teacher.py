"""Distillation from a teacher: its vectors of all texts, and the loss that compares their similarities."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta

import accelerate
import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.training.pairs.schema import read_pairs
from bmretriever_integrations.training.stages.data import prepare
from bmretriever_integrations.training.stages.loss import StageLoss
from bmretriever_integrations.training.stages.run import train_stage
from bmretriever_integrations.training.stages.settings import StageSettings, TeacherSettings
from bmretriever_integrations.training.stages.sources import find_sources, text_key
from bmretriever_integrations.training.stages.teacher import prepare_teacher


@pytest.fixture
def teacher(tiny, tmp_path):
    """A folder of sentence-transformers whose vector of a text is the mean of its words' random vectors."""
    torch.manual_seed(5)
    words = AutoTokenizer.from_pretrained(tiny("llama")).backend_tokenizer
    model = SentenceTransformer(modules=[StaticEmbedding(words, embedding_dim=24), Normalize()], device="cpu")
    model.save(str(tmp_path / "teacher"))
    return str(tmp_path / "teacher")


@pytest.fixture
def plain_teacher(tiny, tmp_path):
    """A function: a similarity -> a folder whose vectors are not scaled to length 1."""

    def write(similarity, *, weight=None, **more):
        words = AutoTokenizer.from_pretrained(tiny("llama")).backend_tokenizer
        table = np.random.default_rng(5).standard_normal((words.get_vocab_size(), 24)).astype(np.float32) * 4
        if weight is not None:
            table[:] = weight
        embedding = StaticEmbedding(words, embedding_weights=table)
        model = SentenceTransformer(modules=[embedding], device="cpu", similarity_fn_name=similarity, **more)
        folder = tmp_path / f"{similarity} {weight}"
        model.save(str(folder))
        return folder

    return write


def settings(teacher, *, of_teacher=None, **given):
    named = TeacherSettings(**{"model": teacher, "query_prompt": "q: ", "passage_prompt": "p: ", **(of_teacher or {})})
    base = {
        "max_steps": 4,
        "batch_size": 8,
        "learning_rate": 3e-3,
        "warmup_share": 0.5,
        "max_length": 48,
        "negatives": 1,
        "normalize": True,
        "temperature": 0.1,
        "distillation": 1.0,
        "distillation_temperature": 0.1,
        "eval_share": 0.1,
        "log_every": 1,
    }
    return StageSettings(**{**base, **given, "teacher": named})


def log_softmax(values):
    return values - values.max() - np.log(np.exp(values - values.max()).sum())


class Given(torch.nn.Module):
    """A model whose vectors are the numbers that it is given."""

    def forward(self, features):
        return {"sentence_embedding": features["input_ids"].float() / 8}


def loss_of(chosen, labels, vectors):
    """The loss of vectors, which the model gets as whole eighths."""
    model = SentenceTransformer(modules=[Given()], device="cpu")
    ids = torch.tensor(vectors * 8).long()
    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return float(StageLoss(model, chosen)([features], labels))


@pytest.fixture
def step():
    """Vectors of three queries, three positives and two hard negatives (a slot is empty), and the labels with a teacher's."""
    numbers = np.random.default_rng(3)
    slots = [0, 1, 2, 3, 4, 5, 6, 8]
    taught = numbers.standard_normal((9, 5)).astype(np.float16)
    taught[7] = 0
    labels = {
        "slots": torch.tensor(slots),
        "query_keys": torch.tensor([1, 2, 3]),
        "candidate_keys": torch.tensor([11, 12, 13, 14, 0, 15]),
        "scores": torch.full((3, 2), torch.nan),
        "teacher": torch.from_numpy(taught),
    }
    return np.round(numbers.standard_normal((8, 6)) * 8) / 8, labels, taught.astype(np.float64)


def plain(vectors, taught, *, blocked=()):
    """InfoNCE and the divergence at temperatures 2 and 0.5, in numpy; candidate 4 is empty."""
    filled = [0, 1, 2, 3, 5]
    ours = vectors[:3] @ vectors[3:].T / 2  # candidates without the empty one
    theirs = (taught[:3] @ taught[3:].T)[:, filled] / 0.5
    own = ours.copy()
    for query, candidate in blocked:
        own[query, candidate] = -np.inf
    contrast = -np.mean([log_softmax(own[row])[row] for row in range(3)])
    apart = [
        (np.exp(log_softmax(t)) * (log_softmax(t) - log_softmax(o))).sum() for o, t in zip(ours, theirs, strict=True)
    ]
    return contrast, np.mean(apart)


def test_the_loss_adds_the_divergence_over_all_candidates_of_the_batch(step):
    vectors, labels, taught = step
    plain_settings = {"normalize": False, "temperature": 2.0, "distillation_temperature": 0.5}
    contrast, apart = plain(vectors, taught)
    for weight in (0.5, 2.0):
        chosen = settings("any", distillation=weight, **plain_settings)
        assert loss_of(chosen, labels, vectors) == pytest.approx(contrast + weight * apart, rel=1e-3)


def test_a_share_masks_what_the_teacher_scores_near_the_positive(step):
    vectors, labels, taught = step
    scores = (taught[:3] @ taught[3:].T)[:, [0, 1, 2, 3, 5]]
    share = 0.5
    blocked = [(i, j) for i in range(3) for j in range(5) if i != j and scores[i, j] > share * scores[i, i]]
    assert 0 < len(blocked) < 12
    chosen = settings(
        "any", of_teacher={"false_negative_share": share}, distillation=0.0, normalize=False, temperature=2.0
    )
    masked, unmasked = plain(vectors, taught, blocked=blocked)[0], plain(vectors, taught)[0]
    assert loss_of(chosen, labels, vectors) == pytest.approx(masked, rel=1e-3)
    assert masked != pytest.approx(unmasked, rel=1e-2)


def test_the_vectors_are_those_of_the_teachers_own_prompts(doses, teacher, tmp_path):
    chosen = settings(teacher, eval_share=0.0)
    sources = find_sources(doses, chosen)
    rows = prepare(tmp_path, sources, chosen).training
    vectors = prepare_teacher(tmp_path, rows, sources, chosen, progress=False)
    model = SentenceTransformer(teacher, device="cpu")
    for pair in list(read_pairs(doses))[:5]:
        keys = [
            text_key(pair.query_prompt),
            text_key(pair.positive_prompt),
            text_key(passage_prompt(pair.negatives[0])),
        ]
        expected = model.encode([f"q: {pair.query}", f"p: {pair.positive}", f"p: {pair.negatives[0]}"])
        np.testing.assert_allclose(vectors.of([*keys, 0])[:3], expected, atol=1e-3)
    assert not vectors.of([0]).any()
    with pytest.raises(LookupError, match="no vector"):
        vectors.of([keys[0], 5])
    again = pickle.loads(pickle.dumps(vectors))  # as a process that makes batches gets them
    np.testing.assert_array_equal(again.of(keys), vectors.of(keys))


def vectors_of(model, doses, folder, **of_teacher):
    """The first pair, and the vectors of its query and its positive that a stage compares by."""
    pair = next(iter(read_pairs(doses)))
    chosen = settings(str(model), of_teacher=of_teacher, eval_share=0.0)
    sources = find_sources(doses, chosen)
    rows = prepare(folder, sources, chosen).training
    found = prepare_teacher(folder, rows, sources, chosen, progress=False)
    return pair, found.of([text_key(pair.query_prompt), text_key(pair.positive_prompt)])


def test_a_teacher_with_cosine_compares_by_the_cosine(doses, plain_teacher, tmp_path):
    pair, found = vectors_of(plain_teacher("cosine"), doses, tmp_path / "cosine")
    expected = SentenceTransformer(str(plain_teacher("cosine")), device="cpu").encode([f"q: {pair.query}"])[0]
    assert np.linalg.norm(expected) > 2
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-3)
    _, kept = vectors_of(plain_teacher("dot"), doses, tmp_path / "dot")
    np.testing.assert_allclose(kept[0], expected, atol=1e-2)
    with pytest.raises(ValueError, match="compares by euclidean; it must compare by cosine or dot"):
        vectors_of(plain_teacher("euclidean"), doses, tmp_path / "euclidean")


def test_the_settings_alone_say_what_comes_before_a_text(doses, plain_teacher, tmp_path):
    model = plain_teacher("dot", prompts={"own": "morphine heparin "}, default_prompt_name="own")
    pair, found = vectors_of(model, doses, tmp_path / "states", query_prompt="{instruction} q: ", passage_prompt="")
    texts = [f"{pair.instruction} q: {pair.query}", pair.positive]
    expected = SentenceTransformer(str(model), device="cpu").encode(texts, prompt="")
    np.testing.assert_allclose(found, expected, atol=1e-2)


def test_a_folder_that_cannot_teach_is_named(doses, tiny, plain_teacher, tmp_path):
    (tmp_path / "empty").mkdir()
    damaged = plain_teacher("dot")
    (damaged / "modules.json").write_text("{")
    for folder in (tiny("llama"), tmp_path / "empty", damaged):
        with pytest.raises(ValueError, match=f"teacher {folder} is no model of sentence-transformers"):
            vectors_of(folder, doses, tmp_path / "states")
    for value in (float("nan"), 1e6):
        with pytest.raises(ValueError, match="not finite in float16"):
            vectors_of(plain_teacher("dot", weight=value), doses, tmp_path / "states")


def test_they_are_written_once_and_again_if_damaged(doses, teacher, tmp_path, monkeypatch):
    chosen = settings(teacher, eval_share=0.0)
    sources = find_sources(doses, chosen)
    rows = prepare(tmp_path, sources, chosen).training
    first = prepare_teacher(tmp_path, rows, sources, chosen, progress=False)
    key = text_key(query_prompt("Given a question, find a dose", "aspirin dose 1"))
    expected = first.of([key]).copy()
    opened = []
    real = SentenceTransformer.encode
    monkeypatch.setattr(SentenceTransformer, "encode", lambda *a, **k: opened.append(k["batch_size"]) or real(*a, **k))
    prepare_teacher(tmp_path, rows, sources, chosen, progress=False)
    assert not opened
    (tmp_path / "teacher_vectors.npy").write_bytes(b"half")
    mended = prepare_teacher(tmp_path, rows, sources, chosen, progress=False)
    assert opened
    assert opened[0] < 64  # on a CPU more texts at once take memory and save no time
    np.testing.assert_array_equal(mended.of([key]), expected)


def test_a_distilled_stage_comes_nearer_to_the_teacher(doses, teacher, tiny, tmp_path):
    """Ranks of the texts by similarity, before and after: with weight on the teacher they agree more than without."""
    texts = [pair.query for pair in read_pairs(doses)][:40]
    theirs = SentenceTransformer(teacher, device="cpu").encode([f"q: {text}" for text in texts])
    positives = [pair.positive for pair in read_pairs(doses)][:40]
    theirs = theirs @ SentenceTransformer(teacher, device="cpu").encode([f"p: {text}" for text in positives]).T

    def agreement(folder):
        with BMRetrieverEncoder(str(folder), device="cpu") as encoder:
            ours = encoder.encode_queries(texts, "Given a question, find a dose") @ encoder.encode_passages(positives).T
        return np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]

    found = {}
    for weight in (0.01, 10.0):
        output = tmp_path / str(weight)
        chosen = settings(teacher, distillation=weight, max_steps=30, log_every=10, save_every=30, eval_share=0.0)
        record = train_stage(tiny("llama"), doses, output, chosen, progress=False)
        assert record["settings"]["teacher"]["query_prompt"] == "q: "
        found[weight] = agreement(output)
    assert found[10.0] > found[0.01] + 0.05


def test_another_teacher_is_another_run(doses, teacher, tiny, tmp_path):
    train_stage(tiny("llama"), doses, tmp_path / "run", settings(teacher, max_steps=2), progress=False)
    facts = json.loads((tmp_path / "run" / "stage.json").read_text())
    assert facts["teacher"]
    torch.manual_seed(6)
    other = SentenceTransformer(teacher, device="cpu")
    with torch.no_grad():
        other[0].embedding.weight.normal_()
    other.save(teacher)
    with pytest.raises(ValueError, match="another run"):
        train_stage(tiny("llama"), doses, tmp_path / "run", settings(teacher, max_steps=2), progress=False)


def test_a_teacher_that_is_missing_is_named(doses, tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match="teacher no/such-teacher"):
        train_stage(tiny("llama"), doses, tmp_path / "run", settings("no/such-teacher"), progress=False)


def test_other_processes_wait_for_hours_while_the_teacher_embeds(doses, tiny, tmp_path, monkeypatch):
    class Joined(Exception):
        pass

    def join(**given):
        raise Joined(given["timeout"])

    monkeypatch.setattr(accelerate, "PartialState", join)
    with pytest.raises(Joined) as joined:
        train_stage(tiny("llama"), doses, tmp_path / "run", settings("any"), progress=False)
    assert joined.value.args[0] >= timedelta(hours=12)


def test_a_teacher_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match="the teacher changes nothing"):
        settings("any", distillation=0.0)
    with pytest.raises(ValueError, match="at least 1 character"):  # it would be the current directory
        settings("")
    assert settings("any", negatives=0).distillation == 1.0  # a teacher scores the batch's own passages
