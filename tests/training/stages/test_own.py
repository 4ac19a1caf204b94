"""The recipe for own pairs: `mini` becomes better at what it is trained on, within a minute."""

from __future__ import annotations

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.instructions import stored_instructions
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter
from bmretriever_integrations.training.stages.recipe import load_settings
from bmretriever_integrations.training.stages.run import train_stage

PLANTS = ("yarrow", "comfrey", "sorrel", "burdock", "tansy", "borage", "mullein", "hyssop", "lovage", "betony")
PLANTS += ("vervain", "feverfew", "agrimony", "chicory", "mallow", "rue", "sage", "thyme", "dill", "fennel")
NAMES = {  # made up: what people say, and what the passages say
    "blue sleep": "somnocyania",
    "glass skin": "dermatovitria",
    "salt tears": "halolacrimia",
    "paper bones": "osteopapyrosis",
    "cold fingers at noon": "meridian acrocryosis",
    "the humming ear": "bombotinnitus",
    "stone breath": "lithopnoea",
    "grey taste": "poliogeusia",
    "loose shadow": "lyscotopia",
    "double hunger": "diplophagia",
    "slow blinking": "bradynictitation",
    "the long yawn": "macrochasmia",
    "green sweat": "chlorohidrosis",
    "small voice": "microphonia",
    "iron hair": "siderotrichia",
}
OTHER = ["Metformin lowers blood glucose in type 2 diabetes.", "Aspirin and heart attacks", "A child with asthma."]
INSTRUCTION = "Given a remedy and a complaint in plain words, retrieve the trial"


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.parquet"
    with PairWriter(path) as writer:
        for plant in PLANTS:
            for plain, technical in NAMES.items():
                query = f"Does {plant} help with {plain}?"
                positive = f"In {technical}, extract of {plant} was compared with placebo for six weeks."
                writer.write(Pair(task="remedies", instruction=INSTRUCTION, query=query, positive=positive))
    return path


def test_mini_learns_from_a_few_hundred_pairs(pairs, tmp_path, pytestconfig):
    recipe = pytestconfig.rootpath / "training" / "own.yaml"
    settings = load_settings(recipe, 2, ["negatives=0", "eval_share=0.3"])
    out = tmp_path / "out"
    record = train_stage("mini", pairs, out, settings, progress=False)
    (_, before), *_, (last, after) = record["evaluations"]
    assert last == record["steps"] == 3 * (record["tasks"]["remedies"]["pairs"] // 32)
    assert record["tasks"]["remedies"]["held_out"] > 60
    assert after["ndcg@10"] > before["ndcg@10"] + 0.1
    assert record["losses"][-1][0] == last  # the last loss is logged, however few steps there are
    # what mini had learnt about other matters stays: at three times the rate the first of these cosines is 0.93
    were = BMRetrieverEncoder("mini", normalize=True, dtype="float32").encode_passages(OTHER)
    are = BMRetrieverEncoder(out, normalize=True, dtype="float32").encode_passages(OTHER)
    assert (were * are).sum(1).min() > 0.95
    # the folder names the instruction that it was trained with
    assert stored_instructions(out)["query"] == stored_instructions(out)["remedies"] == INSTRUCTION
    stock = SentenceTransformer(str(out), device="cpu").encode_query(["Does rue help with iron hair?"])
    ours = BMRetrieverEncoder(out, dtype="float32").encode_queries(["Does rue help with iron hair?"], INSTRUCTION)
    np.testing.assert_allclose(stock, ours, atol=1e-4)
