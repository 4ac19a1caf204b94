"""Warm-up: what it makes ready, what it says, and that vectors stay."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.encoder.warm_up import SPANS
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.forward.decoder import FlatDecoder
from bmretriever_integrations.forward.prepacked import can_prepack
from bmretriever_integrations.prompts import TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

QUERIES = ["fever", "", "aspirin prevents stroke " * 3, "a b c d e f g"]
HAS_COMPILER = shutil.which("g++") or shutil.which("clang++")


def relative_error(vectors, reference):
    return (np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)).max()


def test_says_what_it_did_and_what_it_cost(tiny, prefixes):
    encoder = BMRetrieverEncoder(tiny("gpt_neox"))
    report = encoder.warm_up("scifact")
    names = [name for name, _ in report.steps]
    assert names[0].startswith("instruction of ")
    assert names[-1] == "one query, ready"
    assert all(seconds > 0 for _, seconds in report.steps)
    assert str(report).splitlines()[-1] == f"{report.seconds:8.2f} s  together"
    assert len(prefixes.computed) == 1
    encoder.encode_queries(["fever"], "scifact")
    assert len(prefixes.computed) == 1  # the first query found it


def test_lengths_that_no_query_can_have_are_refused(tiny):
    encoder = BMRetrieverEncoder(tiny("gpt_neox"))
    for spans in ([1], [16, 5000]):
        with pytest.raises(ValueError, match=r"spans must be from 2 to \d+, max_length less the instruction"):
            encoder.warm_up(spans=spans)
    BMRetrieverEncoder(tiny("gpt_neox"), max_length=8).warm_up()  # the usual ones are cut to fit


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_single_rows_run_in_a_graphs_fixed_shape(tiny, architecture, monkeypatch):
    """On the CPU the fixed shape is run as it is: what a graph replays is proved, replaying it is not."""
    encoder = BMRetrieverEncoder(tiny(architecture), dtype="float32", device="cpu")
    task = TASK_INSTRUCTIONS["scifact"]
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "device", torch.device("cuda"))  # graphs are for CUDA alone
        encoder.warm_up(task, spans=[4, 16])
    assert "2 graphs" in repr(encoder)
    reference = reference_encode(tiny(architecture), [query_prompt(task, text) for text in QUERIES])
    for _ in range(2):  # nothing of the row before is left
        vectors = np.concatenate([encoder.encode_queries([text], task) for text in QUERIES])
        assert relative_error(vectors, reference) <= 1e-5


def recordable(folder):
    """A way to run a network, and a list of the tokens of each run of its first layer."""
    network = AutoModel.from_pretrained(folder).eval()
    tokens = []
    forward = choose_forward(network, 0)
    forward.network.layers[0].register_forward_hook(lambda _m, inputs, _o: tokens.append(inputs[0].shape[-2]))
    return forward, tokens


def test_a_row_takes_the_shortest_graph_that_holds_it(tiny):
    forward, tokens = recordable(tiny("gemma"))
    for span in (4, 8):
        forward.record([], span)
    tokens.clear()
    for length in (3, 4, 5, 9):
        forward([[5] * length])
    forward([[5] * 3, [6] * 3])  # two rows are no single row
    assert tokens == [4, 4, 8, 9, 6]


def test_a_graph_is_recorded_once_and_not_kept_beyond_compiling(tiny):
    """One that goes would take the workspace of the others' matrix products with it."""
    forward, tokens = recordable(tiny("gemma"))
    forward.record([5, 6], 8)
    ran = len(tokens)
    assert ran >= 1
    forward.record([5, 6], 8)
    assert len(tokens) == ran
    assert "1 graphs" in forward.name
    forward.compile()
    assert "graphs" not in forward.name


def test_a_network_of_one_layer_is_not_recorded(tiny):
    network = AutoModel.from_config(AutoConfig.from_pretrained(tiny("llama"), num_hidden_layers=1)).eval()
    assert not choose_forward(network, 0).is_recordable


@pytest.mark.parametrize(("model", "way", "graphs"), [("llama", "auto", 8), ("llama", "plain", 0), ("mini", "auto", 0)])
def test_graphs_are_recorded_where_there_can_be_any(tiny, monkeypatch, model, way, graphs):
    encoder = BMRetrieverEncoder(model if model == "mini" else tiny(model), device="cpu", forward=way)
    monkeypatch.setattr(encoder, "device", torch.device("cuda"))  # recorded on the CPU all the same, which only pads
    steps = [name for name, _ in encoder.warm_up().steps]
    assert sum(name.startswith("graph for") for name in steps) == graphs


@pytest.mark.skipif(not HAS_COMPILER, reason="compiling for the CPU needs a C++ compiler")
def test_compiled_layers_give_the_same_vectors(tiny, monkeypatch):
    monkeypatch.setattr(FlatDecoder, "prepack", lambda self, quantization: False)  # as where the products are missing
    encoder = BMRetrieverEncoder(tiny("mistral"), dtype="float32")
    report = encoder.warm_up("scifact", compile_layers=True)
    assert report.steps[0][0] == "compile the layers"
    assert "compiled" in repr(encoder)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    passages = [f"{text} " * 9 for text in QUERIES]
    vectors = np.concatenate([encoder.encode_queries(QUERIES, "scifact"), encoder.encode_passages(passages)])
    prompts = [query_prompt(TASK_INSTRUCTIONS["scifact"], text) for text in QUERIES]
    reference = reference_encode(tiny("mistral"), prompts + [passage_prompt(text) for text in passages])
    assert relative_error(vectors, reference) <= 1e-5


@pytest.mark.skipif(not can_prepack(torch.float32), reason="this PyTorch has no prepacked products")
def test_prepacked_layers_are_not_compiled(tiny):
    encoder = BMRetrieverEncoder(tiny("mistral"), device="cpu", dtype="float32")
    before = encoder.encode_queries(QUERIES, "scifact")
    report = encoder.warm_up("scifact", compile_layers=True)
    assert "compile the layers" not in dict(report.steps)
    assert "prepacked weights" in repr(encoder)
    assert np.array_equal(encoder.encode_queries(QUERIES, "scifact"), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_on_cuda_graphs_replay_the_same_vectors(tiny, architecture):
    encoder = BMRetrieverEncoder(tiny(architecture), device="cuda", dtype="bfloat16")
    before = np.concatenate([encoder.encode_queries([text], "scifact") for text in QUERIES])
    report = encoder.warm_up("scifact")
    assert len(report.steps) == len(SPANS) + 2
    assert f"{len(SPANS)} graphs" in repr(encoder)
    for _ in range(2):
        after = np.concatenate([encoder.encode_queries([text], "scifact") for text in QUERIES])
        cosine = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
        assert cosine.min() >= 0.999
