"""Make 8-bit weights for linear layers: a query reads fewer bytes, a batch computes faster, and vectors change a little.

Embeddings and norms are not changed. This module makes int8 layers with PyTorch's own products, and torchao makes fp8 layers.
torchao 0.18's int8 was slower than float32 on a CPU (one core of an AVX2 machine, six layers of the 410M's shapes, milliseconds
for 12 rows: float32 70, torchao weight-only 95, torchao dynamic 762, FBGEMM 18). On CUDA, torchao's dynamic int8 prints each
layer's input unless it is compiled, which waits for the device.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bmretriever_integrations.device import resolve_dtype
from bmretriever_integrations.forward.int8_products import (
    ACTIVATION_LEVELS,
    KERNELS,
    Kernel,
    int8_kernel,
)
from bmretriever_integrations.forward.prepacked import Prepacked, can_prepack

ROTATED = 64
"""
The number of inputs that are rotated together before they are rounded. Every trained decoder has single inputs that are very
large; the rotation spreads them over the others (QuaRot, arXiv:2404.00456). Measured on SmolLM2-135M with 30 texts, the median
cosine was 0.9965 with rotation and 0.9878 without (docs/precision.md); 128 and 512 gave no improvement.
"""
SMALLEST = 1e-30
"""The least scale of a row, so that a row of zeros is divided by no zero."""
ACTIVATION_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}
"""Maps the names of activations to their functions."""
FP8_CAPABILITY = (8, 9)
"""CUDA compute capability of the first GPUs that multiply fp8: Ada (8.9) and Hopper (9.0)."""


def resolve_quantized(quantization: str | None, dtype: str, device: torch.device) -> torch.dtype:
    """
    Choose the number type of the parts that are not quantised, and check that the device supports the quantisation.

    :param quantization: None, "int8" or "fp8".
    :param dtype: the engine's ``dtype``.
    :param device: the device on which the model runs.
    :raises ValueError: if the device or the number type does not allow the quantisation.
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
    Convert every linear layer of a network to 8 bits, in place. Each layer's old weights are freed at once.

    :param network: a decoder without head, on its device.
    :param quantization: None changes nothing; "int8" and "fp8" must have been checked by :func:`resolve_quantized`.
    """
    if quantization is None:
        return
    if quantization == "int8":
        _replace_linears(network)
    else:
        quantize_to_fp8(network)


def quantize_to_fp8(network: Any) -> None:
    """
    Quantise to fp8 with torchao: weights once, with a scale for each output; activations in each call, with one for each token.

    :param network: a network in bfloat16 on a CUDA device.
    """
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig, PerRow, quantize_

    quantize_(network, Float8DynamicActivationFloat8WeightConfig(granularity=PerRow(), set_inductor_config=False))


def weight_bytes(network: Any) -> int:
    """
    Count the bytes of a network's weights, quantised or not.

    :param network: a network with this package's layers, or any other network on the CPU.
    """
    plain: int = sum(parameter.nbytes for parameter in network.parameters())
    return plain + sum(module.nbytes for module in network.modules() if isinstance(module, Int8Linear | Prepacked))


class Int8Linear(nn.Module):
    """
    A linear layer with int8 weights and a scale for each output. Its input is quantised token by token.

    PyTorch's ``quantize_dynamic`` takes one scale for a whole batch: one token with large values makes the steps of all others
    coarse, and vectors depend on the other texts of the batch. Here each token is divided by its own largest value first, so a
    row's result does not depend on the other rows. Weights and inputs are rotated by the same matrix before they are rounded,
    which does not change their product.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, kernel: Kernel, most: int) -> None:
        """
        :param weight: it is copied. *Shape:* (outputs, inputs)
        :param bias: None for a layer without one. *Shape:* (outputs,)
        :param kernel: the function that multiplies with int8 weights.
        :param most: the number as which the largest weight of an output is stored.
        """
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._rotated = math.gcd(ROTATED, self.in_features)
        self._rotation = rotation(self._rotated, weight.device)
        rotated = self._rotate(weight.detach().float())
        scales = (rotated.abs().amax(dim=1) / most).clamp_min(torch.finfo(torch.float32).tiny)
        levels = torch.round(rotated / scales[:, None]).to(torch.int8)
        self.nbytes = levels.nbytes + scales.nbytes
        self.bias = bias
        self._product = kernel(levels, scales)

    @classmethod
    def made(cls, weight: Tensor, bias: Tensor | None) -> Int8Linear:
        """
        Make a layer with the fastest multiplication of the weight's device.

        :param weight: it is copied. *Shape:* (outputs, inputs)
        :param bias: None for a layer without one. *Shape:* (outputs,)
        """
        return cls(weight, bias, *int8_kernel(weight.device.type))

    def forward(self, given: Tensor) -> Tensor:
        """
        Multiply the input with the weights.

        :param given: the input, in float32, or in the network's number type on CUDA. *Shape:* (..., inputs)
        :returns: the output, in the same number type. *Shape:* (..., outputs)
        """
        rows = self._rotate(given.reshape(-1, self.in_features).float())
        scales = rows.abs().amax(dim=1, keepdim=True).div_(ACTIVATION_LEVELS).clamp_min_(SMALLEST)
        result = self._product(rows, scales.reciprocal())
        result = result.mul_(scales) if self.bias is None else torch.addcmul(self.bias, result, scales)
        return result.view(*given.shape[:-1], self.out_features).to(given.dtype)

    def activated(self, given: Tensor, activation: str) -> Tensor:
        """Multiply, then apply an activation; see :class:`~bmretriever_integrations.forward.prepacked.Prepacked`."""
        return ACTIVATION_FUNCTIONS[activation](self(given))

    def added(self, given: Tensor, other: Tensor) -> Tensor:
        """Multiply, then add another tensor. *Shape:* as the output"""
        result: Tensor = self(given)
        return result.add_(other)

    def multiplied(self, given: Tensor, other: Tensor) -> Tensor:
        """Multiply with the weights, then elementwise with another tensor. *Shape:* as the output"""
        result: Tensor = self(given)
        return result.mul_(other)

    def _rotate(self, rows: Tensor) -> Tensor:
        return self._rotation(rows.reshape(-1, self._rotated)).view(len(rows), -1)

    def extra_repr(self) -> str:
        """Return the facts that ``print`` shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def hadamard(size: int) -> Tensor:
    """
    Make Sylvester's Hadamard matrix of +1 and -1, scaled to a rotation.

    :param size: a power of two.
    :returns: *Shape:* (size, size) float32, symmetric and its own inverse.
    """
    matrix = torch.ones(1, 1, dtype=torch.float32)
    while len(matrix) < size:
        matrix = torch.cat([torch.cat([matrix, matrix], dim=1), torch.cat([matrix, -matrix], dim=1)])
    return matrix / math.sqrt(size)


@lru_cache
def rotation(size: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """
    Return the function that multiplies with :func:`hadamard`'s matrix; all layers of an engine share it.

    :param size: a power of two.
    :param device: the device of the rows that the function takes. *Shape:* (rows, size) float32
    """
    matrix = hadamard(size).to(device)
    if device.type == "cpu" and can_prepack(torch.float32):
        return Prepacked(matrix, None).forward
    return partial(functional.linear, weight=matrix)


def _replace_linears(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear.made(child.weight, child.bias))
        else:
            _replace_linears(child)
