"""A question, passages, and their right vectors, for the tests of all clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bmretriever_integrations import BMRetrieverEncoder

QUESTION = "Does metformin lower the risk of cancer?"
PASSAGES = [
    "Low doses of aspirin were given to adults after a first stroke.",
    "Adults with type 2 diabetes who took metformin had fewer cancers over ten years.",
    "Dexamethasone lowered mortality among patients with severe COVID-19.",
]
ANSWER = 1
"""The number of the passage that answers the question."""


@dataclass(frozen=True)
class Right:
    """What a client has to get."""

    question: str
    passages: list[str]
    query_vector: NDArray[np.float32]
    passage_vectors: NDArray[np.float32]
    exact: bool
    """Whether a text has the same bits in every batch."""

    def assert_found(self, query: Any, passages: Sequence[Any]) -> None:
        """
        Fail unless a client's vectors are those of the engine, and find the answer.

        :param query: the vector of the question.
        :param passages: the vectors of the passages.
        """
        found, others = np.array(query, np.float32), np.array(passages, np.float32)
        for one, right in ((found, self.query_vector), (others, self.passage_vectors)):
            assert one.shape == right.shape
            if self.exact:
                assert one.tobytes() == right.tobytes()
            np.testing.assert_allclose(one, right, rtol=0, atol=2e-6)
        assert int(np.argmax(others @ found)) == ANSWER


@pytest.fixture(scope="session")
def right(mini: BMRetrieverEncoder) -> Right:
    (query,), passages = mini.encode_queries([QUESTION]), mini.encode_passages(PASSAGES)
    return Right(QUESTION, PASSAGES, query, passages, mini.dtype == torch.bfloat16)


@pytest.fixture(scope="session")
def base_url(model_server: Any) -> str:
    """The address that OpenAI's clients are given."""
    return f"{model_server.url}/v1"
