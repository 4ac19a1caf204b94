"""Linear layers in 8 bits: fewer bytes to read for a query, more products a second for a batch, and vectors that move a little.

Embeddings and norms stay as they are. int8 is done here with PyTorch's own products, fp8 by torchao. torchao 0.18's int8 was
slower than float32 on a CPU (one core of an AVX2 machine, six layers of the 410M's shapes, milliseconds for 12 rows: float32 70,
torchao weight-only 95, torchao dynamic 762, FBGEMM 18), and on CUDA its dynamic one prints each layer's input, which waits for
the device, unless it is compiled.
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
from torch.nn import functional

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
over them (QuaRot, arXiv:2404.00456). Measured on SmolLM2-135M, 30 texts: median cosine 0.9965 with it, 0.9878 without
(docs/precision.md); 128 and 512 gave no more.
"""
FEWEST_ROWS = 32
"""``torch._int_mm`` on CUDA wants more than 16 rows; fewer are padded."""
FP8_CAPABILITY = (8, 9)
"""CUDA compute capability of the first GPUs that multiply fp8: Ada (8.9) and Hopper (9.0)."""

Product = Callable[[Tensor], Tensor]
"""Activations in units of their levels -> product with the weights. *Shape:* (rows, inputs) -> (rows, outputs)"""
Kernel = Callable[[Tensor, Tensor], Product]
"""int8 weights and their scales -> the product with them. *Shape:* (outputs, inputs) and (outputs,)"""

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
    if device.type not in KERNELS:
        raise ValueError(f"quantization={quantization!r} runs on the CPU or on CUDA, not on {device}: use None")
    if quantization == "int8":
        int8_kernel(device.type)
        if device.type == "cuda":
            return resolve_dtype(dtype, device)
        if dtype not in ("auto", "float32"):
            raise ValueError(
                f"quantization='int8' on the CPU computes the rest in float32: leave dtype at 'auto', got {dtype!r}"
            )
        return torch.float32
    return _resolve_fp8(dtype, device)


def _resolve_fp8(dtype: str, device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        raise ValueError("quantization on the CPU may be 'int8' or None, got 'fp8', which needs a CUDA GPU")
    if importlib.util.find_spec("torchao") is None:
        raise ImportError("quantization='fp8' needs torchao: pip install 'bmretriever-integrations[quantization]'")
    capability = torch.cuda.get_device_capability(device)
    if capability < FP8_CAPABILITY:
        raise ValueError(
            f"quantization='fp8' needs a GPU of compute capability 8.9 or more (Ada, Hopper, Blackwell); {device} has "
            f"{capability[0]}.{capability[1]}: use 'int8' or None"
        )
    chosen = resolve_dtype(dtype, device)
    if chosen != torch.bfloat16:
        raise ValueError(f"quantization='fp8' computes the rest in bfloat16: leave dtype at 'auto', got {dtype!r}")
    return chosen


def quantize_network(network: Any, quantization: str | None) -> None:
    """
    Put every linear layer of a network into 8 bits, in place. Each layer's own weights are freed at once.

    :param network: a decoder without head, on its device.
    :param quantization: None leaves it; "int8" or "fp8" as :func:`resolve_quantized` let them pass.
    """
    if quantization is None:
        return
    if quantization == "int8":
        _replace_linears(network, int8_kernel(next(network.parameters()).device.type))
    else:
        quantize_to_fp8(network)


def quantize_to_fp8(network: Any) -> None:
    """
    Let torchao quantise: weights once, a scale for each output; activations at each call, a scale for each token.

    :param network: in bfloat16 on a CUDA device.
    """
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    quantize_(network, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False))


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

    def __init__(self, linear: nn.Linear, kernel: Kernel) -> None:
        """
        :param linear: whose weights to take, on its device; it is not changed.
        :param kernel: int8 weights and their scales -> product.
        """
        super().__init__()
        weight = linear.weight.detach().float()
        self._rotation = hadamard(math.gcd(ROTATED, linear.in_features)).to(linear.weight.device)
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

        :param given: *Shape:* (..., inputs) float32, or the network's number type on CUDA
        :returns: *Shape:* (..., outputs) of the same type
        """
        rows = self._rotate(given.reshape(-1, self.in_features).float())
        scales = (
            rows.abs().amax(dim=1, keepdim=True).div_(ACTIVATION_LEVELS).clamp_min_(torch.finfo(torch.float32).tiny)
        )
        result = self._product(rows / scales).mul_(scales)
        if self.bias is not None:
            result += self.bias
        return result.view(*given.shape[:-1], self.out_features).to(given.dtype)

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


def _replace_linears(module: nn.Module, kernel: Kernel) -> None:
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


def int_mm(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with cuBLAS, on CUDA; on a CPU for tests.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    columns = levels.t()

    def product(rows: Tensor) -> Tensor:
        whole = torch.round(rows).to(torch.int8)
        if len(rows) < FEWEST_ROWS:
            whole = functional.pad(whole, (0, 0, 0, FEWEST_ROWS - len(rows)))
        return torch._int_mm(whole, columns)[: len(rows)] * scales

    return product


KERNELS: dict[str, tuple[Kernel, ...]] = {"cpu": (fbgemm, onednn), "cuda": (int_mm,)}
"""Type of device -> what multiplies int8 there, the fastest first."""


@lru_cache
def int8_kernel(device: str) -> Kernel:
    """
    Find what this machine's PyTorch multiplies int8 with, by trying.

    :param device: "cpu" or "cuda".
    :raises ValueError: if it has none.
    """
    draw = torch.Generator().manual_seed(0)
    levels = torch.randint(-WEIGHT_LEVELS, WEIGHT_LEVELS + 1, (32, 48), generator=draw, dtype=torch.int8)
    rows = torch.randint(-ACTIVATION_LEVELS, ACTIVATION_LEVELS + 1, (3, 48), generator=draw).float()
    for kernel in KERNELS[device]:
        try:
            product = kernel(levels.to(device), torch.ones(32, device=device))
            if torch.equal(product(rows.to(device)).cpu(), rows @ levels.float().T):
                return kernel
        except (RuntimeError, AttributeError):
            continue
    tried = ", ".join(kernel.__name__ for kernel in KERNELS[device])
    raise ValueError(f"quantization='int8' on {device}: this PyTorch and this machine run none of {tried}: use None")
