"""Linear layers in 8 bits: fewer bytes to read for a query, more products a second for a batch, and vectors that move a little.

Embeddings and norms stay as they are. On CUDA the work is torchao's. On a CPU it is done by PyTorch's own int8 kernels, because
torchao 0.18 was slower than float32 there (one core of an AVX2 machine, six layers of the 410M's shapes, milliseconds for 12
rows: float32 70, torchao weight-only 95, torchao dynamic 762, FBGEMM 18).
"""

from __future__ import annotations

import importlib.util
import math
import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from bmretriever_integrations.device import resolve_dtype

WEIGHT_LEVELS = 63
"""
Largest weight of a row: 7 bits with the sign. Without VNNI a CPU adds two products of a uint8 and an int8 in 16 bits, and
2 * 255 * 63 is the most that fits (fewer bits on the activations, PyTorch's ``reduce_range``, lose more: they vary more).
"""
ACTIVATION_LEVELS = 127
"""Largest activation of a token, on both sides of :data:`ACTIVATION_ZERO`."""
ACTIVATION_ZERO = 128
ROTATED = 64
"""
Inputs that are rotated together before they are rounded, so that a single large one, as every trained decoder has, is spread
over them (QuaRot, arXiv:2404.00456). Measured on SmolLM2-135M, 30 texts: median cosine 0.9964 with it, 0.9887 without
(docs/precision.md); 128 and 512 gave no more.
"""
FP8_CAPABILITY = (8, 9)
"""CUDA compute capability of the first GPUs that multiply fp8: Ada (8.9) and Hopper (9.0)."""

Product = Callable[[Tensor], Tensor]
"""Activations in units of their levels -> product with the weights. *Shape:* (rows, inputs) -> (rows, outputs)"""

_engine_lock = threading.Lock()


def resolve_quantized(quantization: str | None, dtype: str, device: torch.device) -> torch.dtype:
    """
    Choose the number type of all that is not quantised, and refuse what the device cannot do.

    :param quantization: None, "int8" or "fp8".
    :param dtype: as the engine's.
    :param device: where the model runs.
    :raises ValueError: if the device or the number type does not go with the quantisation.
    :raises ImportError: if the device needs torchao and it is not installed.
    """
    if quantization is None:
        return resolve_dtype(dtype, device)
    if device.type == "cpu":
        return _resolve_on_cpu(quantization, dtype)
    if device.type != "cuda":
        raise ValueError(f"quantization={quantization!r} runs on the CPU or on CUDA, not on {device}: use None")
    if importlib.util.find_spec("torchao") is None:
        raise ImportError(
            f"quantization={quantization!r} on CUDA needs torchao: pip install 'bmretriever-integrations[quantization]'"
        )
    chosen = resolve_dtype(dtype, device)
    if quantization == "fp8":
        capability = torch.cuda.get_device_capability(device)
        if capability < FP8_CAPABILITY:
            raise ValueError(
                f"quantization='fp8' needs a GPU of compute capability 8.9 or more (Ada, Hopper, Blackwell); {device} has "
                f"{capability[0]}.{capability[1]}: use 'int8' or None"
            )
        if chosen != torch.bfloat16:
            raise ValueError(f"quantization='fp8' computes the rest in bfloat16: leave dtype at 'auto', got {dtype!r}")
    return chosen


def _resolve_on_cpu(quantization: str, dtype: str) -> torch.dtype:
    if quantization != "int8":
        raise ValueError(f"quantization on the CPU may be 'int8' or None, got {quantization!r}; fp8 needs a CUDA GPU")
    if dtype not in ("auto", "float32"):
        raise ValueError(
            f"quantization='int8' on the CPU computes the rest in float32: leave dtype at 'auto', got {dtype!r}"
        )
    cpu_kernel()
    return torch.float32


def quantize_network(network: Any, quantization: str | None) -> None:
    """
    Put every linear layer of a network into 8 bits, in place. Each layer's own weights are freed at once.

    :param network: a decoder without head, on its device.
    :param quantization: None leaves it; "int8" or "fp8" as :func:`resolve_quantized` let them pass.
    """
    if quantization is None:
        return
    if next(network.parameters()).device.type == "cpu":
        _replace_linears(network, cpu_kernel())
    else:
        quantize_with_torchao(network, quantization)


def quantize_with_torchao(network: Any, quantization: str) -> None:
    """
    Let torchao quantise: weights once, a scale for each output; activations at each call, a scale for each token.

    :param network: on a CUDA device.
    :param quantization: "int8" or "fp8".
    """
    from torchao.quantization import (
        Float8DynamicActivationFloat8WeightConfig,
        Int8DynamicActivationInt8WeightConfig,
        PerRow,
        quantize_,
    )

    config = (
        Float8DynamicActivationFloat8WeightConfig if quantization == "fp8" else Int8DynamicActivationInt8WeightConfig
    )
    quantize_(network, config(granularity=PerRow(), set_inductor_config=False))


def weight_bytes(network: Any) -> int:
    """
    Count the bytes of a network's weights, quantised or not.

    :param network: of this module's making, or any other on the CPU.
    """
    plain: int = sum(parameter.nbytes for parameter in network.parameters())
    return plain + sum(module.nbytes for module in network.modules() if isinstance(module, Int8Linear))


class Int8Linear(nn.Module):
    """
    A linear layer with int8 weights, a scale for each output, whose input is quantised token by token.

    PyTorch's ``quantize_dynamic`` takes one scale for a whole batch: one token with large values coarsens all others, and vectors
    depend on their neighbours. Here each token is divided by its own largest value first, so a row's result is its own, whatever
    stands beside it. Weights and inputs are rotated alike before they are rounded, which leaves their product as it is.
    """

    def __init__(self, linear: nn.Linear, kernel: Callable[[Tensor, Tensor], Product]) -> None:
        """
        :param linear: whose weights to take, on the CPU; it is not changed.
        :param kernel: int8 weights and their scales -> product.
        """
        super().__init__()
        weight = linear.weight.detach().float()
        self._rotation = hadamard(math.gcd(ROTATED, linear.in_features))
        weight = self._rotate(weight)
        scales = (weight.abs().amax(dim=1) / WEIGHT_LEVELS).clamp_min(torch.finfo(torch.float32).tiny)
        levels = torch.round(weight / scales[:, None]).to(torch.int8)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.nbytes = levels.nbytes + scales.nbytes
        self.bias = linear.bias
        self._product = kernel(levels, scales)

    def forward(self, given: Tensor) -> Tensor:
        """
        Multiply.

        :param given: *Shape:* (..., inputs) float32
        :returns: *Shape:* (..., outputs) float32
        """
        rows = self._rotate(given.reshape(-1, self.in_features))
        scales = (
            rows.abs().amax(dim=1, keepdim=True).div_(ACTIVATION_LEVELS).clamp_min_(torch.finfo(torch.float32).tiny)
        )
        result = self._product(rows / scales).mul_(scales)
        if self.bias is not None:
            result += self.bias
        return result.view(*given.shape[:-1], self.out_features)

    def _rotate(self, rows: Tensor) -> Tensor:
        return (rows.view(len(rows), -1, len(self._rotation)) @ self._rotation).view(len(rows), -1)

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def hadamard(size: int) -> Tensor:
    """
    Make Sylvester's matrix of +1 and -1, scaled to a rotation.

    :param size: a power of two.
    :returns: *Shape:* (size, size) float32, symmetric and its own inverse.
    """
    matrix = torch.ones(1, 1)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return matrix / math.sqrt(size)


def _replace_linears(module: nn.Module, kernel: Callable[[Tensor, Tensor], Product]) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child, kernel))
        else:
            _replace_linears(child, kernel)


def fbgemm(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with FBGEMM, as PyTorch builds for x86-64 contain it: the faster one for the few tokens of a query.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    zeros = torch.zeros(len(levels), dtype=torch.int64)
    with _engine_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch means to drop these functions one day; onednn() takes over then
        before, torch.backends.quantized.engine = torch.backends.quantized.engine, "fbgemm"
        try:
            weight = torch._make_per_channel_quantized_tensor(levels, scales.double(), zeros, 0)
            packed = torch.ops.quantized.linear_prepack(weight, None)
        finally:
            torch.backends.quantized.engine = before
    multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    return lambda rows: multiply(rows, 1.0, ACTIVATION_ZERO, packed)


def onednn(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with oneDNN, the one that remains where FBGEMM is not, with the same results.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    packed = torch.ops.onednn.qlinear_prepack(levels, None)
    zeros = torch.zeros(len(levels), dtype=torch.int64)
    multiply = torch.ops.onednn.qlinear_pointwise

    def product(rows: Tensor) -> Tensor:
        whole = torch.round(rows).add_(ACTIVATION_ZERO).to(torch.uint8)
        result: Tensor = multiply(
            whole, 1.0, ACTIVATION_ZERO, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return result

    return product


@lru_cache
def cpu_kernel() -> Callable[[Tensor, Tensor], Product]:
    """
    Find the kernel that this machine's PyTorch multiplies int8 with, by trying.

    :raises ValueError: if it has none.
    """
    draw = torch.Generator().manual_seed(0)
    levels = torch.randint(-WEIGHT_LEVELS, WEIGHT_LEVELS + 1, (32, 48), generator=draw, dtype=torch.int8)
    rows = torch.randint(-ACTIVATION_LEVELS, ACTIVATION_LEVELS + 1, (3, 48), generator=draw).float()
    for kernel in (fbgemm, onednn):
        try:
            if torch.equal(kernel(levels, torch.ones(32))(rows), rows @ levels.float().T):
                return kernel
        except (RuntimeError, AttributeError):
            continue
    raise ValueError(
        "quantization='int8' on the CPU needs a PyTorch with FBGEMM or oneDNN, and this one has neither: use None"
    )
