"""Which record of an id counts: the last one, unless PubMed withdrew it afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


class Supersession:
    """Takes the ids in reading order. Sixteen bytes a record, so that all of PubMed fits into 600 MB."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def add(self, record_id: str) -> None:
        """
        Take the next row's id.

        :param record_id: PMID or ``_id``.
        """
        self._digests += _digest(record_id)

    def hidden(self, deleted: Mapping[str, int]) -> tuple[Rows, Rows]:
        """
        Find the rows that no longer count.

        :param deleted: withdrawn id -> rows that had been read before its withdrawal.
        :returns: rows replaced by a later one of their id, and rows withdrawn; each ascending.
        """
        keys = np.frombuffer(bytes(self._digests) + b"".join(map(_digest, deleted)), dtype="<u8").reshape(-1, 2)
        rows = len(keys) - len(deleted)
        # row r stands at instant 2r + 1, a withdrawal after p rows at 2p: after row p - 1, before row p
        withdrawals = np.fromiter(deleted.values(), np.int64, len(deleted)) * 2
        instants = np.concatenate([np.arange(rows, dtype=np.int64) * 2 + 1, withdrawals])
        order = np.lexsort((instants, keys[:, 0], keys[:, 1]))
        followed = (keys[order[:-1]] == keys[order[1:]]).all(axis=1)
        earlier, later = order[:-1][followed], order[1:][followed]
        earlier, later = earlier[earlier < rows], later[earlier < rows]
        return np.sort(earlier[later < rows]), np.sort(earlier[later >= rows])


def _digest(record_id: str) -> bytes:
    return hashlib.blake2b(record_id.encode("utf-8"), digest_size=16).digest()
