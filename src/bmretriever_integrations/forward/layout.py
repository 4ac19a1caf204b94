"""Rows of token ids -> where each token lies in one flat batch, and which keys it may see."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

KeysAndValues = tuple[Tensor, Tensor]
"""Keys and values of one layer, after rotation. *Shape:* (tokens, key-value heads, head width) each"""


@dataclass(frozen=True)
class Prefix:
    """The first tokens of every row of a batch, already run: what later tokens need of them."""

    ids: tuple[int, ...]
    layers: tuple[KeysAndValues, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Group:
    """Neighbouring rows of the same length: PyTorch's attention takes them at once, without a mask."""

    tokens: slice
    """Where its tokens lie in the flat batch."""
    first_row: int
    rows: int
    length: int


@dataclass(eq=False)
class Layout:
    """
    One flat batch: the rows' tokens one after the other, behind a prefix that all share.

    The rows take ``spans`` tokens each. These are their own lengths in a packed batch, and the longest row's in a padded one,
    where what follows a row's last token is padding.
    """

    lengths: tuple[int, ...]
    spans: tuple[int, ...]
    device: torch.device
    prefix: Prefix | None = None
    kept: list[KeysAndValues] | None = None
    """A list to which each layer appends its keys and values; None: they are not kept."""
    is_resizable: bool = False
    """Whether its one row may take fewer tokens than its span, by :meth:`resize`."""
    tokens: int = field(init=False)
    """All tokens of the flat batch, padding included."""
    before: int = field(init=False)
    """Tokens of the shared prefix."""
    starts: Tensor = field(init=False)
    """Where each row begins, and the end of the last. *Shape:* (rows + 1,) int32"""
    last: Tensor = field(init=False)
    """Where each row's last real token lies. *Shape:* (rows,) int64"""
    positions: Tensor = field(init=False)
    """Each token's place in its sequence, the prefix counted. *Shape:* (1, tokens) int64"""
    groups: tuple[Group, ...] = field(init=False)
    """Runs of rows of equal span."""

    def __post_init__(self) -> None:
        spans = np.array(self.spans, dtype=np.int64)
        first = np.cumsum(spans) - spans
        self.tokens = sum(self.spans)
        self.before = 0 if self.prefix is None else len(self.prefix)
        ends = torch.tensor([0, *self.spans], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        self.starts = move(ends, self.device)
        self.last = self.starts[:-1].long() + move(torch.tensor(self.lengths), self.device) - 1
        places = np.arange(self.tokens) + np.repeat(self.before - first, spans)
        self.positions = move(torch.from_numpy(places), self.device)[None]
        self.groups = tuple(self._groups())

    def resize(self, length: int) -> None:
        """
        Change how many tokens the one row has, on the device alone: a recorded graph reads it there.

        :param length: tokens, without those of the prefix; at most the row's span.
        """
        self.last.fill_(length - 1)
        self.starts[1:].fill_(length)
        if self.prefix is not None:
            self.key_starts[1:].fill_(self.before + length)

    def _groups(self) -> Iterator[Group]:
        token = row = 0
        for span, run in groupby(self.spans):
            count = sum(1 for _ in run)
            yield Group(slice(token, token + count * span), row, count, span)
            token, row = token + count * span, row + count

    @cached_property
    def each_row(self) -> Tensor:
        """One query a row, as boundaries. *Shape:* (rows + 1,) int32"""
        return torch.arange(len(self.spans) + 1, dtype=torch.int32, device=self.device)

    @cached_property
    def key_starts(self) -> Tensor:
        """Where each row's keys begin once the prefix stands before every row. *Shape:* (rows + 1,) int32"""
        if self.prefix is None:
            return self.starts  # the same tensor: PyTorch 2.15 considers cuDNN's kernel only where both are one
        return self.starts + self.before * self.each_row

    @cached_property
    def key_places(self) -> Tensor:
        """For each key of every row, prefix included, its place in [prefix, flat batch]. *Shape:* (keys,) int64"""
        spans = np.array(self.spans, dtype=np.int64)
        keys, starts = spans + self.before, np.cumsum(spans) - spans
        within = np.arange(keys.sum()) - np.repeat(np.cumsum(keys) - keys, keys)
        places = np.where(within < self.before, within, within + np.repeat(starts, keys))
        return move(torch.from_numpy(places), self.device)


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def packed(rows: Sequence[Sequence[int]], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Lay rows out without padding.

    :param rows: token ids of each row, without those of the prefix.
    :param device: where the network is.
    :param prefix: what stands before every row.
    """
    return packed_to(list(map(len, rows)), device, prefix)


def packed_to(lengths: Sequence[int], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Describe rows that the caller has already packed without padding.

    :param lengths: tokens of each row.
    :param device: where the network is.
    :param prefix: what stands before every row.
    """
    return Layout(tuple(lengths), tuple(lengths), device, prefix)


def padded(rows: Sequence[Sequence[int]], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Lay rows out with padding on their right, so that all are of one length.

    :param rows: token ids of each row, without those of the prefix.
    :param device: where the network is.
    :param prefix: what stands before every row.
    """
    lengths = list(map(len, rows))
    return padded_to(max(lengths), lengths, device, prefix)


def padded_to(span: int, lengths: Sequence[int], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Describe rows that the caller has already padded.

    :param span: tokens of each row with its padding.
    :param lengths: tokens of each row without.
    :param device: where the network is.
    :param prefix: what stands before every row.
    """
    return Layout(tuple(lengths), (span,) * len(lengths), device, prefix)


def flat_ids(rows: Sequence[Sequence[int]], layout: Layout, pad_id: int) -> Tensor:
    """
    Write the rows' ids where the layout wants them.

    :param rows: token ids of each row.
    :param layout: made of the same rows.
    :param pad_id: what stands in padding; it changes nothing.
    :returns: *Shape:* (tokens,) int64, on the layout's device.
    """
    flat = array("q")  # 64 bits; torch.tensor takes ten times as long to read a list
    for row, span in zip(rows, layout.spans, strict=True):
        flat.extend(row)
        if span > len(row):
            flat.extend([pad_id] * (span - len(row)))
    return move(torch.frombuffer(flat, dtype=torch.int64), layout.device)
