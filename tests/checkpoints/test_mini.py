"""The embedded model: its first numbers, as shipped, on every version of transformers; and that it retrieves."""

from __future__ import annotations

import numpy as np

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.int8_storage import embedded_folder

# printed by the encoder on transformers 5.23 and, the same, on 4.57.6
QUERY = [0.12418303, -0.23498434, 0.07154679, 0.26351890, -0.26632395]
PASSAGE = [0.01775447, -0.06475957, -0.11841804, 0.38237119, -0.25018781]


def test_first_numbers():
    with BMRetrieverEncoder("mini", dtype="float32", device="cpu") as encoder:
        query = encoder.encode_queries(["does metformin lower blood glucose"], "nfcorpus")
        passage = encoder.encode_passages(["Metformin lowers HbA1c."], ["Metformin"])
    assert query.shape == passage.shape == (1, 576)
    np.testing.assert_allclose(query[0, :5], QUERY, atol=2e-5)
    np.testing.assert_allclose(passage[0, :5], PASSAGE, atol=2e-5)


def test_finds_the_passage_that_answers():
    passages = [
        "Metformin lowers blood glucose in adults with type 2 diabetes.",
        "Statins lower LDL cholesterol.",
        "Two doses of an mRNA vaccine prevented severe COVID-19.",
        "A point mutation in the beta-globin gene causes sickle cell disease.",
    ]
    questions = ["drug for blood sugar", "cholesterol drug", "preventing COVID-19", "gene of sickle cell anaemia"]
    with BMRetrieverEncoder("mini") as encoder:
        scores = encoder.encode_queries(questions) @ encoder.encode_passages(passages).T
    assert scores.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_size_and_traces():
    files = {path.name: path for path in embedded_folder("mini").iterdir()}
    assert sum(path.stat().st_size for path in files.values()) < 25_000_000
    assert '"_name_or_path"' not in files["config.json"].read_text(encoding="utf-8")
