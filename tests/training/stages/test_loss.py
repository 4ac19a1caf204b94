"""The loss against plain formulas, and against the loss of sentence-transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from sentence_transformers.util import dot_score
from transformers import AutoModel, AutoTokenizer

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.training.stages.collator import PromptCollator, pad
from bmretriever_integrations.training.stages.loss import StageLoss, divergence
from bmretriever_integrations.training.stages.network import LastTokenVectors
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import text_key

TEMPERATURE = 20.0  # random tiny vectors have norm 8, so products near 64


def row(query, positive, *negatives, scores=()):
    query, positive = query_prompt("Find it", query), passage_prompt(positive)
    return {
        "query": query,
        "positive": positive,
        "negatives": [passage_prompt(text) for text in negatives],
        "scores": list(scores),
        "query_key": text_key(query),
        "positive_key": text_key(positive),
    }


ROWS = [
    row("aspirin", "Aspirin thins blood.", "Warfarin does, too.", scores=(3.0, 1.0)),
    row("insulin", "Insulin lowers glucose. " * 4, "Glucagon raises it.", scores=(2.0, 2.5)),
    row("statin", "Statins lower cholesterol.", "Fibrates do."),
    row("codeine", "Codeine stops cough."),  # no negative
]


@pytest.fixture
def world(tiny):
    """A function: settings -> (loss, its model, collate)."""
    tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(tiny("llama")), 48)
    network = AutoModel.from_pretrained(tiny("llama"), attn_implementation="sdpa")

    def make(**given):
        base = {"batch_size": 4, "learning_rate": 1.0, "max_steps": 1, "temperature": TEMPERATURE, "negatives": 1}
        settings = StageSettings(**{**base, **given})
        model = SentenceTransformer(modules=[LastTokenVectors(network, settings.normalize)], device="cpu")
        return StageLoss(model, settings), model, PromptCollator(tokenizer, settings.negatives)

    return make


def run(world, rows, **given):
    """Loss and gradients of one step."""
    loss, model, collate = world(**given)
    batch = collate(rows)
    features = {"input_ids": batch["texts_input_ids"], "attention_mask": batch["texts_attention_mask"]}
    model.zero_grad()
    value = loss([features], batch["label"])
    value.backward()
    return value.item(), {name: tensor.grad.clone() for name, tensor in model.named_parameters()}


def plain_vectors(world, texts):
    """One text at a time, no padding."""
    _, model, collate = world()
    ids = collate.tokenizer(texts)
    with torch.no_grad():
        rows = [model(dict(zip(("input_ids", "attention_mask"), pad([own], 0), strict=True))) for own in ids]
    return torch.cat([own["sentence_embedding"] for own in rows]).double().numpy()


def log_softmax(values):
    return values - values.max() - np.log(np.exp(values - values.max()).sum())


def formula(world, rows, temperature=TEMPERATURE, blocked=(), unit=False):
    """InfoNCE in numpy: every passage of the batch is a candidate, but for (query, candidate) in ``blocked``."""
    candidates = [r["positive"] for r in rows] + [text for r in rows for text in r["negatives"]]
    queries, passages = plain_vectors(world, [r["query"] for r in rows]), plain_vectors(world, candidates)
    if unit:
        queries, passages = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (queries, passages))
    logits = queries @ passages.T / temperature
    for query, candidate in blocked:
        logits[query, candidate] = -np.inf
    return -np.mean([log_softmax(logits[i])[i] for i in range(len(rows))])


def test_infonce_over_in_batch_and_hard_negatives(world):
    assert run(world, ROWS)[0] == pytest.approx(formula(world, ROWS), rel=1e-5)
    no_negatives = [{**r, "negatives": [], "scores": []} for r in ROWS]
    assert run(world, no_negatives, negatives=0)[0] == pytest.approx(formula(world, no_negatives), rel=1e-5)


def test_temperature_similarity_and_normalisation(world):
    assert run(world, ROWS, temperature=5.0)[0] == pytest.approx(formula(world, ROWS, 5.0), rel=1e-5)
    cosine = formula(world, ROWS, 0.05, unit=True)
    assert run(world, ROWS, temperature=0.05, similarity="cosine")[0] == pytest.approx(cosine, rel=1e-4)
    assert run(world, ROWS, temperature=0.05, normalize=True)[0] == pytest.approx(cosine, rel=1e-4)


def test_the_cached_loss_is_the_uncached(world):
    value, gradients = run(world, ROWS, mini_batch_tokens=10_000)
    for caching, tokens in ((True, 30), (True, 10_000), (False, 30)):
        other, others = run(world, ROWS, gradient_caching=caching, mini_batch_tokens=tokens)
        assert other == pytest.approx(value, rel=1e-6)
        for name, gradient in gradients.items():
            torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-5)


def test_caching_is_left_out_where_a_step_is_one_mini_batch(world):
    tokens = int(world()[2](ROWS)["texts_attention_mask"].sum())
    for budget, passes_of_step in ((4 * 3 * 48, 1), (tokens, 1), (tokens - 1, 4)):
        loss, model, collate = world(gradient_caching=True, max_length=48, mini_batch_tokens=budget)
        passes = []
        model[0].register_forward_hook(lambda *_given, passes=passes: passes.append(1))
        batch = collate(ROWS)
        loss(
            [{"input_ids": batch["texts_input_ids"], "attention_mask": batch["texts_attention_mask"]}], batch["label"]
        ).backward()
        assert len(passes) == passes_of_step  # two mini-batches are embedded twice


def test_the_loss_is_that_of_sentence_transformers(world):
    rows = ROWS[:3]
    value, gradients = run(world, rows)
    _, model, collate = world()
    columns = [[r["query"] for r in rows], [r["positive"] for r in rows], [r["negatives"][0] for r in rows]]
    features = [dict(zip(("input_ids", "attention_mask"), pad(collate.tokenizer(c), 0), strict=True)) for c in columns]
    stock = CachedMultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE, similarity_fct=dot_score)
    model.zero_grad()
    loss = stock(features, None)
    loss.backward()
    assert loss.item() == pytest.approx(value, rel=1e-5)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-3, atol=1e-4)


def test_known_positives_are_no_negatives(world):
    rows = [
        ROWS[0],
        row("aspirin", "It stops headache.", "Fibrates do."),  # the query of row 0, another positive
        row("acetylsalicylic acid", "Aspirin thins blood.", "Rain falls."),  # another query, the positive of row 0
        row("rain", "It rains.", "Aspirin thins blood."),  # its negative is the positive of rows 0 and 2
    ]
    same_query, same_text = [(0, 1), (1, 0)], [(0, 2), (2, 0), (0, 7), (2, 7)]
    text_of_same_query = [(1, 2), (1, 7)]  # row 1 has the query of row 0, and these are the text of row 0's positive
    blocked = same_query + same_text + text_of_same_query
    assert run(world, rows)[0] == pytest.approx(formula(world, rows, blocked=blocked), rel=1e-5)
    assert run(world, rows)[0] != pytest.approx(formula(world, rows, blocked=same_query + same_text), rel=1e-3)
    assert run(world, rows)[0] != pytest.approx(formula(world, rows), rel=1e-3)


def test_a_margin_masks_what_the_model_itself_scores_higher(world):
    queries = plain_vectors(world, [r["query"] for r in ROWS])
    passages = plain_vectors(world, [r["positive"] for r in ROWS])
    scores = queries @ passages.T
    margin = 1.0
    blocked = [(i, j) for i in range(4) for j in range(4) if i != j and scores[i, j] > scores[i, i] + margin]
    rows = [{**r, "negatives": [], "scores": []} for r in ROWS]
    assert 0 < len(blocked) < 12
    masked = run(world, rows, negatives=0, mask_margin=margin)[0]
    assert masked == pytest.approx(formula(world, rows, blocked=blocked), rel=1e-5)


def test_distillation_adds_the_divergence_from_the_miner(world):
    weight, softness = 0.5, 2.0
    queries = plain_vectors(world, [r["query"] for r in ROWS])
    expected = 0.0
    for query, r in zip(queries, ROWS, strict=True):
        if r["scores"]:
            own = plain_vectors(world, [r["positive"], *r["negatives"]])
            miner, model = log_softmax(np.array(r["scores"]) / softness), log_softmax(own @ query / TEMPERATURE)
            expected += (np.exp(miner) * (miner - model)).sum() / len(ROWS)
    settings = {"distillation": weight, "distillation_temperature": softness}
    value = run(world, ROWS, **settings)[0]
    assert value - run(world, ROWS)[0] == pytest.approx(weight * expected, rel=1e-4)
    assert run(world, ROWS, gradient_caching=True, mini_batch_tokens=30, **settings)[0] == pytest.approx(
        value, rel=1e-6
    )


def test_the_divergence_has_the_gradient_of_its_formula():
    scores = torch.tensor([[3.0, 1.0, float("nan")], [float("nan")] * 3, [1.0, 2.0, 0.5]], dtype=torch.float64)
    logits = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(lambda given: divergence(given, scores, 2.0), [logits])
    divergence(logits, scores, 2.0).backward()
    expected = torch.zeros_like(scores)
    for i, known in ((0, slice(0, 2)), (2, slice(0, 3))):  # softmax(model) - softmax(miner), over three queries
        expected[i, known] = (logits[i, known].softmax(0) - (scores[i, known] / 2).softmax(0)).detach() / 3
    torch.testing.assert_close(logits.grad, expected)
    nothing = torch.full((2, 2), float("nan"))
    assert divergence(torch.ones(2, 2), nothing, 1.0) == 0
