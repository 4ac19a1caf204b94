"""Multiply int8 matrices with the functions that PyTorch has on each device, and find one that runs on this machine."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from functools import lru_cache
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from bmretriever_integrations.device import cpu_has_vnni

WEIGHT_LEVELS = (127, 63)
"""
The largest weight of a row is stored as one of these numbers: the first where the device's products are right with it. A CPU
without VNNI adds two products of a uint8 and an int8 in 16 bits, and 2 * 255 * 63 is the largest such sum that fits: 7 bits with
the sign. PyTorch's ``reduce_range`` takes the bit from the activations instead, which costs more accuracy, because activations
vary more.
"""
ACTIVATION_LEVELS = 127
"""The largest activation of a token is stored as this number, on both sides of :data:`ACTIVATION_ZERO`."""
ACTIVATION_ZERO = 128
"""An activation of 0 is stored as this number in uint8."""
FEWEST_ROWS = 32
"""Batches of fewer rows are padded to this number, because ``torch._int_mm`` needs more than 16 rows on CUDA."""

Product = Callable[[Tensor, Tensor], Tensor]
"""A function of activations and each row's factor, which scales the row to at most :data:`ACTIVATION_LEVELS`. It returns the
product of the scaled and rounded activations with the weights. *Shape:* from (rows, inputs) and (rows, 1) to (rows, outputs)"""
Kernel = Callable[[Tensor, Tensor], Product]
"""A function of int8 weights and their scales that returns the function for their product. *Shape:* (outputs, inputs) and
(outputs,)"""

_engine_lock = threading.Lock()


def fbgemm(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with FBGEMM, which PyTorch's builds for x86-64 contain. It is the faster one on a CPU without VNNI.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    zeros = torch.zeros(len(levels), dtype=torch.int64, device="cpu")
    with _engine_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch plans to remove these functions; onednn() replaces them then
        before, torch.backends.quantized.engine = torch.backends.quantized.engine, "fbgemm"
        try:
            weight = torch._make_per_channel_quantized_tensor(levels, scales.double(), zeros, 0)
            packed = torch.ops.quantized.linear_prepack(weight, None)
        finally:
            torch.backends.quantized.engine = before
    multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    return lambda rows, factors: multiply(rows * factors, 1.0, ACTIVATION_ZERO, packed)


def onednn(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with oneDNN. On two cores with VNNI it takes as long as FBGEMM for a query, and half as long for 1,000 tokens.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    packed = torch.ops.onednn.qlinear_prepack(levels, None)
    zeros = torch.zeros(len(levels), dtype=torch.int64, device="cpu")
    multiply = torch.ops.onednn.qlinear_pointwise
    # the conversion to whole numbers cuts the fraction off; the process's default number type may hold no 128.5
    half_up = torch.tensor(ACTIVATION_ZERO + 0.5, dtype=torch.float32, device="cpu")

    def product(rows: Tensor, factors: Tensor) -> Tensor:
        whole = torch.addcmul(half_up, rows, factors).to(torch.uint8)
        result: Tensor = multiply(
            whole, 1.0, ACTIVATION_ZERO, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return result

    return product


def int_mm(levels: Tensor, scales: Tensor) -> Product:
    """
    Multiply with cuBLAS on CUDA. Tests call it on a CPU, too.

    :param levels: *Shape:* (outputs, inputs) int8
    :param scales: *Shape:* (outputs,) float32
    """
    columns = levels.t()

    def product(rows: Tensor, factors: Tensor) -> Tensor:
        whole = torch.round(rows * factors).to(torch.int8)
        if len(rows) < FEWEST_ROWS:
            whole = functional.pad(whole, (0, 0, 0, FEWEST_ROWS - len(rows)))
        return torch._int_mm(whole, columns)[: len(rows)] * scales

    return product


KERNELS: dict[str, tuple[Kernel, ...]] = {"cpu": (onednn, fbgemm), "cuda": (int_mm,)}
"""Maps each type of device to the functions that multiply int8 there, the fastest first; on a CPU without VNNI the last is the
fastest."""


@lru_cache
def int8_kernel(device: str) -> tuple[Kernel, int]:
    """
    Find the fastest int8 multiplication that runs on this machine, by trying each of them.

    :param device: "cpu" or "cuda".
    :returns: the multiplication, and the largest weight with which it is right: one of :data:`WEIGHT_LEVELS`.
    :raises ValueError: if none runs.
    """
    kernels = KERNELS[device]
    if device == "cpu" and not cpu_has_vnni():
        kernels = kernels[::-1]
    for kernel, most in product(kernels, WEIGHT_LEVELS):
        if is_right(kernel, most, device):
            return kernel, most
    tried = ", ".join(kernel.__name__ for kernel in KERNELS[device])
    raise ValueError(f"quantization='int8' on {device}: this PyTorch and this machine run none of {tried}: use None")


def weight_name(device: str) -> str:
    """
    Name the weights that ``quantization="int8"`` makes on a device: "int8", or "int7" where sums of 8 bits would be cut.

    :param device: "cpu" or "cuda".
    """
    return f"int{(int8_kernel(device)[1] + 1).bit_length()}"


def is_right(kernel: Kernel, most: int, device: str) -> bool:
    """Multiply random numbers, rounded up and down, and the largest ones, whose sums would be cut if they had to fit 16 bits."""
    random = torch.Generator("cpu").manual_seed(0)
    levels = torch.randint(-most, most + 1, (32, 48), generator=random, dtype=torch.int8, device="cpu")
    rows = torch.randint(-ACTIVATION_LEVELS, ACTIVATION_LEVELS + 1, (3, 48), generator=random, device="cpu").float()
    levels[0], rows[0] = most, ACTIVATION_LEVELS
    given = torch.cat((rows, rows - 0.3, rows + 0.3)).to(device)
    try:
        multiply = kernel(levels.to(device), torch.ones(32, device=device, dtype=torch.float32))
        found = multiply(given, torch.ones(9, 1, device=device, dtype=torch.float32))
        return torch.equal(found.cpu(), (rows @ levels.float().T).repeat(3, 1))
    except (RuntimeError, AttributeError):
        return False
