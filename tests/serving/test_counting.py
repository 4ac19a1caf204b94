"""Tokens are counted while texts are embedded: the same numbers as those of the sequences, also of equal and of long texts."""

from __future__ import annotations

from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.serving.counting import CountingTokenizer


def test_counts_are_those_of_the_sequences_before_they_are_cut(mini):
    engine = mini.view(progress=False, max_batch_tokens=mini.max_batch_tokens)
    engine.tokenizer = counting = CountingTokenizer(mini.tokenizer)
    texts = [f"insulin {number} " * (1 + number % 5) for number in range(150)] + [
        "insulin",
        "insulin",
        "",
        "word " * 2000,
    ]
    for embed, prompts in (
        (engine.encode_passages, [passage_prompt(text) for text in texts]),
        (engine.encode_queries, [query_prompt(DEFAULT_INSTRUCTION, text) for text in texts]),
    ):
        embed(texts)
        assert counting.counted(prompts) == mini.tokenizer.lengths(prompts)
        assert counting.counted(prompts)[-1] > mini.settings.max_length


def test_usage_of_short_texts_is_the_true_number(server, index_encoder):
    for model, prompt in (
        ("mini-query", query_prompt(DEFAULT_INSTRUCTION, "insulin")),
        ("mini", passage_prompt("insulin")),
    ):
        usage = server.client.post("/v1/embeddings", json={"model": model, "input": "insulin"}).json()["usage"]
        assert usage["prompt_tokens"] == usage["total_tokens"] == len(index_encoder.tokenizer([prompt])[0])
