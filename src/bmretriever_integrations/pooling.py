"""Hidden state -> vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def last_token(hidden: Tensor, lengths: Tensor) -> Tensor:
    """
    Take each row's last real token, which is EOS.

    :param hidden: final hidden state, padded on the right. *Shape:* (rows, length, width)
    :param lengths: real tokens of each row. *Shape:* (rows,) int64
    :returns: *Shape:* (rows, width), the dtype of ``hidden``.
    """
    import torch

    return hidden[torch.arange(hidden.shape[0], device=hidden.device), lengths - 1]


def finish(vectors: NDArray[np.float32], normalize: bool, numbers: Sequence[int] | None = None) -> NDArray[np.float32]:
    """
    Check vectors, and scale them to unit length where that is asked for.

    :param vectors: *Shape:* (n, width) float32; scaled in place.
    :param normalize: scale each row to L2 norm 1. The released models' scores are dot products of un-normalised vectors.
    :param numbers: what to call each row in a message; None: by its place.
    :returns: the same array.
    :raises FloatingPointError: if a value is NaN or infinite; names the rows.
    """
    import numpy as np

    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = sorted(row if numbers is None else numbers[row] for row in np.flatnonzero(~finite).tolist())
        raise FloatingPointError(
            f"{len(rows)} of {len(vectors)} vectors hold NaN or infinity (rows {', '.join(map(str, rows[:5]))}"
            f"{', ...' if len(rows) > 5 else ''}). float16 overflows on some backbones: use dtype='bfloat16' or 'float32'; "
            "if that does not help, the checkpoint's weights are damaged."
        )
    if normalize:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors
