"""The pool and the index on GPUs: ``pytest tests/parallel/test_cuda.py`` on a machine that has one or more."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.index import build_index
from bmretriever_integrations.parallel import EncoderPool, WorkerLostWarning
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import reference_encode

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]

TEXTS = [f"aspirin and stroke {i} " * (1 + i % 40) for i in range(400)]


def devices() -> list[str]:
    """Every GPU; the only one twice, so that there is always somebody to share with."""
    count = torch.cuda.device_count()
    return [f"cuda:{number}" for number in range(count)] if count > 1 else ["cuda:0", "cuda:0"]


def test_vectors_are_the_references(tiny) -> None:
    expected = reference_encode(tiny("gpt_neox"), [passage_prompt(text) for text in TEXTS])
    with EncoderPool(tiny("gpt_neox"), devices=devices(), dtype="float32") as pool:
        vectors = pool.encode_passages(TEXTS)
        assert np.array_equal(pool.encode_passages(TEXTS), vectors)
    errors = np.linalg.norm(vectors - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert errors.max() <= 1e-5


def test_no_device_named_is_every_gpu(tiny) -> None:
    with EncoderPool(tiny("mistral")) as pool:
        assert pool.devices == [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        assert np.isfinite(pool.encode_queries(["metformin"])).all()


def test_an_index_has_one_gpus_rows_though_a_worker_is_killed(tiny, tmp_path, workers, portion, rows_in) -> None:
    source = tmp_path / "c.jsonl"
    source.write_text("\n".join(json.dumps({"_id": str(i), "text": text}) for i, text in enumerate(TEXTS)))
    settings = {"dtype": "bfloat16", "max_batch_tokens": 4096}
    with BMRetrieverEncoder(tiny("mistral"), device="cuda:0", **settings) as encoder:
        build_index(encoder, [source], tmp_path / "one")
    with EncoderPool(tiny("mistral"), devices=devices(), **settings) as pool:
        build_index(pool, [source], tmp_path / "many", limit=200)
        os.kill(workers[0].pid, signal.SIGKILL)
        with pytest.warns(WorkerLostWarning):
            build_index(pool, [source], tmp_path / "many")
    assert rows_in(tmp_path / "many") == rows_in(tmp_path / "one")
