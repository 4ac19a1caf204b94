"""Opens an index and searches it by vectors, by words, or by both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.answers import Mode, Question, answer
from bmretriever_integrations.index.filters import condition
from bmretriever_integrations.index.hits import Hits
from bmretriever_integrations.index.manifest import Manifest
from bmretriever_integrations.index.question_engine import QuestionEngine
from bmretriever_integrations.index.ranking import Wanted, vectors_of
from bmretriever_integrations.index.schema import RECORD, record_of
from bmretriever_integrations.index.snapshot import Snapshots

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder
    from bmretriever_integrations.index.filters import AnyFilters

MODES = ("hybrid", "vector", "text")


class SearchIndex:
    """
    A folder that :func:`~bmretriever_integrations.index.build_index` wrote, open for searching.

    Many threads may use one at the same time. Each call sees the last state that was committed before it, even while another
    process writes to the folder.
    """

    def __init__(self, snapshots: Snapshots, engine: QuestionEngine, folder: Path) -> None:
        """Use :meth:`open`."""
        self.folder = folder
        self._snapshots, self._engine = snapshots, engine

    @classmethod
    def open(
        cls, folder: str | Path, *, model: str | Path | None = None, device: str | None = None, verify: bool = False
    ) -> SearchIndex:
        """
        Open an index. In one of up to 500 MB the checksums of all files are compared, in a larger one their sizes.

        :param folder: where it is.
        :param model: where the model is now; None takes the name in the manifest. It is loaded when a question is embedded.
        :param device: the device for the model; None takes CUDA, then MPS, then the CPU.
        :param verify: compare the checksums of an index of any size.
        :raises FileNotFoundError: if there is no index.
        :raises DamagedIndex: if a file is missing or not the one that was written; says which, and what to do.
        :raises ImportError: if LanceDB is missing.
        """
        path = Path(folder)
        snapshots = Snapshots(path)
        return cls(snapshots, QuestionEngine(path, snapshots.first, model, device), path)

    @property
    def manifest(self) -> Manifest:
        """What the index says of itself, in its last committed state."""
        return self._snapshots.now().manifest

    @property
    def tuned(self) -> bool:
        """Whether searches use the approximate index that ``tune`` made."""
        return self._snapshots.now().tuned is not None

    def __len__(self) -> int:
        return int(self._snapshots.now().table.count_rows())

    def search(
        self,
        query: str | Vectors,
        top_k: int = 5,
        *,
        mode: Mode | None = None,
        filters: AnyFilters = None,
        instruction: str | None = None,
        include_retracted: bool = False,
    ) -> Hits:
        """
        Find the records that fit a question best.

        :param query: a question, or a vector from the engine that :meth:`open_encoder` opens. *Shape:* (width,)
        :param top_k: how many; if fewer records fulfil the filters, all of these.
        :param mode: "hybrid" compares vectors and words, "vector" vectors alone, "text" words alone, for which no model is
            needed. None takes "hybrid" for a question and "vector" for a vector.
        :param filters: conditions that every hit fulfils; see :class:`~bmretriever_integrations.index.Filters`.
        :param instruction: the task of the question: a task key or a sentence; None takes the engine's own.
        :param include_retracted: show retracted papers, too; ``metadata["retracted"]`` marks them.
        :returns: the hits, best first; equal scores are sorted by id.
        :raises ValueError: if an argument is out of its range, or the vector has another width or is not finite.
        :raises FileNotFoundError: if the question must be embedded and the model is not where it was.
        :raises IndexMismatch: if the model has other weights than the one with which the index was made.
        """
        return self.search_many(
            [query],
            top_k,
            mode=mode,
            filters=filters,
            instruction=instruction,
            include_retracted=include_retracted,
        )[0]

    def search_many(
        self,
        queries: Sequence[str] | Sequence[Vectors] | Vectors,
        top_k: int = 5,
        *,
        mode: Mode | None = None,
        filters: AnyFilters = None,
        instruction: str | None = None,
        include_retracted: bool = False,
    ) -> list[Hits]:
        """
        Find the records that fit each of many questions: the same hits as one :meth:`search` each, in less time.

        :param queries: questions, or vectors; not both.
        :param top_k: see :meth:`search`, as for the other parameters and the errors.
        :param mode: see :meth:`search`.
        :param filters: see :meth:`search`.
        :param instruction: see :meth:`search`.
        :param include_retracted: see :meth:`search`.
        :returns: the hits of each question, in order.
        """
        wanted = _wanted(top_k, filters, include_retracted)
        asked = list(queries)
        are_words = [isinstance(query, str) for query in asked]
        if any(are_words) and not all(are_words):
            raise ValueError("all queries must be questions, or all must be vectors; got both")
        chosen = _mode(mode, all(are_words))
        vectors: Sequence[Any] = [None] * len(asked)
        if all(are_words):
            for number, query in enumerate(asked):
                if not str(query).strip():
                    raise ValueError("the question is empty" if len(asked) == 1 else f"question {number} is empty")
            if chosen != "text" and asked:
                vectors = self._engine.get().encode_queries(asked, instruction)
            questions = [Question(str(words), vector) for words, vector in zip(asked, vectors, strict=True)]
        else:
            questions = [Question(vector=self._checked(query)) for query in asked]
        return list(answer(self._snapshots.now(), questions, chosen, wanted))

    def more_like(
        self,
        record_id: str,
        top_k: int = 5,
        *,
        mode: Mode | None = None,
        filters: AnyFilters = None,
        include_retracted: bool = False,
    ) -> Hits:
        """
        Find the records that are most like a record of the index, without itself. No model is needed.

        :param record_id: its id. Its stored vector is the question, and its title the words.
        :param top_k: see :meth:`search`, as for the other parameters.
        :param mode: see :meth:`search`; None takes "hybrid".
        :param filters: see :meth:`search`.
        :param include_retracted: see :meth:`search`.
        :raises ValueError: if there is no such record.
        """
        wanted, snapshot = _wanted(top_k, filters, include_retracted), self._snapshots.now()
        rows = snapshot.table.search().where(_ids([record_id])).select(["title", "vector"]).to_arrow()
        if rows.num_rows == 0:
            raise ValueError(_unknown([record_id], self.folder))
        title = rows.column("title")[0].as_py()
        vector = vectors_of(rows, snapshot.manifest.width)[0]
        return next(answer(snapshot, [Question(title, vector, record_id)], _mode(mode, True), wanted))

    def get(self, ids: Sequence[str]) -> list[Record]:
        """
        Read records.

        :param ids: their ids.
        :returns: the records, in the same order.
        :raises ValueError: if there is no record of an id.
        """
        table, found = self._snapshots.now().table, dict[str, Record]()
        for start in range(0, len(ids), 1000):
            rows = table.search().where(_ids(ids[start : start + 1000])).select(list(RECORD)).to_arrow()
            found |= {row["id"]: record_of(row) for row in rows.to_pylist()}
        if missing := [one for one in ids if one not in found]:
            raise ValueError(_unknown(missing, self.folder))
        return [found[one] for one in ids]

    def entries(self) -> Iterator[tuple[Record, NDArray[np.float32]]]:
        """Give out every record with its vector (*Shape:* (width,) float32), to fill a store with."""
        snapshot = self._snapshots.now()
        for batch in snapshot.table.search().select([*RECORD, "vector"]).to_batches(1024):
            vectors = vectors_of(batch, snapshot.manifest.width)
            rows = batch.select(list(RECORD)).to_pylist()
            yield from ((record_of(row), vector) for row, vector in zip(rows, vectors, strict=True))

    def open_encoder(self) -> BMRetrieverEncoder:
        """
        Load the engine that made the vectors, for a caller who closes it.

        :raises FileNotFoundError: if its model is not where it was.
        :raises IndexMismatch: if the model has other weights.
        """
        return self._engine.load()

    def close(self) -> None:
        """Close the engine and the table. A later call opens them again."""
        self._engine.close()
        self._snapshots.close()

    def __enter__(self) -> SearchIndex:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _checked(self, query: Any) -> Vectors:
        vector = np.ascontiguousarray(query, np.float32)
        width = self.manifest.width
        if vector.shape != (width,):
            raise ValueError(f"a vector for this index has shape ({width},), got {vector.shape}")
        if not np.isfinite(vector).all():
            raise ValueError("the vector of the question has values that are not finite")
        return vector


def _wanted(top_k: int, filters: AnyFilters, include_retracted: bool) -> Wanted:
    if top_k < 1:
        raise ValueError(f"top_k must be at least 1, got {top_k}")
    return Wanted(top_k, condition(filters), not include_retracted)


def _mode(mode: Mode | None, are_words: bool) -> Mode:
    if mode is not None and mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}; got {mode!r}")
    if not are_words and mode in ("hybrid", "text"):
        raise ValueError(f"a vector has no words to search by: use mode 'vector', or a question for mode {mode!r}")
    return mode or ("hybrid" if are_words else "vector")


def _ids(ids: Sequence[str]) -> str:
    quoted = ", ".join("'" + one.replace("'", "''") + "'" for one in ids)
    return f"id IN ({quoted})"


def _unknown(ids: Sequence[str], folder: Path) -> str:
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{folder} has no record {', '.join(map(repr, ids[:5]))}{more}"
