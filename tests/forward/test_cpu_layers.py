"""Layers for the CPU: right products, one copy of the weights, and the layers of transformers where a product is missing."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.device import cpu_has_amx, cpu_has_bfloat16
from bmretriever_integrations.forward import cpu_layers, layout
from bmretriever_integrations.forward.choose import choose_forward
from bmretriever_integrations.forward.cpu_layer import CpuLayer, RootMeanSquareNorm, rotate_
from bmretriever_integrations.forward.prepacked import POST_OPERATIONS, Prepacked, can_prepack, products_are_right
from bmretriever_integrations.forward.projections import attention_of, rotate_by_transformers
from bmretriever_integrations.forward.quantization import weight_bytes
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, query_prompt
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

FUNCTIONS = {
    "gelu": functional.gelu,
    "gelu_tanh": lambda given: functional.gelu(given, approximate="tanh"),
    "silu": functional.silu,
}
TYPES = [torch.float32, torch.bfloat16]
ROWS = [[5, 6, 7, 8, 9, 10, 11], [5, 6, 12, 13], [5, 6, 14]]
needs_products = pytest.mark.skipif(not can_prepack(torch.float32), reason="this PyTorch has no prepacked products")


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted.double()).norm() / wanted.double().norm())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(tiny, architecture: str, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    return AutoModel.from_config(AutoConfig.from_pretrained(tiny(architecture), **changes)).eval()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 17, 300])
def test_products_are_those_of_a_linear_layer(dtype, bias, tokens):
    if not can_prepack(dtype):
        pytest.skip(f"this CPU or PyTorch has no prepacked products in {dtype}")
    linear = nn.Linear(96, 200, bias=bias).to(dtype)
    own = Prepacked(linear.weight, None if linear.bias is None else linear.bias.detach().clone())
    given, other = noise(tokens, 96).to(dtype), noise(tokens, 200, seed=1).to(dtype)
    with torch.inference_mode():
        wanted = linear.double()(given.double())
        found = {
            "none": (own(given), wanted),
            "added": (own.added(given, other), wanted + other),
            "multiplied": (own.multiplied(given, other), wanted * other),
            **{name: (own.activated(given, name), FUNCTIONS[name](wanted)) for name in POST_OPERATIONS},
        }
    allowed = 1e-6 if dtype == torch.float32 else 0.005
    assert {name: error(*pair) for name, pair in found.items() if error(*pair) > allowed} == {}


@needs_products
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_are_in_memory_once(tiny, architecture):
    network = AutoModel.from_pretrained(tiny(architecture)).eval()
    before = sum(parameter.nbytes for parameter in network.parameters())
    old = [weakref.ref(module.weight) for module in network.modules() if isinstance(module, nn.Linear)]
    gc.disable()  # nothing waits for the search for garbage
    try:
        forward = choose_forward(network, 0)
        assert [weight() for weight in old if weight() is not None] == []
        assert forward.name == "packed, grouped attention, prepacked weights"
        assert weight_bytes(forward.network) <= before
        new = weakref.ref(forward.network.layers[-1])
        del forward, network
        assert new() is None
    finally:
        gc.enable()


@needs_products
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_each_old_layer_is_freed_before_the_next_is_replaced(tiny, monkeypatch, quantization):
    network = made(tiny, "mistral", num_hidden_layers=4)
    old, alive = [weakref.ref(layer.mlp.up_proj.weight) for layer in network.layers], []

    class Watched(CpuLayer):
        def __init__(self, *arguments: object) -> None:
            alive.append(sum(weight() is not None for weight in old))
            super().__init__(*arguments)

    monkeypatch.setattr(cpu_layers, "CpuLayer", Watched)
    choose_forward(network, 0, quantization=quantization)
    assert alive == [4, 4, 4, 3, 2, 1]  # after the comparison of the first layer and of the last


@needs_products
@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("gemma", {"attention_bias": True}),
        ("gpt_neox", {"attention_bias": False, "rotary_pct": 1.0}),
        ("mistral", {"sliding_window": 3, "hidden_act": "gelu_pytorch_tanh"}),
    ],
)
def test_what_configurations_may_change(tiny, architecture, changes):
    network = made(tiny, architecture, **changes)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.5)
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in ROWS]
    forward = choose_forward(network, 0)
    assert "prepacked" in forward.name
    for shared in (0, 2):
        assert error(forward(ROWS, shared), torch.stack(alone)) <= 1e-5


def test_an_activation_that_the_products_lack_keeps_the_layers_of_transformers(tiny):
    network = made(tiny, "llama", hidden_act="relu")
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in ROWS]
    forward = choose_forward(network, 0)
    assert forward.name == "packed, grouped attention"
    assert error(forward(ROWS, 2), torch.stack(alone)) <= 1e-5


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("quantization", [None, "int8"])
def test_without_the_products_the_vectors_are_the_same(tiny, monkeypatch, architecture, quantization):
    """As on macOS and on builds of PyTorch for some Arm processors."""
    monkeypatch.setattr(cpu_layers, "can_prepack", lambda dtype: False)
    if quantization:
        monkeypatch.setattr(cpu_layers, "can_replace", lambda layer, dtype: False)
    with BMRetrieverEncoder(tiny(architecture), device="cpu", dtype="float32", quantization=quantization) as encoder:
        assert "forward='packed, grouped attention'" in repr(encoder)
        vectors = encoder.encode_queries(["aspirin", "a longer question"])
    prompts = [query_prompt(DEFAULT_INSTRUCTION, text) for text in ("aspirin", "a longer question")]
    reference = reference_encode(tiny(architecture), prompts)
    off = np.linalg.norm(vectors - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert off.max() <= (0.1 if quantization else 1e-5)


def refuse(*_arguments: object) -> torch.Tensor:
    raise RuntimeError("could not create a primitive")


@needs_products
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("product", "reason"),
    [
        (lambda self, given, other: self(given), "are not right"),
        (refuse, "are not possible .could not create a primitive"),
    ],
)
def test_wrong_products_are_noticed_and_not_used(tiny, monkeypatch, dtype, product, reason):
    if not can_prepack(dtype):
        pytest.skip(f"this CPU or PyTorch has no prepacked products in {dtype}")
    network = made(tiny, "llama")
    for layer in network.layers:  # as in trained networks, a layer adds little
        for weight in (layer.mlp.down_proj.weight, layer.self_attn.o_proj.weight):
            weight.data.mul_(0.05)
    network = network.to(dtype)
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor([row])).last_hidden_state[0, -1] for row in ROWS]
    monkeypatch.setattr(cpu_layers, "can_prepack", lambda dtype: True)
    monkeypatch.setattr(Prepacked, "multiplied", product)
    with pytest.warns(UserWarning, match=f"prepacked weights {reason}.* on this CPU in {dtype}"):
        forward = choose_forward(network, 0)
    assert "prepacked" not in forward.name
    assert error(forward(ROWS, 2), torch.stack(alone)) <= (1e-5 if dtype == torch.float32 else 0.02)


@needs_products
def test_the_process_may_switch_onednn_off():
    torch._C._set_mkldnn_enabled(
        False
    )  # torch.backends.mkldnn.flags() changes other settings, too, and does not set them back
    try:
        assert not can_prepack(torch.float32)
    finally:
        torch._C._set_mkldnn_enabled(True)
    assert can_prepack(torch.float32)


@needs_products
def test_a_setting_of_the_process_is_not_remembered_for_later_engines():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        can_prepack(torch.float32)
    finally:
        torch.set_float32_matmul_precision(before)
    assert can_prepack(torch.float32)


def test_a_missing_operator_is_no_error(monkeypatch):
    def missing(weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError(
            "Could not run 'mkldnn::_reorder_linear_weight' with arguments from the 'CPU' backend"
        )

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", missing)
    assert products_are_right.__wrapped__(torch.float32, "highest") is False


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rotation_is_that_of_transformers(tiny, architecture, dtype):
    network = AutoModel.from_pretrained(tiny(architecture), dtype=dtype).eval()
    width = network.config.hidden_size // network.config.num_attention_heads
    width = getattr(network.config, "head_dim", None) or width
    part = noise(19, 3, width).to(dtype)
    rotary = network.rotary_emb(part[None], torch.arange(4, 23)[None])
    wanted = rotate_by_transformers(attention_of(network.layers[0]), part, rotary)
    rotate_(part, rotary)
    assert error(part, wanted) <= (1e-6 if dtype == torch.float32 else 0.005)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("architecture", ["gemma", "llama"])
def test_norm_is_that_of_transformers(tiny, architecture, dtype):
    norm = made(tiny, architecture).norm.to(dtype)
    nn.init.normal_(norm.weight)
    given = (3 * noise(19, len(norm.weight), seed=1)).to(dtype)
    with torch.inference_mode():
        assert error(RootMeanSquareNorm(norm)(given), norm(given)) <= (1e-6 if dtype == torch.float32 else 0.005)


def test_all_layers_share_a_mask():
    batch = layout.packed([[1] * 5, [1] * 5, [1] * 3], torch.device("cpu"))
    first = batch.mask(5, 9, None, torch.float32)
    assert batch.mask(5, 9, None, torch.float32) is first
    assert first.isfinite().sum(1).tolist() == [5, 6, 7, 8, 9]
    assert batch.mask(5, 9, 4, torch.float32).isfinite().sum(1).tolist() == [4] * 5


@needs_products
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("layers", [1, 3])
def test_many_lengths_make_few_products(tiny, monkeypatch, architecture, layers):
    """oneDNN keeps memory for each number of rows."""
    network = made(tiny, architecture, num_hidden_layers=layers)
    vocabulary = network.get_input_embeddings().num_embeddings
    batches = [
        [[(7 * n) % vocabulary for n in range(length)]] * rows for length in (3, 64, 65, 127, 200) for rows in (1, 70)
    ]
    with torch.inference_mode():
        alone = [network(input_ids=torch.tensor(rows[:1])).last_hidden_state[0, -1] for rows in batches]
    forward, multiplied = choose_forward(network, 0), set()
    plain = Prepacked.forward
    monkeypatch.setattr(Prepacked, "forward", lambda self, given: multiplied.add(len(given)) or plain(self, given))
    for rows, wanted in zip(batches, alone, strict=True):
        for shared in (0, 2):
            assert error(forward(rows, shared), wanted.expand(len(rows), -1)) <= 1e-5
    assert all(rows <= 64 or rows % 64 == 0 for rows in multiplied)
    assert max(multiplied) > 64


@pytest.mark.skipif(
    not (can_prepack(torch.bfloat16) and cpu_has_bfloat16()) or cpu_has_amx(),
    reason="looked at on CPUs that have products in bfloat16 and no AMX",
)
@pytest.mark.parametrize("architecture", ["mini", *ARCHITECTURES])
def test_in_bfloat16_a_text_has_the_same_bytes_alone_and_in_any_batch(tiny, architecture):
    """So a server that embeds the texts of several callers together gives each what it would get alone."""
    words = [
        "metformin",
        "lowers",
        "the",
        "risk",
        "of",
        "cancer",
        "in",
        "adults",
        "with",
        "type",
        "2",
        "diabetes",
        "mellitus",
        "and",
        "obesity",
    ]
    texts = [" ".join(words[number % 5 : number % 5 + 1 + number % 7] * (1 + number % 4)) for number in range(120)]
    folder = architecture if architecture == "mini" else tiny(architecture)
    with BMRetrieverEncoder(folder, device="cpu", dtype="bfloat16") as encoder:
        for embed in (encoder.encode_queries, encoder.encode_passages):
            whole = embed(texts)
            for size in (1, 2, 7, 64):
                parts = [embed(texts[start : start + size]) for start in range(0, len(texts), size)]
                assert np.array_equal(np.concatenate(parts), whole), size
