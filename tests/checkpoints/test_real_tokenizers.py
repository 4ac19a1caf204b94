"""C3 and the shared instruction with the real Pythia, Mistral and Gemma tokenizers."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoTokenizer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.testing import reference_encode

pytestmark = pytest.mark.network

TEXTS = [
    "",
    "Hello world",
    "Metformin lowers HbA1c (-1.1 %, 95% CI -1.3 to -0.9) in adults.",
    "  two  spaces\tand\nlines  ",
    "α-synuclein 🧬 حمى",
    "</s> <|endoftext|> <eos> <bos>",
    "tumour necrosis factor " * 400,
]


@pytest.fixture(scope="module")
def tokenizer(real):
    """The backbone's tokenizer; loading Gemma's 256,000 tokens takes seconds."""
    return AutoTokenizer.from_pretrained(real.folder)


@pytest.fixture(scope="module")
def encoder(real):
    with BMRetrieverEncoder(real.folder, dtype="float32") as engine:
        yield engine


def relative_error(vectors, reference):
    return (np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)).max()


def test_real_tokenizer(real, tokenizer, encoder):
    tokens = PromptTokenizer(tokenizer, 512)
    assert tokens(["Hello world"])[0] == real.hello_world
    authors = [[*tokenizer(text, max_length=511, truncation=True)["input_ids"], real.eos] for text in TEXTS]
    assert tokens(TEXTS) == authors
    assert len(authors[-1]) == 512
    prompts = [passage_prompt(text) for text in TEXTS]
    reference = reference_encode(real.folder, prompts)
    assert relative_error(encoder.encode_passages(TEXTS), reference) <= 1e-5


# beginnings that a tokenizer may merge with the end of the template "Query: "
BEGINNINGS = [
    ": and :",
    " two spaces",
    "\nline",
    "\tTab",
    "",
    " ",
    "Query: ",
    "á",
    "🧬",
    "7",
    "...",
    "▁x",
    "Ġx",
    "What is",
    "tumour",
]


def test_the_shared_instruction_moves_no_vector(real, tokenizer, encoder):
    """Every instruction of the task table, every awkward beginning, together and alone."""
    instructions = sorted(set(TASK_INSTRUCTIONS.values()))
    prompts = [query_prompt(instruction, text) for instruction in instructions for text in BEGINNINGS]
    reference = reference_encode(real.folder, prompts)
    together = np.concatenate([encoder.encode_queries(BEGINNINGS, instruction) for instruction in instructions])
    assert relative_error(together, reference) <= 1e-5
    alone = np.concatenate([encoder.encode_queries([text], instructions[0]) for text in BEGINNINGS])
    assert relative_error(alone, reference[: len(BEGINNINGS)]) <= 1e-5
    tokens = PromptTokenizer(tokenizer, 512)
    template = tokens.template(query_prompt(instructions[0], ""))
    shared = [ids[: len(template)] == template for ids in tokens(prompts[: len(BEGINNINGS)])]
    assert sum(shared) > 0.6 * len(shared)  # most texts share all of the template, awkward as they are
