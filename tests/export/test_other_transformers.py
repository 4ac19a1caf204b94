"""
A folder written under one transformers gives the same ids and vectors under the other: 4.57 and 5.x, both ways.

Runs in either of two environments, ``.venv`` (5.x) and ``.venv-lowest``, where the other one is there as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import transformers

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

OLD = int(transformers.__version__.split(".")[0]) < 5
OTHER = Path(__file__).parents[2] / (".venv" if OLD else ".venv-lowest") / "bin" / "python"
TEXTS = ["", "aspirin lowers fever", "text <s> with <|endoftext|> and <eos> inside", "é 漢字 🙂", "heart " * 700]
PROMPTS = [passage_prompt(text) for text in TEXTS]
READER = """
import json, sys
import numpy as np, transformers
from transformers import AutoTokenizer
from bmretriever_integrations import BMRetrieverEncoder
folders, texts, prompts = json.load(sys.stdin)
found = {"transformers": transformers.__version__, "ids": [], "ours": [], "stock": []}
for folder in folders:
    found["ids"].append(AutoTokenizer.from_pretrained(folder)(prompts, truncation=True)["input_ids"])
    found["ours"].append(BMRetrieverEncoder(folder, device="cpu", dtype="float32").encode_passages(texts).tolist())
try:
    from sentence_transformers import SentenceTransformer
except ImportError:
    SentenceTransformer = None
for folder in folders if SentenceTransformer else []:
    found["stock"].append(SentenceTransformer(folder, device="cpu").encode(prompts).tolist())
json.dump(found, open(sys.argv[1], "w"))
"""


def unusual(raw, folder):
    """The same checkpoint with rotary settings that are nobody's default, so that losing them shows."""
    shutil.copytree(raw, folder)
    config = json.loads((folder / "config.json").read_text())
    neox = config["model_type"] == "gpt_neox"
    if OLD:
        config |= {"rotary_emb_base": 500, "rotary_pct": 0.5} if neox else {"rope_theta": 500.0}
    else:
        config["rope_parameters"] |= {"rope_theta": 500.0, **({"partial_rotary_factor": 0.5} if neox else {})}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.skipif(not OTHER.exists(), reason=f"{OTHER.parents[1].name} is not there: make test-lowest makes it")
def test_written_here_read_there(tiny, tmp_path, error):
    from transformers import AutoTokenizer

    raws = [unusual(tiny(architecture), tmp_path / architecture) for architecture in ARCHITECTURES]
    folders = [tmp_path / "to" / raw.name for raw in raws]
    for raw, folder in zip(raws, folders, strict=True):
        export_checkpoint(raw, folder)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    given = json.dumps([[str(folder) for folder in folders], TEXTS, PROMPTS])
    subprocess.run([OTHER, "-c", READER, tmp_path / "found"], input=given, text=True, check=True, env=environment)
    found = json.loads((tmp_path / "found").read_text())
    assert (int(found["transformers"].split(".")[0]) < 5) != OLD
    for row, raw in enumerate(raws):
        assert found["ids"][row] == PromptTokenizer(AutoTokenizer.from_pretrained(raw), 512)(PROMPTS)
        right = reference_encode(raw, PROMPTS)
        assert error(found["ours"][row], right) <= 1e-5
        if found["stock"]:
            assert error(found["stock"][row], right) <= 1e-5
        assert not np.allclose(reference_encode(tiny(raw.name), PROMPTS), right, atol=1e-2)
