"""Many clients at once: batches hold texts of several of them, and each gets its own bits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
from openai import OpenAI

CLIENTS = 32
ROUNDS = 4


def texts_of(client, turn):
    return [
        f"Trial {client} of drug {turn}, part {part}" + " and more" * (client % 5) for part in range(1 + client % 3)
    ]


def test_many_clients_at_once(serve_model, mini, assert_same):
    kinds = {"mini": mini.encode_passages, "mini-query": mini.encode_queries}
    with serve_model() as server:
        ran = []
        server.service.embedder.on_batch = ran.append
        start = threading.Barrier(CLIENTS)

        def openai_client(number):
            model = list(kinds)[number // 2 % 2]
            found = []
            with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
                start.wait()
                for turn in range(ROUNDS):
                    data = client.embeddings.create(model=model, input=texts_of(number, turn)).data
                    found.append((model, number, turn, np.array([item.embedding for item in data], np.float32)))
            return found

        def tei_client(number):
            model, name = [("mini", "passage"), ("mini-query", "query")][number // 2 % 2]
            found = []
            with httpx.Client(base_url=server.url) as client:
                start.wait()
                for turn in range(ROUNDS):
                    answer = client.post("/embed", json={"inputs": texts_of(number, turn), "prompt_name": name})
                    found.append((model, number, turn, np.array(answer.json(), np.float32)))
            return found

        with ThreadPoolExecutor(CLIENTS) as threads:
            ways = [(openai_client, tei_client)[number % 2] for number in range(CLIENTS)]
            answers = list(threads.map(lambda numbered: numbered[1](numbered[0]), enumerate(ways)))
    for model, number, turn, vectors in (one for found in answers for one in found):
        assert_same(vectors, kinds[model](texts_of(number, turn)))
    assert sum(batch.texts for batch in ran) == sum(len(texts_of(number, 0)) for number in range(CLIENTS)) * ROUNDS
    assert sum(batch.requests for batch in ran) == CLIENTS * ROUNDS > len(ran)
    assert {batch.kind for batch in ran} == {"query", "passage"}
