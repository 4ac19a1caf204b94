"""Makes the rows of an index of batches of records, for a job that writes a Lance table from many machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from bmretriever_integrations.checkpoints import DEFAULT_MODEL
from bmretriever_integrations.corpus.json_records import record_of_values
from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.ingest.job_rows import PLACE, MadeBy, job_rows
from bmretriever_integrations.index.schema import RECORD, VectorType, record_of
from bmretriever_integrations.parallel.jobs import steady_batch_tokens
from bmretriever_integrations.ray_data.batch_embedder import BMRetrieverBatchEmbedder
from bmretriever_integrations.settings import MAX_LENGTH
from bmretriever_integrations.versions import OF_VECTORS, versions_of


class BMRetrieverIndexRows:
    """
    Makes the rows of an index of a batch of records.

    .. code-block:: python

        papers = read_sources(["pubmed26n0001.xml.gz", "pubmed26n0002.xml.gz"])
        rows = papers.map_batches(
            BMRetrieverIndexRows,
            fn_constructor_kwargs={"model": "410M"},
            batch_size=4096,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=8),
            num_gpus=1,
        )
        lance_ray.write_lance(rows, "papers-index/records.lance")

    :func:`~bmretriever_integrations.index.index_table` then makes the table an index. All arguments are plain values, the first
    batch loads the model, and a pickle of this object contains no weights.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        revision: str | None = None,
        device: str | None = None,
        dtype: str = "auto",
        quantization: str | None = None,
        max_length: int = MAX_LENGTH,
        vector_type: VectorType = "float16",
    ) -> None:
        """
        Store the settings; nothing is loaded yet.

        :class:`~bmretriever_integrations.BMRetrieverEncoder` explains the engine's settings in full.

        :param model: a hub id, a short name, or a folder that every machine has.
        :param revision: commit, branch or tag on the hub.
        :param device: None takes the GPU that Ray gave the actor, else the CPU.
        :param dtype: "auto", "float32", "bfloat16" or "float16".
        :param quantization: the number type of the linear layers: "int8", "fp8", or None for ``dtype``.
        :param max_length: tokens of a sequence.
        :param vector_type: the number type in which the index stores the vectors: "float16", or "float32" where float16 loses
            more than a thousandth of a vector.
        :raises ValueError: if a setting is out of range.
        """
        if vector_type not in ("float16", "float32"):
            raise ValueError(f"vector_type must be float16 or float32, got {vector_type!r}")
        self.vector_type = vector_type
        self._embedder = BMRetrieverBatchEmbedder(
            model,
            title_column="title",
            revision=revision,
            device=device,
            dtype=dtype,
            quantization=quantization,
            max_length=max_length,
        )

    def __call__(self, batch: Any) -> Any:
        """
        Embed a batch.

        :param batch: a pyarrow table: of :func:`read_sources`, or of any columns, which are read like the keys of a JSON line.
        :returns: the rows, a pyarrow table.
        :raises TypeError: if the batch is of another kind.
        :raises ValueError: if a row is no record, e.g. has no id, or if float16 loses too much of a vector.
        """
        import pyarrow as pa

        if not isinstance(batch, pa.Table):
            raise TypeError(f"a batch must be a pyarrow table, got {type(batch).__name__}: use batch_format='pyarrow'")
        given = batch.to_pylist()
        whole = set(RECORD) <= set(batch.column_names)
        records = [record_of(row) if whole else _record_of(row, number) for number, row in enumerate(given)]
        sources = [str(row.get("source") or "") if whole else "" for row in given]
        places = [row.get(PLACE) if whole else None for row in given]
        titles, texts = [record.title for record in records], [record.text for record in records]
        made_by = self._made_by()
        vectors = self._embedder({"title": titles, "text": texts})["vector"]
        return job_rows(records, vectors, sources, places, made_by)

    def _made_by(self) -> MadeBy:
        engine = self._embedder.engine()
        engine.max_batch_tokens = tokens = steady_batch_tokens(engine)
        return MadeBy(engine.identity(), versions_of(OF_VECTORS), tokens, self.vector_type, 0.0)

    def __repr__(self) -> str:
        return f"BMRetrieverIndexRows({self._embedder.settings.model!r}, vector_type={self.vector_type!r})"


def _record_of(row: Mapping[str, Any], number: int) -> Record:
    """Read a row like a JSON line."""
    record, reason = record_of_values(json.loads(json.dumps(row, default=_as_text)))
    if record is None:
        raise ValueError(f"row {number} of a batch is no record ({reason}): {row!r:.200}; leave such rows out")
    return record


def _as_text(value: object) -> str:
    """Write a value that JSON has no type for."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a column holds {type(value).__name__}, which is no fact of a record: drop it, or make it text")
