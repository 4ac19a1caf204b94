"""Makes an index of a table that a job on many machines wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bmretriever_integrations.corpus.records import CorpusReport
from bmretriever_integrations.index.checksums import update_checksums
from bmretriever_integrations.index.ingest.doubles import remove_doubles
from bmretriever_integrations.index.ingest.job_rows import JOB_COLUMNS, MADE_BY, MadeBy
from bmretriever_integrations.index.ingest.portions import portion_size
from bmretriever_integrations.index.ingest.proof import prove_rows
from bmretriever_integrations.index.ingest.report import BuildReport
from bmretriever_integrations.index.manifest import NAME, IndexMismatch, Manifest
from bmretriever_integrations.index.places.place import Place
from bmretriever_integrations.index.places.where import place_of
from bmretriever_integrations.index.schema import schema
from bmretriever_integrations.index.search.question_engine import QuestionEngine
from bmretriever_integrations.index.table import FILES, create_table, open_table, optimize
from bmretriever_integrations.versions import NAME as PACKAGE
from bmretriever_integrations.versions import versions_of

ROWS_AT_ONCE = 65_536
Say = Callable[[str], None]


def index_table(
    folder: str | Path,
    *,
    model: str | Path | None = None,
    device: str | None = None,
    say: Say = lambda _line: None,
) -> BuildReport:
    """
    Make an index of a table that :class:`~bmretriever_integrations.ray_data.BMRetrieverIndexRows` filled.

    Every row says by which engine it was made; all must say the same, and a sample is embedded again and compared. Of several
    rows of an id the newest stays. Stopped at any moment, the same call does it again.

    :param folder: the index, or a URL such as ``s3://bucket/papers``; the job wrote its table, ``records.lance`` in it.
    :param model: where the model is now; None takes the name in the table.
    :param device: the device for the sample; None takes CUDA, then MPS, then the CPU.
    :param say: is told what is going on.
    :returns: the number of records, and what became of several rows of an id.
    :raises FileNotFoundError: if there is no table, or if the model is not where it was.
    :raises FileExistsError: if the folder is an index already.
    :raises IndexMismatch: if rows were made in different ways, or are not what the model makes of their records.
    :raises ValueError: if the table was written by something else, or is empty.
    :raises BlockingIOError: if another process writes into the folder.
    """
    target = place_of(folder)
    with target.explained():
        if (table := open_table(target)) is None:
            raise FileNotFoundError(f"{target} holds no table ({FILES}); a job writes one, see docs/many-machines.md")
        with target.only_writer():
            return _index(target, table, model, device, say)


def _index(target: Place, table: Any, model: str | Path | None, device: str | None, say: Say) -> BuildReport:
    _check_columns(target, table)
    say("reading by which engine each row was made")
    ids, made = _read(table)
    manifest = _manifest(target, made)
    _prove(table, manifest, QuestionEngine(target, manifest, model, device), say)
    report = BuildReport(CorpusReport())
    target.check_writer()  # before the first change, and before the columns go that all of this rests on
    remove_doubles(table, ids, report)
    del ids
    say("making the indices of words and filters")
    optimize(table)  # before the indices, which would be written again
    create_table(target, manifest.width, manifest.vector_type)
    say("computing checksums")
    update_checksums(target, manifest, progress=True)  # of the large files, which no later step changes
    manifest.write(target)  # first, so that the columns which prove it are here for as long as it is not there
    target.check_writer()
    table.drop_columns(list(JOB_COLUMNS))
    update_checksums(target, manifest)
    manifest.complete = True
    manifest.write(target)
    report.records = table.count_rows()
    return report


def _check_columns(folder: Place, table: Any) -> None:
    """Refuse an index, and a table that something else wrote."""
    there = set(table.schema.names)
    wanted = {*schema(1, "float16").names, *JOB_COLUMNS}
    if NAME in folder.names() and not there & set(JOB_COLUMNS):
        raise FileExistsError(
            f"{folder} is an index already; `bmretriever index SOURCE --to {folder}` brings it up to date"
        )
    if there != wanted:
        lacking, other = (", ".join(sorted(names)) or "none" for names in (wanted - there, there - wanted))
        raise ValueError(
            f"the table of {folder} was not written with BMRetrieverIndexRows (columns that it lacks: {lacking}; others that it "
            f"has: {other}). Write it anew as docs/many-machines.md says"
        )
    if not table.count_rows():
        raise ValueError(f"the table of {folder} holds no row")


def _read(table: Any) -> tuple[Any, set[str | None]]:
    """Read the ids of all rows, and every value of the column that says what made them."""
    import pyarrow as pa

    ids, made = [], set[str | None]()
    for batch in table.search().select(["id", MADE_BY]).to_batches(ROWS_AT_ONCE):
        ids.append(batch.column("id"))
        made.update(batch.column(MADE_BY).unique().to_pylist())
    return pa.chunked_array(ids), made


def _manifest(folder: Place, made: set[str | None]) -> Manifest:
    """
    Begin the manifest of the index.

    :raises IndexMismatch: if the rows were made in different ways; names the first difference.
    """
    if None in made:
        raise ValueError(f"the table of {folder} has rows that do not say what made them; write it anew")
    ways = [MadeBy.of_text(text) for text in sorted(filter(None, made))]
    first = ways[0]
    for one in ways[1:]:
        ours, theirs = first.same_in_all, one.same_in_all
        if names := [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]:
            raise IndexMismatch(
                f"the rows of {folder} were made in different ways: some with {names[0]}={ours.get(names[0])!r}, others with "
                f"{names[0]}={theirs.get(names[0])!r}. Write the table anew with the same model, settings and packages everywhere"
            )
    tokens = min(one.batch_tokens for one in ways)
    return Manifest(
        first.encoder,
        tokens,
        portion_size(int(first.encoder["width"]), tokens),
        vector_type=first.vector_type,
        vector_error=max(one.vector_error for one in ways),
        versions={**versions_of((PACKAGE, "numpy")), **first.versions},
    )


def _prove(table: Any, manifest: Manifest, engine: QuestionEngine, say: Say) -> None:
    say("embedding a sample of the rows again")
    with engine.load() as encoder:
        before = encoder.cut_texts
        count = prove_rows(table, encoder, manifest.vector_type, quantized="quantization" in manifest.encoder)
        cut = encoder.cut_texts - before
    say(f"{count:,} rows are what the model makes of their texts")
    if cut:
        say(
            f"cut: {cut:,} of these are longer than the model reads; what comes after is in no vector. Split long texts"
        )
