"""Products of int8 matrices: what PyTorch has for them on each device, and which of it runs here."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

WEIGHT_LEVELS = 63
"""
The largest weight of a row is stored as this number: 7 bits with the sign. Without VNNI a CPU adds two products of a uint8
and an int8 in 16 bits, and 2 * 255 * 63 is the most that fits (fewer bits on the activations, PyTorch's ``reduce_range``,
lose more: they vary more).
"""
ACTIVATION_LEVELS = 127
"""The largest activation of a token is stored as this number, on both sides of :data:`ACTIVATION_ZERO`."""
ACTIVATION_ZERO = 128
FEWEST_ROWS = 32
"""``torch._int_mm`` on CUDA wants more than 16 rows; fewer are padded."""

Product = Callable[[Tensor], Tensor]
"""Activations in units of their levels -> product with the weights. *Shape:* (rows, inputs) -> (rows, outputs)"""
Kernel = Callable[[Tensor, Tensor], Product]
"""int8 weights and their scales -> the product with them. *Shape:* (outputs, inputs) and (outputs,)"""

_engine_lock = threading.Lock()


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
"""Type of device -> functions that multiply int8 there, the fastest first."""


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
