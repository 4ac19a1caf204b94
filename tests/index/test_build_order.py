"""Files in hostile orders: the newest record of an id counts, withdrawn ones go, and only what is new is embedded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bmretriever_integrations.index import build_index, delete_records


@dataclass(frozen=True)
class Citation:
    pmid: int
    title: str
    version: int | None = None
    revised: str | None = None
    journal: str = "Gut"

    def xml(self) -> str:
        version = "" if self.version is None else f' Version="{self.version}"'
        day = ""
        if self.revised is not None:
            year, month, of_month = self.revised.split("-")
            day = f"<DateRevised><Year>{year}</Year><Month>{month}</Month><Day>{of_month}</Day></DateRevised>"
        return (
            f"<PubmedArticle><MedlineCitation><PMID{version}>{self.pmid}</PMID>{day}<Article><Journal><Title>{self.journal}</Title>"
            f"</Journal><ArticleTitle>{self.title}</ArticleTitle></Article></MedlineCitation></PubmedArticle>"
        )


def write(path: Path, citations: Sequence[Citation], withdrawn: Sequence[int] = ()) -> Path:
    gone = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in withdrawn)
    content = "".join(one.xml() for one in citations) + (f"<DeleteCitation>{gone}</DeleteCitation>" if gone else "")
    path.write_text(f"<PubmedArticleSet>{content}</PubmedArticleSet>", encoding="utf-8")
    return path


OLD, NEW = Citation(1, "old", 1, "2020-01-01"), Citation(1, "new", 1, "2021-01-01")
FILLER = [Citation(number, f"other {number}", 1, "2019-01-01") for number in range(100, 107)]


@pytest.mark.parametrize(("at_once", "slots", "size"), [(True, 1, 100), (True, 1, 3), (True, 3, 1), (False, 2, 3)])
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (OLD, NEW),
        (Citation(1, "old", 1, "2022-01-01"), Citation(1, "new", 2, "2021-01-01")),  # the version counts first
        (Citation(1, "old", 9), Citation(1, "new", 10)),
    ],
)
def test_the_newest_counts_whichever_file_comes_first(
    tmp_path, portion, portion_engines, rows_in, older, newer, at_once, slots, size
) -> None:
    portion(size)
    files = {name: write(tmp_path / f"{name}.xml", [*FILLER, one]) for name, one in (("a", older), ("b", newer))}
    for order in ("ab", "ba"):
        folder, sources = tmp_path / order, [files[name] for name in order]
        for run in [sources] if at_once else [sources[:1], sources[1:]]:
            report = build_index(portion_engines(slots), run, folder)
        rows = rows_in(folder)
        assert rows["1"][0].title == "new"
        assert set(rows) == {"1", *(str(one.pmid) for one in FILLER)}
        assert report.outdated == (order == "ba") or size == 100
        assert report.undecided == 0


def test_the_same_id_thrice_in_one_chunk_and_in_the_next(tmp_path, portion, portion_engines, rows_in) -> None:
    portion(4)
    three = [Citation(1, title, 1, f"20{year}-01-01") for title, year in (("b", 21), ("newest", 23), ("c", 22))]
    source = write(tmp_path / "a.xml", [*three, FILLER[0], OLD, FILLER[1], OLD])
    engines = portion_engines(2)
    report = build_index(engines, [source], tmp_path / "i")
    assert rows_in(tmp_path / "i")["1"][0].title == "newest"
    assert (report.embedded, report.outdated, report.unchanged) == (3, 4, 0)
    assert report.corpus.records == 7


def test_undated_records_that_differ_are_taken_from_where_they_are_read_last_and_counted(
    tmp_path, portion_engines, rows_in
) -> None:
    one, two = (write(tmp_path / f"{name}.xml", [Citation(1, name, 1)]) for name in ("first", "second"))
    report = build_index(portion_engines(), [one, two], tmp_path / "i")
    assert rows_in(tmp_path / "i")["1"][0].title == "second"
    assert report.undecided == 1
    lines = tmp_path / "c.jsonl"
    lines.write_text('{"_id": "a", "text": "one"}\n{"_id": "a", "text": "two"}\n', encoding="utf-8")
    report = build_index(portion_engines(), [lines], tmp_path / "j")
    assert rows_in(tmp_path / "j")["a"][0].text == "two"
    assert report.undecided == 0  # nobody expects dates of such lines


@pytest.mark.parametrize(("at_once", "size"), [(True, 1), (False, 100)])
@pytest.mark.parametrize("order", ["record first", "withdrawal first"])
@pytest.mark.parametrize(
    ("revised", "of_file", "stays"),
    [
        ("2020-01-01", "2021-01-01", False),
        ("2021-01-01", "2021-01-01", False),
        ("2022-01-01", "2021-01-01", True),
        (None, "2021-01-01", False),
        ("2022-01-01", None, False),
    ],
)
def test_a_withdrawn_record_comes_back_only_if_it_was_revised_later(
    tmp_path, portion, portion_engines, rows_in, revised, of_file, stays, order, at_once, size
) -> None:
    portion(size)
    record = write(tmp_path / "record.xml", [*FILLER[1:], Citation(1, "x", 1, revised)])
    withdrawal = write(tmp_path / "withdrawal.xml", [Citation(100, "y", 2, of_file)], [1])
    sources = [record, withdrawal] if order == "record first" else [withdrawal, record]
    reports = []
    for run in [sources] if at_once else [[one] for one in sources]:
        reports.append(build_index(portion_engines(), run, tmp_path / "i"))
    assert ("1" in rows_in(tmp_path / "i")) == stays
    assert {str(one.pmid) for one in FILLER} <= set(rows_in(tmp_path / "i"))
    gone = sum(report.withdrawn for report in reports), sum(report.held_back for report in reports)
    assert gone == ((0, 0) if stays else (1, 0) if order == "record first" else (0, 1))


def test_withdrawals_of_a_source_that_a_limit_cuts_still_count(tmp_path, portion_engines, rows_in) -> None:
    first = write(tmp_path / "1.xml", [Citation(1, "old", 1, "2018-01-01")])
    second = write(tmp_path / "2.xml", FILLER, [1])
    build_index(portion_engines(), [first, second], tmp_path / "i", limit=3)
    assert set(rows_in(tmp_path / "i")) == {"100", "101"}
    engines = portion_engines()
    report = build_index(engines, [first, second], tmp_path / "i")  # the second was not read whole
    assert (report.not_read_again, report.records, len(engines.texts)) == (["1.xml"], 7, 5)


def test_a_change_of_metadata_alone_keeps_the_vector_and_asks_no_engine(
    tmp_path, portion, portion_engines, rows_in
) -> None:
    portion(3)
    build_index(portion_engines(), [write(tmp_path / "1.xml", [*FILLER, OLD])], tmp_path / "i")
    before = rows_in(tmp_path / "i")
    changed = Citation(1, "old", 1, "2020-02-02", "Lancet")
    engines = portion_engines()
    report = build_index(engines, [write(tmp_path / "2.xml", [changed])], tmp_path / "i")
    record, vector, source = rows_in(tmp_path / "i")["1"]
    assert (record.metadata.journal, source) == ("Lancet", "2.xml")
    assert vector == before["1"][1]
    assert (report.updated, report.embedded, engines.texts) == (1, 0, [])


def test_metadata_may_change_while_the_vector_is_still_being_made(tmp_path, portion, portion_engines, rows_in) -> None:
    portion(1)
    changes = [Citation(1, "same", 1, f"2020-01-0{day}", f"Journal {day}") for day in range(1, 9)]
    engines = portion_engines(4)
    report = build_index(engines, [write(tmp_path / "1.xml", changes)], tmp_path / "i")
    assert rows_in(tmp_path / "i")["1"][0].metadata.journal == "Journal 8"
    assert (report.embedded, report.updated, len(engines.texts)) == (1, 7, 1)


def plain_loop(files: Sequence[tuple[Sequence[Citation], Sequence[int]]]) -> dict[str, Citation]:
    """What must be in an index of dated citations, by the rules alone."""
    newest: dict[int, Citation] = {}
    withdrawn: dict[int, str] = {}
    for citations, gone in files:
        day = max(str(one.revised) for one in citations)
        withdrawn |= {pmid: max(day, withdrawn.get(pmid, "")) for pmid in gone}
        for one in citations:
            if one.pmid not in newest or (one.version, one.revised) > (
                newest[one.pmid].version,
                newest[one.pmid].revised,
            ):
                newest[one.pmid] = one
    return {
        str(pmid): one for pmid, one in newest.items() if pmid not in withdrawn or str(one.revised) > withdrawn[pmid]
    }


@pytest.mark.parametrize("seed", range(4))
def test_any_order_gives_what_a_plain_loop_gives(tmp_path, portion, portion_engines, rows_in, seed) -> None:
    draw = random.Random(seed)
    portion(draw.randint(1, 7))
    days = iter(
        draw.sample(
            [f"20{year}-0{month}-1{day}" for year in range(10, 24) for month in range(1, 9) for day in range(9)], 200
        )
    )
    files = [
        (
            [Citation(pmid, f"{pmid} {draw.randint(0, 2)}", 1, next(days)) for pmid in draw.choices(range(1, 12), k=8)],
            draw.sample(range(1, 12), draw.choice((0, 0, 1, 2))),
        )
        for _ in range(7)
    ]
    sources = [write(tmp_path / f"{number}.xml", *content) for number, content in enumerate(files)]
    order = draw.sample(range(len(files)), len(files))
    while order:
        run = [sources[order.pop()] for _ in range(min(len(order), draw.randint(1, 3)))]
        build_index(portion_engines(draw.randint(1, 4)), run, tmp_path / "i")
    expected = {key: (one.title, one.revised) for key, one in plain_loop(files).items()}
    found = {key: (record.title, record.metadata.revised) for key, (record, *_) in rows_in(tmp_path / "i").items()}
    assert found == expected


@pytest.mark.parametrize("change", ["deleted", "changed", "stopped"])
def test_of_files_of_json_lines_the_one_that_is_named_last_counts_whatever_was_read_again(
    tmp_path, portion_engines, rows_in, monkeypatch, change
) -> None:
    one, two, folder = tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "i"
    one.write_text('{"_id": "a", "text": "of 1"}\n{"_id": "b", "text": "b"}\n', encoding="utf-8")
    two.write_text('{"_id": "a", "text": "of 2"}\n', encoding="utf-8")
    build_index(portion_engines(), [one, two], folder)
    if change == "deleted":
        delete_records(folder, ["b"])
    else:
        one.write_text('{"_id": "a", "text": "new of 1"}\n{"_id": "b", "text": "b"}\n', encoding="utf-8")
    if change == "stopped":
        engines, calls = portion_engines(), []
        submit = engines.submit_passages

        def failing(*job):
            calls.append(job)
            if len(calls) == 2:  # the second file's
                raise FloatingPointError
            return submit(*job)

        monkeypatch.setattr(engines, "submit_passages", failing)
        with pytest.raises(FloatingPointError):
            build_index(engines, [one, two], folder)
    build_index(portion_engines(), [one, two], folder)
    assert {key: row[0].text for key, row in rows_in(folder).items()} == {"a": "of 2", "b": "b"}
    again = build_index(portion_engines(), [one, two], folder)
    assert again.not_read_again == ["1.jsonl", "2.jsonl"]
