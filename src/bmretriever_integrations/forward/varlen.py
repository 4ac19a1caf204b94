"""
PyTorch's variable-length attention kernel, FlashAttention 2, under the two names that PyTorch's releases give it.

``torch.nn.attention.varlen.varlen_attn`` takes windows and grouped heads from PyTorch 2.12 on. 2.11's knows no grouped heads,
2.10's no windows and no scale, and 2.9 has no such function. The operator underneath takes all of it in every release from 2.5,
the oldest that this package supports, to 2.15, with the same arguments (torchgen's native_functions.yaml in the wheels of
2.5.1 to 2.15.0). So old releases are served by the operator, new ones by the public function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor

WANTED = {"scale", "window_size", "enable_gqa"}
"""Arguments that PyTorch's public function must have to serve all four families."""


class Kernel(Protocol):
    """One call for all rows of a flat batch; the queries of a row are the last of its keys."""

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
        :param starts: where each row's queries begin, and the end of the last. *Shape:* (rows + 1,) int32
        :param key_starts: the same of the keys. *Shape:* (rows + 1,) int32
        :param longest: queries of the longest row.
        :param longest_keys: keys of the longest row.
        :param scale: the scale of the scores.
        :param window: how many keys a query sees to its left and right, itself not counted; -1: all.
        :returns: *Shape:* as ``query``
        """


@lru_cache
def varlen_kernel() -> Kernel:
    """Give the kernel in the form that this release of PyTorch has. Whether it runs on a device shows when it is called."""
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
