"""Full texts in an index: of each article the passages of one version stand, the newest, whatever stops a run."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bmretriever_integrations.index import build_index, delete_records
from bmretriever_integrations.index.ingest import build, writing

Texts = Mapping[str, str]
"""PMCID -> paragraphs of the article, with ``|`` between them; each is a section."""


class ThreeWords:
    """Cuts after every three words, where a model would cut by its tokens."""

    def __init__(self, engines: Any, identity: Mapping[str, Any]) -> None:
        assert engines.identity() == identity

    def split(self, text: str, title: str | None = None) -> list[str]:
        words = text.split()
        return [" ".join(words[start : start + 3]) for start in range(0, len(words), 3)]

    def shortened_title(self, title: str) -> str:
        return title


@pytest.fixture(autouse=True)
def three_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SplitterOnDemand", ThreeWords)


def jats(texts: Texts) -> str:
    def article(number: str, text: str) -> str:
        body = "".join(f"<sec><title>S</title><p>{part}</p></sec>" for part in text.split("|"))
        ids = f'<article-id pub-id-type="pmcid">{number}</article-id>'
        return f"<article><front><article-meta>{ids}</article-meta></front><body>{body}</body></article>"

    return f"<pmc-articleset>{''.join(article(*one) for one in texts.items())}</pmc-articleset>"


def write(path: Path, texts: Texts, day: str = "") -> Path:
    """Write a file; one of a package has the date of its articles."""
    if not day:
        path.write_text(jats(texts), encoding="utf-8")
        return path
    content = jats(texts).encode()
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo("PMC.xml")
        entry.size, entry.mtime = len(content), datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()
        archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def texts_in(rows_in) -> Callable[[Path], dict[str, str]]:
    """A function: folder of an index -> id without PMC -> text of each row, without its heading."""
    return lambda folder: {
        key.removeprefix("PMC"): row[0].text.removeprefix("S: ") for key, row in sorted(rows_in(folder).items())
    }


def test_a_newer_version_takes_the_place_of_all_passages(tmp_path, portion_engines, texts_in, write_jsonl) -> None:
    folder, engines = tmp_path / "i", portion_engines()
    others = write_jsonl(tmp_path / "o.jsonl", 3)
    first = write(tmp_path / "1.xml", {"PMC1": "a b c d|e f g h", "PMC12": "i"})
    build_index(engines, [first, others], folder)
    others.unlink()
    assert {key: text for key, text in texts_in(folder).items() if "#" in key} == {
        **{"1#s/1": "a b c", "1#s/2": "d", "1#s-2/1": "e f g", "1#s-2/2": "h"},
        "12#s/1": "i",
    }
    engines.texts.clear()
    report = build_index(engines, [write(tmp_path / "2.xml", {"PMC1": "a b c x"})], folder)
    assert (report.embedded, report.unchanged, report.removed, engines.texts) == (1, 1, 2, ["S: x"])
    found = texts_in(folder)
    assert len(found) == 6
    assert {key: text for key, text in found.items() if "#" in key} == {"1#s/1": "a b c", "1#s/2": "x", "12#s/1": "i"}
    assert build_index(engines, [tmp_path / "2.xml"], folder).removed == 0


def test_two_versions_right_behind_each_other_are_not_mixed(tmp_path, portion_engines, texts_in) -> None:
    many = "|".join("abcdefghijklmnop")
    both = jats({"PMC1": f"{many}|q"}).replace("</pmc-articleset>", "") + jats({"PMC1": "a|x"}).split(">", 1)[1]
    (tmp_path / "1.xml").write_text(both, encoding="utf-8")
    folder = tmp_path / "i"
    build_index(portion_engines(), [tmp_path / "1.xml"], folder)
    assert texts_in(folder) == {"1#s/1": "a", "1#s-2/1": "x"}
    build_index(portion_engines(), [write(tmp_path / "2.xml", {"PMC1": many})], folder)
    assert len(texts_in(folder)) == 16
    (tmp_path / "3.xml").write_text(f"{both}\n", encoding="utf-8")
    build_index(portion_engines(), [tmp_path / "3.xml"], folder)
    assert texts_in(folder) == {"1#s/1": "a", "1#s-2/1": "x"}


def test_an_article_leaves_passages_of_json_lines_and_is_deleted_by_its_id(tmp_path, portion_engines, rows_in) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text('{"_id": "PMC1#1", "text": "mine"}\n{"_id": "PMC10#1", "text": "mine"}\n', encoding="utf-8")
    folder = tmp_path / "i"
    build_index(portion_engines(), [own], folder)
    article = write(tmp_path / "1.xml", {"PMC1": "|".join("abcdefghijklmnop"), "PMC10": "a"})
    build_index(portion_engines(), [article], folder)
    assert len(rows_in(folder)) == 19
    report = delete_records(folder, ["PMC1", "PMC2", "PMC1#1"])
    assert (len(report.deleted), report.unknown, report.forgotten) == (17, ["PMC2"], ["1.xml", "own.jsonl"])
    assert set(rows_in(folder)) == {"PMC10#1", "PMC10#s/1"}


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
@pytest.mark.parametrize("together", [True, False])
def test_the_version_of_the_later_date_stands_in_whatever_order_packages_come(
    tmp_path, portion_engines, texts_in, order, together
) -> None:
    packages = {
        "old": write(tmp_path / "old.tar.gz", {"PMC1": "a b c d e f g", "PMC2": "z"}, "2022-01-31"),
        "new": write(tmp_path / "new.tar.gz", {"PMC1": "a b x|y"}, "2022-06-17"),
    }
    folder = tmp_path / "i"
    for sources in [order] if together else [order[:1], order[1:]]:
        report = build_index(portion_engines(), [packages[name] for name in sources], folder)
    assert texts_in(folder) == {"1#s/1": "a b x", "1#s-2/1": "y", "2#s/1": "z"}
    assert (report.undecided, report.outdated if order[1] == "old" else report.removed) == (
        0,
        3 if order[1] == "old" else 2,
    )


def test_without_dates_the_file_that_is_named_last_counts_also_after_a_change_of_the_first(
    tmp_path, portion_engines, texts_in
) -> None:
    one, two = write(tmp_path / "1.xml", {"PMC1": "a b c d"}), write(tmp_path / "2.xml", {"PMC1": "x"})
    folder = tmp_path / "i"
    build_index(portion_engines(), [one, two], folder)
    assert texts_in(folder) == {"1#s/1": "x"}
    write(one, {"PMC1": "a b c d e f g", "PMC3": "new"})
    build_index(portion_engines(), [one, two], folder)
    assert texts_in(folder) == {"1#s/1": "x", "3#s/1": "new"}


def test_versions_that_follow_each_other_closely_are_all_followed(tmp_path, portion, portion_engines, texts_in) -> None:
    """They are compared with what is still being embedded or written."""
    portion(3)
    draw, sources, last = random.Random(3), [], dict[str, str]()
    for number in range(9):
        texts = {
            f"PMC{draw.randrange(4)}": " ".join(draw.choices("abcdef", k=draw.randrange(1, 20)))
            for _article in range(3)
        }
        last |= texts
        sources.append(write(tmp_path / f"{number}.xml", texts))
    build_index(portion_engines(4), sources, tmp_path / "i")
    fresh = write(tmp_path / "last.xml", last)
    build_index(portion_engines(), [fresh], tmp_path / "fresh")
    assert texts_in(tmp_path / "i") == texts_in(tmp_path / "fresh")


@pytest.mark.parametrize("place", ["delete", "save"])
def test_a_run_that_stops_between_writing_and_removing_ends_with_the_same_rows(
    tmp_path, portion, portion_engines, rows_in, monkeypatch, place
) -> None:
    portion(4)
    first = write(tmp_path / "1.xml", {f"PMC{number}": "a b c d e f g" for number in range(6)})
    second = write(tmp_path / "2.xml", {f"PMC{number}": f"a b c x{number}" for number in range(6)})
    for folder in ("i", "undisturbed"):
        build_index(portion_engines(), [first], tmp_path / folder)
    build_index(portion_engines(), [second], tmp_path / "undisturbed")
    calls = []

    def failing(work):
        def call(*arguments: object, **named: object) -> object:
            calls.append(work)
            if len(calls) == 3:
                raise FloatingPointError
            return work(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(writing.Writer, place, failing(getattr(writing.Writer, place)))
        with pytest.raises(FloatingPointError):
            build_index(portion_engines(), [second], tmp_path / "i")
    assert rows_in(tmp_path / "i") != rows_in(tmp_path / "undisturbed")
    report = build_index(portion_engines(), [second], tmp_path / "i")
    assert rows_in(tmp_path / "i") == rows_in(tmp_path / "undisturbed")
    assert report.records == 12


def test_all_passages_of_an_article_are_in_one_portion(tmp_path, portion, portion_engines, monkeypatch) -> None:
    portion(2)
    portions: list[Iterable[str]] = []
    engines = portion_engines()
    submit = engines.submit_passages

    def noted(calls: Any, *arguments: Any) -> Any:
        portions.append(sorted(text for texts, _titles in calls for text in texts))
        return submit(calls, *arguments)

    monkeypatch.setattr(engines, "submit_passages", noted)
    build_index(
        engines, [write(tmp_path / "1.xml", {"PMC1": "a b c d e f g", "PMC2": "h", "PMC3": "i j k l"})], tmp_path / "i"
    )
    assert portions == [["S: a b c", "S: d e f", "S: g"], ["S: h", "S: i j k", "S: l"]]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_a_limit_inside_of_an_article_removes_nothing_of_it(
    tmp_path, portion, portion_engines, texts_in, rows_in, limit
) -> None:
    portion(1)
    old = write(tmp_path / "1.xml", {"PMC1": "a b c d e f g h i", "PMC2": "z"})
    new = write(tmp_path / "2.xml", {"PMC1": "x b c d e f", "PMC2": "y"})
    folder = tmp_path / "i"
    build_index(portion_engines(), [old], folder)
    build_index(portion_engines(), [new], folder, limit=limit)
    expected = {"1#s/1": "x b c", "1#s/2": "d e f", "1#s/3": "g h i", "2#s/1": "z"}
    if limit > 1:
        del expected["1#s/3"]
    if limit > 2:
        expected["2#s/1"] = "y"
    assert texts_in(folder) == expected
    build_index(portion_engines(), [new], folder)
    assert texts_in(folder) == {"1#s/1": "x b c", "1#s/2": "d e f", "2#s/1": "y"}


def test_a_damaged_version_leaves_the_earlier_one(tmp_path, portion_engines, texts_in) -> None:
    folder = tmp_path / "i"
    build_index(portion_engines(), [write(tmp_path / "1.xml", {"PMC1": "a", "PMC2": "b"})], folder)
    report = build_index(portion_engines(), [write(tmp_path / "2.xml", {"PMC1": "x < y", "PMC2": "c"})], folder)
    assert texts_in(folder) == {"1#s/1": "a", "2#s/1": "c"}
    assert report.corpus.examples == ["2.xml: the article PMC1: damaged XML"]
