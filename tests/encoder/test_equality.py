"""C1-C4: the engine's vectors are the reference's, for every architecture, number type, entry point and batch."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode, write_tiny_checkpoint

TEXTS = [
    "",
    "a",
    " \n\t ",
    "Metformin lowers HbA1c in adults with type 2 diabetes.",
    "α-synuclein 🧬 misfolds\x00\x07 in Parkinson's disease",
    "حمى البحر الأبيض المتوسط",
    "</s><|endoftext|><eos> tokens written out",
    "x" * 3000,
    "word " * 20_000,  # 100,000 characters
    *(("aspirin reduces the risk of stroke " * count).strip() for count in range(1, 90, 8)),
]
INSTRUCTION = "Given a scientific claim, retrieve documents that support or refute the claim"


def relative_error(vectors, reference):
    return (np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)).max()


def worst_cosine(vectors, reference):
    product = (vectors * reference).sum(1)
    return (product / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference, axis=1)).min()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_passages_equal_the_reference(tiny, architecture, dtype):
    reference = reference_encode(tiny(architecture), [passage_prompt(text, "A title") for text in TEXTS])
    with BMRetrieverEncoder(tiny(architecture), dtype=dtype) as encoder:
        vectors = encoder.encode_passages(TEXTS, ["A title"] * len(TEXTS))
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 64)
    if dtype == "float32":
        assert relative_error(vectors, reference) <= 1e-5
    else:
        assert worst_cosine(vectors, reference) >= 0.999
        assert relative_error(vectors, reference) > 1e-5  # else bfloat16 was not used


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_queries_equal_the_reference(tiny, architecture, dtype):
    reference = reference_encode(tiny(architecture), [query_prompt(INSTRUCTION, text) for text in TEXTS])
    with BMRetrieverEncoder(tiny(architecture), dtype=dtype) as encoder:
        vectors = encoder.encode_queries(TEXTS, "scifact")
    if dtype == "float32":
        assert relative_error(vectors, reference) <= 1e-5
    else:
        assert worst_cosine(vectors, reference) >= 0.999


@pytest.mark.parametrize("max_length", [16, 40, 600])
def test_other_lengths_equal_the_reference(tiny, max_length):
    reference = reference_encode(tiny("mistral"), [passage_prompt(text) for text in TEXTS], max_length)
    vectors = BMRetrieverEncoder(tiny("mistral"), dtype="float32", max_length=max_length).encode_passages(TEXTS)
    assert relative_error(vectors, reference) <= 1e-5


def test_sliding_window_narrower_than_the_text(tmp_path):
    """Mistral's window is 4,096; a narrower one needs a mask that right padding alone does not."""
    folder = write_tiny_checkpoint(tmp_path, "mistral", seed=3)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"sliding_window": 4096', '"sliding_window": 24'))
    reference = reference_encode(folder, [passage_prompt(text) for text in TEXTS])
    assert relative_error(BMRetrieverEncoder(folder, dtype="float32").encode_passages(TEXTS), reference) <= 1e-5
    wide = reference_encode(write_tiny_checkpoint(tmp_path / "wide", "mistral", seed=3), [passage_prompt(TEXTS[8])])
    assert not np.allclose(wide[0], reference[8], atol=1e-3)  # the window does matter here


def test_a_row_depends_on_nothing_but_its_text(tiny):
    encoder = BMRetrieverEncoder(tiny("gemma"), dtype="float32", max_batch_tokens=700)
    together = encoder.encode_passages(TEXTS)
    alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    backwards = encoder.encode_passages(TEXTS[::-1])[::-1]
    assert relative_error(alone, together) <= 1e-5
    assert relative_error(backwards, together) <= 1e-5
    assert encoder.encode_passages(TEXTS).tobytes() == together.tobytes()


def test_five_thousand_mixed_texts_cross_the_tokenizer_windows(tiny):
    encoder = BMRetrieverEncoder(tiny("llama"), dtype="float32", max_length=64)
    texts = [f"patient {number} " + "fever " * (number % 40) for number in range(5500)]
    vectors = encoder.encode_passages(texts)
    chosen = [0, 255, 256, 1279, 1280, 5375, 5376, 5499]
    reference = reference_encode(tiny("llama"), [passage_prompt(texts[row]) for row in chosen], 64)
    assert relative_error(vectors[chosen], reference) <= 1e-5


def test_no_texts(tiny):
    encoder = BMRetrieverEncoder(tiny("llama"))
    assert encoder.encode_passages([]).shape == (0, 64)
    assert encoder.encode_queries([]).shape == (0, 64)


def test_instruction_changes_queries_and_not_passages(tiny):
    claims = BMRetrieverEncoder(tiny("llama"), instruction="scifact")
    questions = BMRetrieverEncoder(tiny("llama"))
    assert not np.allclose(claims.encode_queries(["fever"]), questions.encode_queries(["fever"]), atol=1e-3)
    assert np.array_equal(claims.encode_queries(["fever"]), questions.encode_queries(["fever"], INSTRUCTION))
    assert np.array_equal(claims.encode_passages(["fever"]), questions.encode_passages(["fever"]))


def test_normalize_and_truncate(tiny):
    plain = BMRetrieverEncoder(tiny("llama")).encode_passages(TEXTS[:4])
    unit = BMRetrieverEncoder(tiny("llama"), normalize=True).encode_passages(TEXTS[:4])
    np.testing.assert_allclose(unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-5)
    short = BMRetrieverEncoder(tiny("llama"), truncate_dim=10, normalize=True)
    assert short.width == 10
    expected = plain[:, :10] / np.linalg.norm(plain[:, :10], axis=1, keepdims=True)
    np.testing.assert_allclose(short.encode_passages(TEXTS[:4]), expected, rtol=1e-5)
