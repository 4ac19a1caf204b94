"""Batches are made by other processes while a GPU computes."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.training.stages import trainer
from bmretriever_integrations.training.stages.collator import PromptCollator

ROWS = [
    {
        "query": f"Query: dose of drug {number}",
        "positive": f"passage: drug {number} is taken daily",
        "negatives": [],
        "scores": [],
        "query_key": number + 1,
    }
    for number in range(64)
]


@pytest.mark.parametrize("threads", ["true", "false", None])
def test_other_processes_make_the_same_batches(tiny, monkeypatch, threads):
    if threads is None:
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    else:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", threads)
    collator = PromptCollator(PromptTokenizer(AutoTokenizer.from_pretrained(tiny("llama")), 32), 0)
    here = collator(ROWS)  # starts the tokenizer's threads, which a forked process has not
    loader = DataLoader(
        ROWS * 2, batch_size=64, num_workers=2, collate_fn=collator, multiprocessing_context="fork", timeout=60
    )
    for batch in loader:
        assert torch.equal(batch["texts_input_ids"], here["texts_input_ids"])
        assert torch.equal(batch["label"]["slots"], here["label"]["slots"])


@pytest.mark.parametrize(("cuda", "cores", "processes"), [(True, 16, 4), (True, 2, 1), (True, 1, 0), (False, 16, 0)])
def test_how_many_processes(monkeypatch, cuda, cores, processes):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(trainer.os, "cpu_count", lambda: cores)
    assert trainer.loader_processes() == processes
