"""Opens an index and searches it by vectors, by words, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.encoder.vectors import Vectors
from bmretriever_integrations.index.checksums import check_files
from bmretriever_integrations.index.hits import Hits
from bmretriever_integrations.index.manifest import Manifest, manifest_of
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.schema import RECORD, record_of
from bmretriever_integrations.index.search.answers import Question, answer
from bmretriever_integrations.index.search.asked import (
    Mode,
    check_kind,
    check_known,
    checked_ids,
    checked_vector,
    explained,
    mode_of,
    wanted_of,
)
from bmretriever_integrations.index.search.entries import Entries
from bmretriever_integrations.index.search.question_engine import QuestionEngine
from bmretriever_integrations.index.search.ranking import vectors_of
from bmretriever_integrations.index.search.snapshot import Snapshots
from bmretriever_integrations.index.table import rows_of

if TYPE_CHECKING:
    from bmretriever_integrations.encoder import BMRetrieverEncoder


class SearchIndex(Entries):
    """
    A folder that :func:`~bmretriever_integrations.index.build_index` wrote, open for searching.

    Many threads may use one at the same time. Each call sees the last state that was committed before it, even while another
    process writes to the folder.
    """

    folder: Path | str
    """Where it is; a URL on an object store."""

    def __init__(self, snapshots: Snapshots, engine: QuestionEngine, folder: Path | str) -> None:
        """Use :meth:`open`."""
        super().__init__(snapshots)
        self.folder, self._engine = folder, engine

    @classmethod
    def open(
        cls, folder: str | Path, *, model: str | Path | None = None, device: str | None = None, verify: bool = False
    ) -> SearchIndex:
        """
        Open an index. In one of up to 500 MB the checksums of all files are compared, in a larger one and on an object store
        their sizes.

        :param folder: where it is: a folder, or a URL such as ``s3://bucket/papers-index``.
        :param model: where the model is now; None takes the name in the manifest. It is loaded when a question is embedded.
        :param device: the device for the model; None takes CUDA, then MPS, then the CPU.
        :param verify: compare the checksums of an index of any size.
        :raises FileNotFoundError: if there is no index.
        :raises DamagedIndex: if a file is missing or not the one that was written; says which, and what to do.
        :raises ConnectionError: if the object store cannot be reached or refuses the credentials.
        :raises ValueError: if it is a URL where no index can be.
        :raises ImportError: if LanceDB is missing.
        """
        place = place_of(folder)
        check_files(place, manifest_of(place), verify=verify)  # before LanceDB stumbles over what is damaged
        snapshots = Snapshots(place)
        return cls(snapshots, QuestionEngine(place, snapshots.first, model, device), place.given)

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
        filters: object = None,
        instruction: str | None = None,
        include_retracted: bool = False,
    ) -> Hits:
        """
        Find the records that fit a question best.

        :param query: a question, or a vector from the engine that :meth:`open_encoder` opens. *Shape:* (width,)
        :param top_k: how many; if fewer records fulfil the filters, all of these.
        :param mode: "hybrid" compares vectors and words, "vector" vectors alone, "text" words alone, for which no model is
            needed. None takes "hybrid" for a question and "vector" for a vector.
        :param filters: what every hit fulfils: :class:`~bmretriever_integrations.index.Filters`, Haystack's filter dictionary,
            LlamaIndex's ``MetadataFilters``, or a condition in SQL.
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
        queries: Sequence[str | Vectors] | Vectors,
        top_k: int = 5,
        *,
        mode: Mode | None = None,
        filters: object = None,
        instruction: str | None = None,
        include_retracted: bool = False,
        vectors: Sequence[Vectors] | Vectors | None = None,
    ) -> list[Hits]:
        """
        Find the records that fit each of many questions: the same hits as one :meth:`search` each, in less time.

        :param queries: questions, or vectors; not both.
        :param top_k: see :meth:`search`, as for the other parameters and the errors.
        :param mode: see :meth:`search`.
        :param filters: see :meth:`search`.
        :param instruction: see :meth:`search`.
        :param include_retracted: see :meth:`search`.
        :param vectors: the vectors of questions in words, such as those of hypothetical documents. They take the place of the
            questions' own, and no model is needed. *Shape:* (questions, width)
        :returns: the hits of each question, in order.
        """
        wanted, snapshot = wanted_of(top_k, filters, include_retracted), self._snapshots.now()
        are_words = check_kind(queries)
        asked = list(queries)
        chosen = mode_of(mode, are_words)
        if vectors is not None:
            if not are_words:
                raise ValueError("vectors are those of questions in words; here the queries themselves are vectors")
            given = [checked_vector(vector, snapshot.manifest.width) for vector in vectors]
            questions = [Question(words, vector) for words, vector in zip(asked, given, strict=True)]
        elif not are_words:
            questions = [Question(vector=checked_vector(query, snapshot.manifest.width)) for query in asked]
        elif chosen == "text":
            questions = [Question(words) for words in asked]
        else:
            made = self._engine.get().encode_queries(asked, instruction) if asked else ()
            questions = [Question(words, vector) for words, vector in zip(asked, made, strict=True)]
        with explained(filters):
            return list(answer(snapshot, questions, chosen, wanted))

    def more_like(
        self,
        record_id: str,
        top_k: int = 5,
        *,
        mode: Mode | None = None,
        filters: object = None,
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
        wanted, snapshot = wanted_of(top_k, filters, include_retracted), self._snapshots.now()
        rows = rows_of(snapshot.table, checked_ids([record_id]), ["title", "vector"])
        check_known([record_id], rows.column("id").to_pylist())
        title, vector = rows.column("title")[0].as_py(), vectors_of(rows, snapshot.manifest.width)[0]
        with explained(filters):
            return next(answer(snapshot, [Question(title, vector, record_id)], mode_of(mode, True), wanted))

    def get(self, ids: Sequence[str]) -> list[Record]:
        """
        Read records.

        :param ids: their ids.
        :returns: the records, in the same order.
        :raises ValueError: if there is no record of an id.
        """
        table, each_once = self._snapshots.now().table, list(dict.fromkeys(checked_ids(ids)))
        rows = rows_of(table, each_once, RECORD[1:]).to_pylist() if each_once else []
        found = {row["id"]: record_of(row) for row in rows}
        check_known(ids, found)
        return [found[one] for one in ids]

    def warm_up(self) -> None:
        """
        Load the engine, for which the first question that is embedded would wait otherwise.

        :raises FileNotFoundError: if its model is not where it was.
        :raises IndexMismatch: if the model has other weights.
        """
        self._engine.get()

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
