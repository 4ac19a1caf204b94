"""Make 8-bit weights for linear layers: a query reads fewer bytes, a batch computes faster, and vectors change a little.

Embeddings and norms are not changed. This module makes int8 layers with PyTorch's own products, and torchao makes fp8 layers.
torchao 0.18's int8 was slower than float32 on a CPU (one core of an AVX2 machine, six layers of the 410M's shapes, milliseconds
for 12 rows: float32 70, torchao weight-only 95, torchao dynamic 762, FBGEMM 18). On CUDA, torchao's dynamic int8 prints each
layer's input unless it is compiled, which waits for the device.
"""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import torch
from torch import Tensor, nn

from bmretriever_integrations.device import resolve_dtype
from bmretriever_integrations.forward.int8_products import (
    ACTIVATION_LEVELS,
    KERNELS,
    WEIGHT_LEVELS,
    Kernel,
    int8_kernel,
)

ROTATED = 64
"""
The number of inputs that are rotated together before they are rounded. Every trained decoder has single inputs that are very
large; the rotation spreads them over the others (QuaRot, arXiv:2404.00456). Measured on SmolLM2-135M with 30 texts, the median
cosine was 0.9965 with rotation and 0.9878 without (docs/precision.md); 128 and 512 gave no improvement.
"""
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
        _replace_linears(network, int8_kernel(next(network.parameters()).device.type))
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

    :param network: a network with this module's int8 layers, or any other network on the CPU.
    """
    plain: int = sum(parameter.nbytes for parameter in network.parameters())
    return plain + sum(module.nbytes for module in network.modules() if isinstance(module, Int8Linear))


class Int8Linear(nn.Module):
    """
    A linear layer with int8 weights and a scale for each output. Its input is quantised token by token.

    PyTorch's ``quantize_dynamic`` takes one scale for a whole batch: one token with large values makes the steps of all others
    coarse, and vectors depend on the other texts of the batch. Here each token is divided by its own largest value first, so a
    row's result does not depend on the other rows. Weights and inputs are rotated by the same matrix before they are rounded,
    which does not change their product.
    """

    def __init__(self, linear: nn.Linear, kernel: Kernel) -> None:
        """
        :param linear: the layer whose weights are converted, on its device; it is not changed.
        :param kernel: the function that multiplies with int8 weights.
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
        Multiply the input with the weights.

        :param given: the input, in float32, or in the network's number type on CUDA. *Shape:* (..., inputs)
        :returns: the output, in the same number type. *Shape:* (..., outputs)
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


def _replace_linears(module: nn.Module, kernel: Kernel) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child, kernel))
        else:
            _replace_linears(child, kernel)
