"""The shared instruction: what is shared, what is kept, and that nobody's vector moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.tokens import PromptTokenizer, shared_tokens
from bmretriever_integrations.forward import prefix
from bmretriever_integrations.forward.prefix import PrefixCache
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

# beginnings that a tokenizer may merge with the end of the template "Query: "
AWKWARD = [
    ": and :", " two spaces", "\nline", "\tTab", "", " ", "Query: Query: ", "ry: sickle", "á", "🧬", "a", "1", "...", "Ġ", "▁x"
]  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors_equal_the_reference_for_many_instructions_and_beginnings(tiny, architecture, prefixes):
    instructions = [
        *sorted(set(TASK_INSTRUCTIONS.values()))[:6],
        "Find it:",
        "Trouve l'article ",
        "a b",
        "検索 する:  ",
    ]
    encoder = BMRetrieverEncoder(tiny(architecture), dtype="float32")
    prompts = [query_prompt(instruction, text) for instruction in instructions for text in AWKWARD]
    reference = reference_encode(tiny(architecture), prompts)
    together = np.concatenate([encoder.encode_queries(AWKWARD, instruction) for instruction in instructions])
    alone = np.concatenate(
        [encoder.encode_queries([text], instruction) for instruction in instructions for text in AWKWARD]
    )
    for vectors in (together, alone):
        errors = np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)
        assert errors.max() <= 1e-5
    assert prefixes.computed


def test_what_is_shared_is_read_off_the_ids():
    template = [1, 2, 3, 4]
    assert shared_tokens([[1, 2, 3, 4, 9, 0], [1, 2, 3, 4, 8, 0]], template) == 4
    assert shared_tokens([[1, 2, 3, 4, 9, 0], [1, 2, 3, 7, 8, 0]], template) == 3  # merged with the text: not shared
    assert shared_tokens([[1, 2, 3, 4, 9, 0], [5, 0]], template) == 0
    assert shared_tokens([[1, 2, 0], [1, 2, 0]], [1, 2, 0, 7]) == 2  # a token is left over to be run
    assert shared_tokens([[1, 2, 9, 9], [1, 2, 9, 9]], template) == 2  # no more than the template, whatever texts share
    assert shared_tokens([[1, 2, *range(100)]], [1, 2]) == 0  # 2 of 102 tokens: not worth it


def test_rows_are_run_without_the_instruction(tiny, watch):
    seen = []
    encoder = BMRetrieverEncoder(tiny("gpt_neox"))
    tokens = PromptTokenizer(AutoTokenizer.from_pretrained(tiny("gpt_neox")), 512)
    whole = tokens([query_prompt(TASK_INSTRUCTIONS["scifact"], text) for text in ("fever", "stroke")])
    watch(lambda run, lengths: seen.append(sum(lengths)) or run())
    encoder.encode_queries(["fever", "stroke"], "scifact")
    assert seen[0] < sum(map(len, whole)) / 3
    plain = BMRetrieverEncoder(tiny("gpt_neox"), forward="plain")
    plain.encode_queries(["fever", "stroke"], "scifact")
    assert seen[-1] == sum(map(len, whole))  # after those of the check that it is causal


def test_a_prefix_is_computed_once_and_the_oldest_goes(monkeypatch):
    monkeypatch.setattr(prefix, "KEPT", 2)
    computed = []
    cache = PrefixCache()
    for ids in [(1,), (2,), (1,), (3,), (1,), (2,)]:
        assert cache.get(ids, lambda ids: computed.append(ids) or ids) == ids
    assert computed == [(1,), (2,), (3,), (2,)]  # (2,) was the one not used for longest when (3,) came
    assert len(cache) == 2


def test_many_threads_with_many_instructions(tiny, prefixes):
    encoder = BMRetrieverEncoder(tiny("llama"), dtype="float32")
    jobs = [(f"Task number {number % 25} of many", f"question {number}") for number in range(200)]
    reference = reference_encode(tiny("llama"), [query_prompt(*job) for job in jobs])
    with ThreadPoolExecutor(16) as pool:
        vectors = np.stack(list(pool.map(lambda job: encoder.encode_queries([job[1]], job[0])[0], jobs)))
    assert (np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)).max() <= 1e-5
    assert prefixes.kept == prefix.KEPT


def test_what_is_kept_does_not_grow_with_the_batch(tiny, prefixes):
    """Keys and values of the prefix alone: views into a whole batch would keep all of it."""
    encoder = BMRetrieverEncoder(tiny("mistral"), dtype="float32")
    encoder.encode_queries([f"question {number}" for number in range(300)])
    (kept,) = prefixes.computed
    assert len(kept.layers) == 2
    for part in [part for layer in kept.layers for part in layer]:
        assert part.shape == (len(kept), 2, 16)
        assert part.untyped_storage().nbytes() == part.numel() * part.element_size()
        assert part.dtype == torch.float32
