"""The small copy of a checkpoint."""

from __future__ import annotations

import numpy as np

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.int8_storage import pack


def test_the_small_copy_makes_nearly_the_same_vectors(tiny, tmp_path):
    texts = ["aspirin dose 2", "heparin " * 90]
    vectors = BMRetrieverEncoder(tiny("llama"), dtype="float32").encode_passages(texts)
    pack(tiny("llama"), tmp_path / "small")
    small = BMRetrieverEncoder(tmp_path / "small", dtype="float32").encode_passages(texts)
    cosine = (small * vectors).sum(1) / np.linalg.norm(small, axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosine.min() > 0.999
    weights = [
        sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        for folder in (tmp_path / "small", tiny("llama"))
    ]
    assert weights[0] < 0.4 * weights[1]
