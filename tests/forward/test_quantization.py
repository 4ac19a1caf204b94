"""Linear layers in 8 bits: close to the reference, smaller, each row by itself, and never under another engine's name."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.checkpoints.loading import load
from bmretriever_integrations.forward import int8_products, quantization
from bmretriever_integrations.forward.int8_products import fbgemm, int_mm, onednn
from bmretriever_integrations.forward.quantization import (
    Int8Linear,
    hadamard,
    quantize_network,
    quantize_to_fp8,
    resolve_quantized,
    weight_bytes,
)
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, passage_prompt, query_prompt
from bmretriever_integrations.settings import EncoderSettings
from bmretriever_integrations.testing import reference_encode

TEXTS = ["aspirin", "what lowers the risk of colorectal cancer?", "BRCA1 mutations raise the risk " * 12, "ab " * 150]
CPU = torch.device("cpu")


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


@pytest.fixture
def spiky() -> tuple[nn.Linear, torch.Tensor]:
    """A layer and inputs as trained decoders have them: a few values far above the rest."""
    draw = torch.Generator().manual_seed(0)
    linear = nn.Linear(192, 80)
    given = torch.randn(20, 192, generator=draw)
    given[:, 7] *= 60
    return linear, given


@pytest.mark.parametrize("forward", ["packed", "plain"])
@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral", "llama"])
def test_close_to_the_reference(tiny, architecture, forward):
    with BMRetrieverEncoder(tiny(architecture), device="cpu", quantization="int8", forward=forward) as encoder:
        queries, passages = encoder.encode_queries(TEXTS), encoder.encode_passages(TEXTS)
    prompts = [query_prompt(DEFAULT_INSTRUCTION, text) for text in TEXTS]
    assert cosines(queries, reference_encode(tiny(architecture), prompts)).min() > 0.995
    prompts = [passage_prompt(text) for text in TEXTS]
    assert cosines(passages, reference_encode(tiny(architecture), prompts)).min() > 0.995


def test_mini_keeps_its_vectors():
    with BMRetrieverEncoder("mini", device="cpu", dtype="float32") as encoder:
        expected = encoder.encode_passages(TEXTS)
    with BMRetrieverEncoder("mini", device="cpu", quantization="int8") as encoder:
        found = encoder.encode_passages(TEXTS)
    assert cosines(found, expected).min() > 0.999
    assert not np.array_equal(found, expected)


def test_a_row_is_its_own_whatever_stands_beside_it(tiny):
    with BMRetrieverEncoder(tiny("gpt_neox"), device="cpu", quantization="int8") as encoder:
        together = encoder.encode_passages(TEXTS)
        alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    assert cosines(together, alone).min() > 1 - 1e-5


def test_a_neighbour_with_large_values_coarsens_nothing(spiky):
    linear, given = spiky
    layer = Int8Linear.made(linear.weight, linear.bias)
    loud = torch.cat([given, 1000 * given])
    torch.testing.assert_close(layer(loud)[: len(given)], layer(given))


def test_rotation_tames_one_large_input(spiky, monkeypatch):
    linear, given = spiky

    def error() -> float:
        got, expected = Int8Linear.made(linear.weight, linear.bias)(given), linear(given)
        return ((got - expected).norm() / expected.norm()).item()

    rotated = error()
    monkeypatch.setattr(quantization, "ROTATED", 1)
    assert rotated < 0.6 * error()


def test_hadamard_is_a_rotation():
    for size in (1, 2, 64):
        torch.testing.assert_close(hadamard(size) @ hadamard(size).T, torch.eye(size))


@pytest.mark.parametrize("kernel", [fbgemm, onednn, int_mm])
@pytest.mark.parametrize("rows", [20, 40])  # fewer and more than CUDA wants
def test_kernels_agree(spiky, kernel, rows):
    linear, given = spiky
    given = given.repeat(2, 1)[:rows]
    try:
        found = Int8Linear(linear.weight, linear.bias, kernel, int8_products.int8_kernel("cpu")[1])(given)
    except (RuntimeError, AttributeError) as error:
        pytest.skip(f"not in this PyTorch: {error}")
    torch.testing.assert_close(found, Int8Linear.made(linear.weight, linear.bias)(given))


def test_number_type_is_kept(spiky):
    linear, given = spiky
    found = Int8Linear(linear.weight, linear.bias, int_mm, 127)(given.bfloat16())
    assert found.dtype == torch.bfloat16
    assert torch.cosine_similarity(found.float(), linear(given)).min() > 0.999


def test_kernels_do_not_overflow():
    """The largest values everywhere: without VNNI, 8 bits on both sides would be cut at 16 bits."""
    kernel, most = int8_products.int8_kernel("cpu")
    levels, largest = torch.full((16, 256), most, dtype=torch.int8), float(int8_products.ACTIVATION_LEVELS)
    product = kernel(levels, torch.ones(16))
    torch.testing.assert_close(
        product(torch.full((2, 256), largest), torch.ones(2, 1)), torch.full((2, 16), 256.0 * most * largest)
    )


def test_7_bits_where_sums_are_cut_at_16_bits(monkeypatch):
    def without_vnni(levels: torch.Tensor, scales: torch.Tensor) -> int8_products.Product:
        pairs = levels.float().view(len(levels), -1, 2)

        def product(rows: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
            whole = (rows * factors).round() + int8_products.ACTIVATION_ZERO
            sums = torch.einsum("rpk,opk->rop", whole.view(len(rows), -1, 2), pairs).clamp(-(2**15), 2**15 - 1)
            return (sums.sum(-1) - int8_products.ACTIVATION_ZERO * levels.float().sum(1)) * scales

        return product

    monkeypatch.setitem(int8_products.KERNELS, "cpu", (without_vnni,))
    int8_products.int8_kernel.cache_clear()
    try:
        assert int8_products.int8_kernel("cpu") == (without_vnni, 63)
        assert int8_products.weight_name("cpu") == "int7"
    finally:
        int8_products.int8_kernel.cache_clear()


def test_activations_are_rounded_whatever_the_default_number_type(spiky):
    """While a checkpoint in bfloat16 is loaded, that is the default of all threads."""
    linear, given = spiky
    wanted = Int8Linear.made(linear.weight, linear.bias)(given)
    torch.set_default_dtype(torch.bfloat16)
    try:
        found = Int8Linear.made(linear.weight, linear.bias)(given)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found, wanted)


def test_parts_of_other_tensors(spiky):
    linear, given = spiky
    wide, stood = torch.cat([given, given], dim=1), linear.weight.t().contiguous().t()
    found = Int8Linear.made(stood, linear.bias)(wide[:, : given.shape[1]])
    assert torch.equal(found, Int8Linear.made(linear.weight, linear.bias)(given))


@pytest.mark.parametrize(("vnni", "first"), [(True, onednn), (False, fbgemm)])
def test_the_products_suit_the_cpu(monkeypatch, vnni, first):
    monkeypatch.setattr(int8_products, "cpu_has_vnni", lambda: vnni)
    monkeypatch.setattr(int8_products, "is_right", lambda kernel, most, device: True)
    assert int8_products.int8_kernel.__wrapped__("cpu") == (first, 127)


def test_shapes_biases_and_zeros():
    for bias in (True, False):
        linear = nn.Linear(6, 5, bias=bias)
        layer = Int8Linear.made(linear.weight, linear.bias)
        given = torch.randn(2, 3, 6)
        assert layer(given).shape == (2, 3, 5)
        assert torch.cosine_similarity(layer(given).flatten(), linear(given).flatten(), dim=0) > 0.99
        torch.testing.assert_close(layer(torch.zeros(1, 6)), linear(torch.zeros(1, 6)))
        assert layer(torch.full((1, 6), float("nan"))).isnan().all()


def test_weights_are_smaller_and_only_linear_layers_change(tiny):
    network = load(str(tiny("llama")), torch.float32).network
    embeddings = network.embed_tokens.weight.clone()
    linears = sum(module.weight.nbytes for module in network.modules() if isinstance(module, nn.Linear))
    before = weight_bytes(network)
    quantize_network(network, "int8")
    assert before - weight_bytes(network) > 0.7 * linears
    assert not any(isinstance(module, nn.Linear) for module in network.modules())
    assert torch.equal(network.embed_tokens.weight, embeddings)


def test_another_engine_by_settings_and_identity(tiny):
    settings = EncoderSettings(model=str(tiny("llama")), device="cpu", dtype="float32")
    other = EncoderSettings(model=str(tiny("llama")), device="cpu", dtype="float32", quantization="int8")
    assert settings != other
    with BMRetrieverEncoder.from_settings(settings) as plain, BMRetrieverEncoder.from_settings(other) as small:
        assert "quantization" not in plain.identity()  # as manifests were before there was a choice
        assert small.identity() == {**plain.identity(), "quantization": int8_products.weight_name("cpu")}
        assert "quantization='int8'" in repr(small)
        assert "quantization=None" in repr(plain)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"quantization": "int4"}, "must be None or one of 'int8', 'fp8', got 'int4'"),
        ({"quantization": "fp8"}, "on the CPU may be 'int8' or None, got 'fp8'"),
        ({"quantization": "int8", "dtype": "bfloat16"}, "leave dtype at 'auto', got 'bfloat16'"),
    ],
)
def test_what_cannot_be_is_refused(tiny, settings, message):
    with pytest.raises(ValueError, match=message):
        BMRetrieverEncoder(tiny("llama"), device="cpu", **settings)


def test_other_devices_are_told_what_they_lack(monkeypatch):
    with pytest.raises(ValueError, match="runs on the CPU or on CUDA, not on mps"):
        resolve_quantized("int8", "auto", torch.device("mps"))
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'bmretriever-integrations\[quantization\]'"):
        resolve_quantized("fp8", "auto", torch.device("cuda:0"))
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(quantization, "resolve_dtype", lambda dtype, device: torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    with pytest.raises(ValueError, match=r"compute capability 8.9 or more .* has 8.0"):
        resolve_quantized("fp8", "auto", torch.device("cuda:0"))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert resolve_quantized("fp8", "auto", torch.device("cuda:0")) == torch.bfloat16
    monkeypatch.setattr(quantization, "resolve_dtype", lambda dtype, device: torch.float16)
    with pytest.raises(ValueError, match="computes the rest in bfloat16"):
        resolve_quantized("fp8", "float16", torch.device("cuda:0"))


def test_a_machine_without_kernels_says_so(monkeypatch):
    def broken(levels: torch.Tensor, scales: torch.Tensor) -> None:
        raise RuntimeError("not in this build")

    def wrong(levels: torch.Tensor, scales: torch.Tensor) -> int8_products.Product:
        return lambda rows, factors: (rows * factors) @ levels.float().T + 1

    monkeypatch.setitem(int8_products.KERNELS, "cpu", (broken, wrong))
    with pytest.raises(ValueError, match="run none of broken, wrong: use None"):
        int8_products.int8_kernel.__wrapped__("cpu")


def test_torchao_knows_the_configuration(tiny):
    """On a CPU it gets as far as asking for the GPU."""
    pytest.importorskip("torchao")
    network = load(str(tiny("llama")), torch.bfloat16).network
    with pytest.raises((AssertionError, RuntimeError), match=r"8\.9|capability"):
        quantize_to_fp8(network)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("kind", ["int8", "fp8"])
@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "mistral", "llama"])
def test_cuda(tiny, architecture, kind):
    if kind == "fp8":
        pytest.importorskip("torchao")
        if torch.cuda.get_device_capability() < quantization.FP8_CAPABILITY:
            pytest.skip("this GPU does not multiply fp8")
    with BMRetrieverEncoder(tiny(architecture), device="cuda", quantization=kind) as encoder:
        found = encoder.encode_passages(TEXTS)
    prompts = [passage_prompt(text) for text in TEXTS]
    assert cosines(found, reference_encode(tiny(architecture), prompts)).min() > 0.98
