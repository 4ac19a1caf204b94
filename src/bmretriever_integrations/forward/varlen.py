"""
Call PyTorch's variable-length attention kernel, FlashAttention 2, which has two names in PyTorch's releases.

The function ``torch.nn.attention.varlen.varlen_attn`` supports windows and grouped heads from PyTorch 2.12 on. In 2.11 it has no
grouped heads, in 2.10 also no windows and no scale, and 2.9 does not have the function. The operator underneath supports all
with the same arguments in every release from 2.5, the oldest that this package supports, to 2.15 (torchgen's
native_functions.yaml in the wheels of 2.5.1 to 2.15.0). So the operator is called in old releases and the function in new ones.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor

WANTED = {"scale", "window_size", "enable_gqa"}
"""Arguments that PyTorch's public function must have, so that it can be used for all four families."""


class Kernel(Protocol):
    """Computes attention for all rows of a flat batch in one call. The queries of a row belong to the last of its keys."""

    def __call__(  # noqa: PLR0917
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        starts: Tensor,
        key_starts: Tensor,
        longest: int,
        longest_keys: int,
        /,
        *,
        scale: float,
        window: tuple[int, int],
    ) -> Tensor:
        """
        Attend.

        :param query: *Shape:* (queries, heads, head width) bfloat16 or float16
        :param key: *Shape:* (keys, key-value heads, head width)
        :param value: *Shape:* as ``key``
        :param starts: the place of each row's first query, and the end of the last row. *Shape:* (rows + 1,) int32
        :param key_starts: the place of each row's first key, and the end of the last row. *Shape:* (rows + 1,) int32
        :param longest: the number of queries of the longest row.
        :param longest_keys: the number of keys of the longest row.
        :param scale: the factor of the scores.
        :param window: the number of keys to which a query attends on its left and right, without its own key; -1 means all.
        :returns: *Shape:* as ``query``
        """


@lru_cache
def varlen_kernel() -> Kernel:
    """Return the kernel in the form that this release of PyTorch has. A device that does not support it raises at the call."""
    function = _public_function()
    takes_all = function is not None and inspect.signature(function).parameters.keys() >= WANTED
    return _by_function if takes_all else _by_operator


def _public_function() -> Callable[..., Any] | None:
    try:
        from torch.nn.attention import varlen
    except ImportError:
        return None
    function: Callable[..., Any] = varlen.varlen_attn
    return function


def _by_function(
    query: Tensor, key: Tensor, value: Tensor, *places: Any, scale: float, window: tuple[int, int]
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    grouped = query.shape[1] != key.shape[1]
    attended = varlen_attn(query, key, value, *places, scale=scale, window_size=window, enable_gqa=grouped)
    return cast(Tensor, attended)


def _by_operator(
    query: Tensor, key: Tensor, value: Tensor, *places: Any, scale: float, window: tuple[int, int]
) -> Tensor:
    left, right = window
    dropout, is_causal, returns_debug_mask = 0.0, window == (-1, 0), False
    attended: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        key,
        value,
        *places,
        dropout,
        is_causal,
        returns_debug_mask,
        scale=scale,
        window_size_left=left,
        window_size_right=right,
    )[0]
    return attended
