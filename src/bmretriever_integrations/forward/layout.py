"""Lay rows of token ids out in one flat batch: where each token lies, and to which keys it may attend."""

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
    """The keys and values of the first tokens of every row of a batch, computed once for all rows."""

    ids: tuple[int, ...]
    """Token ids of the prefix."""
    layers: tuple[KeysAndValues, ...]
    """Keys and values of each layer."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Group:
    """Neighbouring rows of the same length, for which PyTorch's attention needs one call and no mask."""

    tokens: slice
    """The places of its tokens in the flat batch."""
    first_row: int
    """Number of its first row in the batch."""
    rows: int
    """Number of its rows."""
    length: int
    """Tokens of each row, padding included."""


@dataclass(eq=False)
class Layout:
    """
    One flat batch: the tokens of all rows lie one after another. Every row may follow the same shared prefix.

    In a packed batch, a row's span is its own length. In a padded batch, it is the length of the longest row, and the tokens
    after a row's last token are padding.
    """

    lengths: tuple[int, ...]
    """Real tokens of each row, without the prefix."""
    spans: tuple[int, ...]
    """Tokens of each row in the flat batch, padding included."""
    device: torch.device
    """The network's device."""
    prefix: Prefix | None = None
    """The shared prefix, or None."""
    kept: list[KeysAndValues] | None = None
    """A list to which each layer appends its keys and values; None if they are not kept."""
    is_resizable: bool = False
    """Whether :meth:`resize` may give the only row fewer tokens than its span."""
    tokens: int = field(init=False)
    """Number of tokens of the flat batch, padding included."""
    before: int = field(init=False)
    """Number of tokens of the shared prefix."""
    starts: Tensor = field(init=False)
    """The place of each row's first token, and the end of the last row. *Shape:* (rows + 1,) int32"""
    last: Tensor = field(init=False)
    """The place of each row's last real token. *Shape:* (rows,) int64"""
    positions: Tensor = field(init=False)
    """Each token's position in its sequence, prefix included. *Shape:* (1, tokens) int64"""
    groups: tuple[Group, ...] = field(init=False)
    """The groups of neighbouring rows with equal spans."""
    _masks: dict[tuple[int, int, int | None, torch.dtype], Tensor] = field(init=False, default_factory=dict)

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
        Change the number of tokens of the only row. Only the tensors on the device change, because a recorded graph reads them.

        :param length: the number of tokens without the prefix; at most the row's span.
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
        """The boundaries of the queries where each row has one query. *Shape:* (rows + 1,) int32"""
        return torch.arange(len(self.spans) + 1, dtype=torch.int32, device=self.device)

    @cached_property
    def key_starts(self) -> Tensor:
        """The place of each row's first key where every row has a copy of the prefix. *Shape:* (rows + 1,) int32"""
        if self.prefix is None:
            return self.starts  # the same tensor, because PyTorch 2.15 considers cuDNN's kernel only then
        return self.starts + self.before * self.each_row

    @cached_property
    def key_places(self) -> Tensor:
        """The place of each row's keys, prefix included, in the prefix followed by the flat batch. *Shape:* (keys,) int64"""
        spans = np.array(self.spans, dtype=np.int64)
        keys, starts = spans + self.before, np.cumsum(spans) - spans
        within = np.arange(keys.sum()) - np.repeat(np.cumsum(keys) - keys, keys)
        places = np.where(within < self.before, within, within + np.repeat(starts, keys))
        return move(torch.from_numpy(places), self.device)

    def mask(self, queries: int, keys: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """
        Make the mask for queries that belong to the last of the keys. Every layer asks for the same ones, so they are kept.

        :param queries: the number of queries.
        :param keys: the number of keys.
        :param window: the number of tokens to which a token attends, itself included; None means all earlier tokens.
        :param dtype: the number type of the queries.
        :returns: *Shape:* (queries, keys). On the CPU it is added to the scores; elsewhere, True allows attention.
        """
        wanted = queries, keys, window, dtype
        if wanted not in self._masks:
            distance = torch.arange(keys - queries, keys, device=self.device)[:, None]
            distance = distance - torch.arange(keys, device=self.device)
            seen = distance >= 0 if window is None else (distance >= 0) & (distance < window)
            on_cpu = self.device.type == "cpu"
            self._masks[wanted] = (
                seen.new_zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf) if on_cpu else seen
            )
        return self._masks[wanted]


def move(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def packed(rows: Sequence[Sequence[int]], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Lay rows out without padding.

    :param rows: token ids of each row, without the prefix.
    :param device: the network's device.
    :param prefix: the prefix of every row, or None.
    """
    return packed_to(list(map(len, rows)), device, prefix)


def packed_to(lengths: Sequence[int], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Describe rows that the caller has already packed without padding.

    :param lengths: tokens of each row.
    :param device: the network's device.
    :param prefix: the prefix of every row, or None.
    """
    return Layout(tuple(lengths), tuple(lengths), device, prefix)


def padded(rows: Sequence[Sequence[int]], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Lay rows out with padding on their right, so that all rows have the same length.

    :param rows: token ids of each row, without the prefix.
    :param device: the network's device.
    :param prefix: the prefix of every row, or None.
    """
    lengths = list(map(len, rows))
    return padded_to(max(lengths), lengths, device, prefix)


def padded_to(span: int, lengths: Sequence[int], device: torch.device, prefix: Prefix | None = None) -> Layout:
    """
    Describe rows that the caller has already padded.

    :param span: tokens of each row with padding.
    :param lengths: tokens of each row without padding.
    :param device: the network's device.
    :param prefix: the prefix of every row, or None.
    """
    return Layout(tuple(lengths), (span,) * len(lengths), device, prefix)


def flat_ids(rows: Sequence[Sequence[int]], layout: Layout, pad_id: int) -> Tensor:
    """
    Write the rows' ids to their places in the layout.

    :param rows: token ids of each row.
    :param layout: the layout of the same rows.
    :param pad_id: the id for padding; it does not change the result.
    :returns: *Shape:* (tokens,) int64, on the layout's device.
    """
    flat = array("q")  # 64-bit integers; torch.tensor takes ten times as long to read a list
    for row, span in zip(rows, layout.spans, strict=True):
        flat.extend(row)
        if span > len(row):
            flat.extend([pad_id] * (span - len(row)))
    return move(torch.frombuffer(flat, dtype=torch.int64), layout.device)
