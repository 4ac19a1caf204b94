"""
Define Triton kernels for the operations between a layer's matrix products. Each replaces five to ten kernels of PyTorch.

Each kernel rounds where transformers' code rounds, or later. This module imports Triton, which PyTorch's builds for CUDA contain.
The kernels run on the current device. Arguments that change from batch to batch are not specialized, because Triton would compile
the kernel again for some batches. Only Triton's constants are annotated, because Triton reads annotations as its own types.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS = 1024
"""The number of elements of a row that one program of the gate kernel computes."""
PAIRS = 1024
"""The number of pairs of components that one program of the rotation kernel computes."""


@triton.jit
def _rms_norm(given, weight, output, width, eps, PLUS_ONE: tl.constexpr, BLOCK: tl.constexpr):
    """Normalise one row in each program."""
    start = tl.program_id(0).to(tl.int64) * width
    column = tl.arange(0, BLOCK)
    inside = column < width
    value = tl.load(given + start + column, mask=inside, other=0.0).to(tl.float32)
    normed = value * tl.rsqrt(tl.sum(value * value, axis=0) / width + eps)
    scale = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)
    normed = normed * (1.0 + scale) if PLUS_ONE else normed.to(output.dtype.element_ty).to(tl.float32) * scale
    tl.store(output + start + column, normed.to(output.dtype.element_ty), mask=inside)


def rms_norm(given: Tensor, weight: Tensor, eps: float, plus_one: bool) -> Tensor:
    """
    Divide each row by its root mean square and scale it.

    :param given: *Shape:* (..., width)
    :param weight: *Shape:* (width,)
    :param eps: added to the mean square.
    :param plus_one: True scales by 1 + weight before rounding, as Gemma does; False by the weight after rounding, as Llama does.
    :returns: *Shape:* as ``given``
    """
    given = given.contiguous()
    output, width = torch.empty_like(given), given.shape[-1]
    block = triton.next_power_of_2(width)
    grid = (given.numel() // width,)
    _rms_norm[grid](
        given, weight, output, width, eps, PLUS_ONE=plus_one, BLOCK=block, num_warps=min(8, max(1, block // 256))
    )
    return output


@triton.jit
def _gate(gate, up, width, TANH: tl.constexpr, BLOCK: tl.constexpr):
    """Compute a part of one row in each program."""
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    place = tl.program_id(0).to(tl.int64) * width + column
    value = tl.load(gate + place, mask=inside, other=0.0).to(tl.float32)
    # GELU's tanh form is x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)); SiLU is x sigmoid(x)
    inner = 1.5957691216057308 * (value + 0.044715 * value * value * value) if TANH else value
    active = (value * tl.sigmoid(inner)).to(gate.dtype.element_ty).to(tl.float32)
    product = active * tl.load(up + place, mask=inside, other=0.0).to(tl.float32)
    tl.store(gate + place, product.to(gate.dtype.element_ty), mask=inside)


def gate_(gate: Tensor, up: Tensor, tanh: bool) -> Tensor:
    """
    Apply the activation to the gate and multiply, in place of the gate.

    :param gate: contiguous. *Shape:* (..., width)
    :param up: contiguous. *Shape:* as ``gate``
    :param tanh: whether the activation is GELU in its tanh form; else it is SiLU.
    :returns: ``gate``
    """
    width = gate.shape[-1]
    grid = (gate.numel() // width, triton.cdiv(width, ELEMENTS))
    _gate[grid](gate, up, width, TANH=tanh, BLOCK=ELEMENTS)
    return gate


@triton.jit(do_not_specialize=["rows"])
def _rotate(
    given,
    cos,
    sin,
    rows,
    heads,
    of_token,
    of_head,
    of_angles,
    HALF: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Rotate the first ``HALF`` components of each row with the ``HALF`` after them; a row is one head of one token."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    column = tl.arange(0, PADDED)[None, :]
    inside = (row < rows)[:, None]
    if PADDED != HALF:  # only where it is needed: with a mask along the columns, Triton uses narrow loads
        inside = inside & (column < HALF)
    token, head = row // heads, row % heads
    angle = (token * of_angles)[:, None] + column
    c = tl.load(cos + angle, mask=inside, other=0.0).to(tl.float32)
    s = tl.load(sin + angle, mask=inside, other=0.0).to(tl.float32)
    first = given + (token * of_token + head * of_head)[:, None] + column
    one = tl.load(first, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(first + HALF, mask=inside, other=0.0).to(tl.float32)
    tl.store(first, (one * c - other * s).to(given.dtype.element_ty), mask=inside)
    tl.store(first + HALF, (other * c + one * s).to(given.dtype.element_ty), mask=inside)


def rotate_(given: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """
    Rotate queries or keys by their tokens' positions, in place.

    :param given: queries or keys; the components of a head must be contiguous in memory. *Shape:* (tokens, heads, head width)
    :param cos: the cosines of each token, both halves equal. *Shape:* (tokens, rotated width)
    :param sin: *Shape:* as ``cos``
    :returns: ``given``
    """
    tokens, heads, _ = given.shape
    half = cos.shape[-1] // 2
    padded = triton.next_power_of_2(half)
    block = max(1, PAIRS // padded)
    grid = (triton.cdiv(tokens * heads, block),)
    strides = (given.stride(0), given.stride(1), cos.stride(0))
    _rotate[grid](given, cos, sin, tokens * heads, heads, *strides, HALF=half, PADDED=padded, BLOCK=block)
    return given
