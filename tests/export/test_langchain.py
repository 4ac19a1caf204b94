"""The block of docs/export.md gives LangChain the engine's vectors. It runs where langchain-huggingface is installed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.export import export_checkpoint

PAGE = Path(__file__).parents[2] / "docs" / "export.md"
PASSAGE, QUERY = "Metformin lowers\nblood glucose.", "which drug lowers blood glucose"


def test_the_page_s_settings_give_the_engine_s_vectors(tmp_path, monkeypatch):
    pytest.importorskip("langchain_huggingface")
    pytest.importorskip("sentence_transformers")
    monkeypatch.chdir(tmp_path)
    export_checkpoint("mini", Path("mini-st"))
    [block] = re.findall(r"^## LangChain\n.*?^```text\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, object] = {}
    exec(block, names)
    found = [names["embeddings"].embed_documents([PASSAGE])[0], names["embeddings"].embed_query(QUERY)]
    with BMRetrieverEncoder("mini", dtype="float32") as encoder:  # LangChain makes a space of a line break
        right = [encoder.encode_passages([PASSAGE.replace("\n", " ")])[0], encoder.encode_queries([QUERY])[0]]
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-5)
