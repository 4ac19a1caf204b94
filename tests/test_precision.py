"""Vectors in fewer bits: bit for bit what sentence-transformers makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from bmretriever_integrations.precision import PRECISIONS, check_ranges, quantize

RANDOM = np.random.default_rng(0)
VECTORS = (RANDOM.standard_normal((50, 20)) * 10).astype(np.float32)
RANGES = [VECTORS[:25].min(axis=0).tolist(), VECTORS[:25].max(axis=0).tolist()]  # the other half goes beyond them


@pytest.mark.parametrize("precision", PRECISIONS)
def test_equal_to_sentence_transformers(precision):
    theirs = pytest.importorskip("sentence_transformers.util").quantize_embeddings
    ranges = RANGES if precision in ("int8", "uint8") else None
    expected = theirs(VECTORS, precision=precision, ranges=None if ranges is None else np.asarray(ranges))
    ours = quantize(VECTORS, precision, ranges)
    assert ours.dtype == expected.dtype
    np.testing.assert_array_equal(ours, expected)


def test_a_dimension_that_never_changes_does_not_divide_by_zero():
    constant = [[1.0] * 20, [1.0] * 20]
    assert quantize(np.ones((2, 20), np.float32), "uint8", constant).max() == 0


def test_a_text_alone_gets_the_same_numbers_as_in_a_batch():
    np.testing.assert_array_equal(quantize(VECTORS[3:4], "int8", RANGES)[0], quantize(VECTORS, "int8", RANGES)[3])


@pytest.mark.parametrize(
    ("precision", "ranges", "message"),
    [
        ("int4", None, "must be one of float32, int8"),
        ("int8", None, "needs quantization_ranges"),
        ("binary", RANGES, "'binary' does not use them"),
        ("uint8", [RANGES[0]], r"shape \(2, width\), got \(1, 20\)"),
        ("uint8", RANGES[::-1], "no smallest value may be above"),
        ("uint8", [[float("nan")], [1.0]], "must be finite"),
    ],
)
def test_what_makes_no_sense_is_refused(precision, ranges, message):
    with pytest.raises(ValueError, match=message):
        check_ranges(precision, ranges)


def test_ranges_of_another_model_are_refused():
    with pytest.raises(ValueError, match="are 20 wide, the vectors 10"):
        quantize(VECTORS[:, :10], "int8", RANGES)
