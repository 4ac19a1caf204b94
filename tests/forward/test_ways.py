"""Every way to run a network gives the reference's vectors; which one is taken is visible and can be chosen."""

from __future__ import annotations

import random
from functools import partial

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.prompts import passage_prompt, query_prompt
from bmretriever_integrations.settings import FORWARDS
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode, write_tiny_checkpoint

WAYS = [way for way in FORWARDS if way != "auto"]
SENTENCE = "fever aspirin stroke β-blocker 12% mutation ; BRCA1 of the ( in patients ) with randomised trial ,"


def texts(count, most_words, seed=0):
    draw = random.Random(seed)
    return [" ".join(draw.choices(SENTENCE.split(), k=draw.randint(0, most_words))) for _ in range(count)]


def relative_error(vectors, reference):
    return (np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)).max()


def worst_cosine(vectors, reference):
    return ((vectors * reference).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(reference, axis=1)).min()


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """Checkpoints of other random weights than other tests have, some of one layer, some with a narrow window."""
    folders = {}
    for seed, architecture in enumerate(ARCHITECTURES):
        folder = write_tiny_checkpoint(tmp_path_factory.mktemp(architecture), architecture, seed=100 + seed)
        config = folder / "config.json"
        config.write_text(config.read_text().replace('"sliding_window": 4096', '"sliding_window": 20'))
        folders[architecture] = folder
    return folders


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_queries_and_passages_equal_the_reference(unseen, architecture, way):
    queries, passages = texts(25, 14, seed=1), texts(25, 120, seed=2)
    instruction = "Given a case report, find articles on the same disease"
    reference = reference_encode(
        unseen[architecture],
        [query_prompt(instruction, text) for text in queries] + [passage_prompt(text, "On fever") for text in passages],
    )
    for budget in (None, 150, 1):  # one batch, several, one for each row
        encoder = BMRetrieverEncoder(unseen[architecture], forward=way, max_batch_tokens=budget, dtype="float32")
        vectors = np.concatenate(
            [encoder.encode_queries(queries, instruction), encoder.encode_passages(passages, ["On fever"] * 25)]
        )
        assert relative_error(vectors, reference) <= 1e-5


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_half_precision_stays_close(unseen, architecture, dtype):
    queries = texts(12, 14, seed=3)
    reference = reference_encode(unseen[architecture], [query_prompt("Find it all", text) for text in queries])
    vectors = BMRetrieverEncoder(unseen[architecture], dtype=dtype).encode_queries(queries, "Find it all")
    assert worst_cosine(vectors, reference) >= 0.999


@pytest.mark.parametrize("way", WAYS)
def test_lengths_from_one_to_beyond_the_window_of_512(unseen, way):
    """Lengths 1 and 2 leave no room for text: eval.py still appends EOS."""
    passages = texts(10, 900, seed=4)
    for max_length in (3, 16, 512, 700):
        reference = reference_encode(unseen["mistral"], [passage_prompt(text) for text in passages], max_length)
        encoder = BMRetrieverEncoder(unseen["mistral"], forward=way, max_length=max_length, dtype="float32")
        assert relative_error(encoder.encode_passages(passages), reference) <= 1e-5


@pytest.mark.parametrize("way", ["packed", "padded"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_depths(tiny, architecture, layers, way):
    """In a network of one layer each distinct id is projected once; rows of one token, and equal lengths, are among these."""
    torch.manual_seed(layers)
    network = AutoModel.from_config(AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=layers)).eval()
    prefix = torch.randint(5, 100, (7,)).tolist()
    rows = [[*prefix, *torch.randint(5, 100, (length,)).tolist()] for length in (31, 12, 12, 5, 1, 1)]
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows]
    forward = choose_forward(network, 0, way)
    for shared in (0, 3, 7):
        torch.testing.assert_close(forward(rows, shared), torch.stack(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parallel", [True, False])
def test_both_residuals_of_gpt_neox(tiny, parallel):
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny("gpt_neox"), use_parallel_residual=parallel)
    network = AutoModel.from_config(config).eval()
    rows = [[5, 6, 7, 8], [9, 10]]
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in rows]
    torch.testing.assert_close(choose_forward(network, 0)(rows), torch.stack(alone), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_last_layer_works_for_last_tokens_only(tiny, architecture):
    for way, tokens in (("packed", 5 + 3), ("padded", 5 + 5)):
        forward, seen = choose_forward(AutoModel.from_pretrained(tiny(architecture)).eval(), 0, way), {}
        for depth, layer in enumerate(forward.network.layers):
            layer.mlp.register_forward_hook(
                lambda _m, _i, output, depth=depth, seen=seen: seen.update({depth: output[..., 0].numel()})
            )
        forward([[5, 6, 7, 8, 9], [5, 6, 7]])
        assert seen == {0: tokens, 1: 2}  # the first layer for all tokens, the last for 2 rows


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_on_cuda_every_way_gives_the_reference(unseen, architecture):
    """In float32; the reference itself is the same on both devices."""
    queries, passages = texts(25, 14, seed=5), texts(25, 120, seed=6)
    prompts = [query_prompt("Find it", text) for text in queries] + [passage_prompt(text) for text in passages]
    reference = reference_encode(unseen[architecture], prompts)
    assert relative_error(reference_encode(unseen[architecture], prompts, device="cuda"), reference) <= 1e-5
    for way in WAYS:
        encoder = BMRetrieverEncoder(unseen[architecture], device="cuda", forward=way, dtype="float32")
        vectors = np.concatenate([encoder.encode_queries(queries, "Find it"), encoder.encode_passages(passages)])
        assert relative_error(vectors, reference) <= 1e-5, encoder


def test_the_way_is_chosen_by_device_and_shown(tiny):
    gemma = partial(BMRetrieverEncoder, tiny("gemma"), device="cpu")
    assert "forward='packed, grouped attention" in repr(gemma(dtype="float32"))
    assert "forward='packed, batched attention" in repr(gemma(dtype="bfloat16"))
    assert "forward='padded, grouped attention" in repr(gemma(dtype="float32", forward="padded"))
    assert "forward='plain'" in repr(BMRetrieverEncoder(tiny("gemma"), forward="plain"))
    with pytest.raises(ValueError, match="forward must be one of auto, packed, padded, plain, got 'fast'"):
        BMRetrieverEncoder(tiny("gemma"), forward="fast")


def test_a_network_of_another_family_is_run_as_transformers_does(tiny):
    config = AutoConfig.for_model(
        "qwen2",
        vocab_size=99,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=64,
    )
    network = AutoModel.from_config(config).eval()
    forward = choose_forward(network, 0)
    assert forward.name == "plain"
    with torch.inference_mode():
        alone = network(input_ids=torch.tensor([[5, 6, 7]])).last_hidden_state[0, -1]
    torch.testing.assert_close(forward([[5, 6, 7], [8, 9]])[0], alone, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="not this Qwen2Model: use forward='plain'"):
        choose_forward(network, 0, "packed")
    with pytest.raises(ValueError, match="shared must be 0"):
        forward([[5, 6, 7]], 1)
