"""`bmretriever search` and `delete` on a real index: what the options change, prompts, questions of files, no model for words."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.cli import main
from bmretriever_integrations.index import Hit, Hits, SearchIndex

QUESTION = "does aspirin prevent stroke"


def citation(pmid: int, title: str, text: str, year: int, journal: str, kind: str, **more: str) -> str:
    """A made-up citation of PubMed."""
    mesh = "".join(
        f"<MeshHeading><DescriptorName>{name}</DescriptorName></MeshHeading>" for name in more.get("mesh", "").split()
    )
    return f"""<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article>
      <Journal><JournalIssue><PubDate><Year>{year}</Year></PubDate></JournalIssue><Title>{journal}</Title></Journal>
      <ArticleTitle>{title}</ArticleTitle><Abstract><AbstractText>{text}</AbstractText></Abstract>
      <Language>{more.get("language", "eng")}</Language>
      <PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList></Article>
      <MeshHeadingList>{mesh}</MeshHeadingList></MedlineCitation></PubmedArticle>"""


CITATIONS = (
    citation(11, "Aspirin and stroke", "Aspirin halves the risk of stroke.", 2012, "Heart", "Review", mesh="Aspirin"),
    citation(12, "Insulin dose", "A dose of insulin lowers glucose.", 2016, "Diabetes", "Letter", mesh="Insulin"),
    citation(13, "Aspirin dose", "A low dose of aspirin.", 2018, "Heart", "Letter", language="ger", mesh="Aspirin"),
    citation(14, "Stroke cohort", "A cohort after stroke.", 2020, "Brain", "Review", mesh="Stroke"),
    citation(15, "Aspirin prevents stroke", "Aspirin does prevent it.", 2021, "Brain", "Retracted Publication"),
    citation(16, "Asthma", "A trial in asthma.", 2022, "Lung", "Letter"),
)


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny) -> Path:
    folder = tmp_path_factory.mktemp("search")
    (folder / "c.xml").write_text(f"<PubmedArticleSet>{''.join(CITATIONS)}</PubmedArticleSet>")
    model = ["--model", str(tiny("llama")), "--dtype", "float32"]
    assert main(["index", str(folder / "c.xml"), "--to", str(folder / "i"), *model]) == 0
    (folder / "questions.txt").write_text(f"{QUESTION}\n\nasthma\n")
    return folder


@pytest.fixture
def search(home: Path, capsys, monkeypatch):
    """A function: words -> what they printed to stdout and to stderr."""

    def run(*words: str, index: Path = home / "i") -> tuple[str, str]:
        monkeypatch.chdir(home)
        capsys.readouterr()
        assert main(["search", str(index), *words]) == 0
        return capsys.readouterr()

    return run


@pytest.fixture
def found(search):
    """A function: words -> the ids that they find."""

    def run(*words: str) -> list[str]:
        return [hit["id"] for hit in json.loads(search(*words, "--top-k", "9", "--json")[0])]

    return run


def test_the_table_and_json_say_what_the_index_finds(home: Path, tiny, search) -> None:
    shown, err = search(QUESTION, "--top-k", "3")
    assert err == ""
    rows = json.loads(search(QUESTION, "--top-k", "3", "--json")[0])
    with SearchIndex.open(home / "i") as index:
        expected = index.search(QUESTION, 3)
    assert [(row["rank"], row["id"], row["title"], row["text"]) for row in rows] == [
        (hit.rank, hit.id, hit.title, hit.text) for hit in expected
    ]
    np.testing.assert_allclose([row["score"] for row in rows], [hit.score for hit in expected], rtol=1e-6)
    assert rows[0]["metadata"]["journal"] == "Heart"
    for hit in expected:
        assert f"   {hit.rank}   {hit.score:.2f}  {hit.metadata['date'][:4]}  {hit.id}    {hit.title}" in shown
    assert shown.splitlines()[0].split()[:4] == ["rank", "score", "year", "PMID"]
    assert len(json.loads(search(QUESTION, "--json")[0])) == 5


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_the_mode_is_that_of_the_index(home: Path, search, mode: str) -> None:
    rows = json.loads(search(QUESTION, "--mode", mode, "--json")[0])
    with SearchIndex.open(home / "i") as index:
        expected = index.search(QUESTION, mode=mode)
    assert [(row["id"], row["score"]) for row in rows] == [(hit.id, pytest.approx(hit.score)) for hit in expected]


FILTERS = {
    "--since 2018": {"13", "14", "16"},
    "--until 2016": {"11", "12"},
    "--since 2013 --until 2019": {"12", "13"},
    "--type review": {"11", "14"},
    "--type Review --type Letter": {"11", "12", "13", "14", "16"},
    "--mesh Aspirin": {"11", "13"},
    "--mesh Aspirin --since 2013": {"13"},
    "--journal Heart": {"11", "13"},
    "--language ger": {"13"},
    "--where year=2020": {"14"},
    "--include-retracted": {"11", "12", "13", "14", "15", "16"},
    "--include-retracted --since 2021": {"15", "16"},
}


@pytest.mark.parametrize("flags", FILTERS)
def test_a_filter_leaves_what_it_says(found, flags: str) -> None:
    assert set(found("aspirin", "--mode", "vector", *flags.split())) == FILTERS[flags]


def test_retracted_papers_are_left_out_and_counted_or_marked(search) -> None:
    out, err = search(QUESTION, "--top-k", "2")
    assert out.splitlines()[-1] == "1 retracted paper left out: --include-retracted"
    assert (err, "prevents" in out) == ("", False)
    out, err = search(QUESTION, "--top-k", "2", "--json")
    assert err == "note: 1 retracted paper left out: --include-retracted\n"
    assert len(json.loads(out)) == 2
    out, err = search(QUESTION, "--top-k", "2", "--include-retracted")
    lines = out.splitlines()
    (place,) = (number for number, line in enumerate(lines) if "RETRACTED" in line)
    assert "Aspirin prevents stroke" in lines[place + 1]
    assert "left out" not in out + err


def test_why_nothing_is_found_is_said(search) -> None:
    assert search("aspirin", "--since", "2099") == ("no record found: none of 6 passes the filters\n", "")
    hint = "--mode hybrid also finds other words for the same"
    assert search("zebra", "--mode", "text")[0] == f"no record found: none holds a word of the question; {hint}\n"
    assert search("aspirin", "--since", "2099", "--json") == (
        "[]\n",
        "note: no record found: none of 6 passes the filters\n",
    )


def test_a_question_needs_no_quotation_marks_and_options_stand_anywhere(search) -> None:
    expected = search(QUESTION, "--top-k", "3")
    assert search("does", "aspirin", "prevent", "stroke", "--top-k", "3") == expected
    assert search("--top-k", "3", *QUESTION.split()) == expected
    assert search("does", "aspirin", "--top-k", "3", "prevent", "stroke") == expected
    assert search("insulin", "--top-k", "3") != expected


def test_a_file_of_questions_is_answered_question_by_question(search, home: Path, monkeypatch) -> None:
    single = json.loads(search(QUESTION, "--json")[0])
    first, second = json.loads(search("--questions", "questions.txt", "--json")[0])
    assert (first["question_id"], first["question"], first["retracted_left_out"]) == ("1", QUESTION, 1)
    assert [hit["id"] for hit in first["hits"]] == [hit["id"] for hit in single]
    assert first["hits"][0].keys() == single[0].keys()
    assert (second["question_id"], second["question"]) == ("3", "asthma")
    out, err = search("--questions", "questions.txt", "--top-k", "1")
    assert [line for line in out.splitlines() if ": " in line[:3]] == [f"1: {QUESTION}", "3: asthma"]
    assert out.count("rank") == 2
    assert search("--questions", "questions.txt", "--format", "jsonl")[1].startswith("note: question 1: 1 retracted")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((home / "questions.txt").read_bytes())))
    assert search("--top-k", "1") == (out, err)
    lines = search("--questions", "questions.txt", "--format", "csv", "--top-k", "1")[0]
    assert [(row["question_id"], row["id"]) for row in csv.DictReader(io.StringIO(lines))] == [
        ("1", first["hits"][0]["id"]),
        ("3", second["hits"][0]["id"]),
    ]
    assert search("asthma", "--mode", "text", "--format", "ris")[0].count("AN  - 16\n") == 1


def test_a_record_can_be_the_question(search, found) -> None:
    assert set(found("--like", "11")) == {"12", "13", "14", "16"}
    assert set(found("--like", "11", "--mode", "text")) == {"13", "14"}
    assert search("--like", "11", "--top-k", "1")[0].splitlines()[0] == "11: Aspirin and stroke"


def test_the_instruction_and_the_model_reach_the_index(search, home: Path, tiny, tmp_path: Path) -> None:
    def scores(*flags: str) -> list[float]:
        return [hit["score"] for hit in json.loads(search("aspirin", "--mode", "vector", "--json", *flags)[0])]

    assert scores("--instruction", "scifact") != scores()
    assert scores("--instruction", "nfcorpus") == scores()
    shutil.copytree(tiny("llama"), tmp_path / "moved")
    assert scores("--model", str(tmp_path / "moved"), "--device", "cpu") == scores()
    assert main(["search", str(home / "i"), "aspirin", "--model", str(tiny("mistral"))]) == 2


def test_words_and_stored_vectors_need_no_model_and_no_torch(home: Path, tmp_path: Path, tiny) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny("llama"), model)
    assert main(["index", str(home / "c.xml"), "--to", str(tmp_path / "i"), "--model", str(model)]) == 0
    shutil.rmtree(model)
    code = (
        "import sys; from bmretriever_integrations.cli import main\n"
        f"assert main(['search', {str(tmp_path / 'i')!r}, 'aspirin', '--mode', 'text']) == 0\n"
        f"assert main(['search', {str(tmp_path / 'i')!r}, '--like', '11']) == 0\n"
        "print('loaded:', sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert done.stdout.count("rank") == 2


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


def test_a_prompt_loads_the_model_once_and_survives_errors(search, monkeypatch) -> None:
    loaded: list[Any] = []

    class Counted(BMRetrieverEncoder):
        def __init__(self, *given: Any, **named: Any) -> None:
            loaded.append(given)
            super().__init__(*given, **named)

    monkeypatch.setattr("bmretriever_integrations.encoder.BMRetrieverEncoder", Counted)
    plain, failed = SearchIndex.search_many, []

    def search_many(self: SearchIndex, queries: list[str], *given: Any, **named: Any) -> list[Hits]:
        if queries == ["fail"]:
            failed.append(queries)
            raise RuntimeError("out of order")
        return plain(self, queries, *given, **named)

    monkeypatch.setattr(SearchIndex, "search_many", search_many)
    monkeypatch.setattr(sys, "stdin", Terminal("asthma\nfail\ninsulin\n\nnever asked\n"))
    out, err = search("--top-k", "1")
    assert len(loaded) == 1
    assert failed == [["fail"]]
    assert [line.split()[3] for line in out.splitlines() if line.startswith("   1 ")] == ["16", "12"]
    assert err.count("error: RuntimeError: out of order") == 1
    assert err.count("question: ") == 4  # standard output is no terminal here
    monkeypatch.setattr(sys, "stdin", Terminal("asthma\n"))
    assert search("--top-k", "1")[0].count("Asthma") == 1  # the end of the input ends it, too


def test_ctrl_c_at_the_prompt_ends_it(home: Path, monkeypatch, capsys) -> None:
    class Interrupted(Terminal):
        def readline(self, *_: Any) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    assert main(["search", str(home / "i")]) == 130
    assert capsys.readouterr().err.endswith("interrupted\n")


def test_a_slow_search_names_tune_once(home: Path, search, monkeypatch) -> None:
    def hits(seconds: float) -> Any:
        made = [Hit(1, 1.0, "11", "t", "")]
        return lambda _self, queries, *_, **__: [Hits(made, seconds=seconds) for _ in queries]

    monkeypatch.setattr(SearchIndex, "search_many", hits(2.0))
    assert search("aspirin")[1] == ""  # tune takes no index that is so small
    monkeypatch.setattr(SearchIndex, "__len__", lambda _: 20_000)
    out, err = search("aspirin")
    assert err.startswith("note: the search took 2.0 s; ")
    assert f"tune {home / 'i'}" in err
    assert "tune" not in out
    assert search("aspirin", "--mode", "text")[1] == ""
    monkeypatch.setattr(SearchIndex, "search_many", hits(0.5))
    assert search("aspirin")[1] == ""


def test_hits_say_how_long_they_took_to_find(home: Path) -> None:
    with SearchIndex.open(home / "i") as index:
        assert all(hits.seconds > 0 for hits in index.search_many(["aspirin", "stroke"], mode="text"))


def test_records_are_deleted_and_come_back_with_their_source(home: Path, tmp_path: Path, tiny, found, capsys) -> None:
    shutil.copytree(home / "i", tmp_path / "i")
    (tmp_path / "ids").write_text("12\n\n13\n")

    def searched() -> set[str]:
        with SearchIndex.open(tmp_path / "i") as index:
            return {record.id for record, _ in index.entries()}

    capsys.readouterr()
    assert main(["delete", str(tmp_path / "i"), "--id", "11", "99", "--ids", str(tmp_path / "ids")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'i'}: 3 records deleted",
        "not in the index: 99",
        "they come back if their source is indexed again: c.xml",
    ]
    assert searched() == {"14", "15", "16"}
    index = ["index", str(home / "c.xml"), "--to", str(tmp_path / "i"), "--model", str(tiny("llama"))]
    assert main([*index, "--dtype", "float32"]) == 0
    assert searched() == {"11", "12", "13", "14", "15", "16"}


MISTAKES = {
    ("search", "missing", "q"): "missing holds no index",
    ("search", "{index}", " "): "the question is empty",
    ("search", "{index}", "q", "--top-k", "0"): "argument --top-k: must be a whole number from 1, got '0'",
    ("search", "{index}", "q", "--instruction", "scifcat"): "Did you mean 'scifact'?",
    ("search", "{index}", "q", "--topk", "3"): "--topk 3; did you mean --top-k? (see bmretriever search --help)",
    ("search", "{index}", "q", "--format", "xml"): "invalid choice: 'xml'",
    ("search", "{index}", "q", "--mode", "bm25"): "invalid choice: 'bm25'",
    ("search", "{index}", "q", "--since", "soon"): "since is a year, a month or a day",
    ("search", "{index}", "q", "--type", ""): "publication_types is a text or a list of texts, none of them empty",
    ("search", "{index}", "q", "--like", "11"): "a question, --questions and --like exclude each other",
    ("search", "{index}", "--like", "99"): "has no record '99'",
    ("search", "{index}", "--questions", "missing.txt"): "missing.txt does not exist",
    ("search", "{index}", "--questions", "{index}"): "is a folder; name a file",
    ("search", "{index}"): "standard input holds no question",
    ("delete", "{index}"): "no record is named: add --id ID, or --ids FILE",
    ("delete", "missing", "--id", "1"): "missing holds no index",
    ("delete", "{index}", "--ids", "missing"): "missing is no file",
    ("delete", "{index}", "1"): "unrecognized arguments: 1 (see bmretriever delete --help)",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_prints_one_line_and_exits_with_2(home: Path, tmp_path, monkeypatch, error_of, words) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    assert MISTAKES[words] in error_of([word.format(index=home / "i") for word in words])


def test_a_prompt_shows_tables_only(home: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("asthma\n"))
    assert main(["search", str(home / "i"), "--json"]) == 2
    assert "--format json needs a question" in capsys.readouterr().err


def test_an_unfinished_index_is_searched_and_said_to_be_so(home: Path, tmp_path: Path, search) -> None:
    from bmretriever_integrations.index.manifest import read_manifest

    shutil.copytree(home / "i", tmp_path / "i")
    manifest = read_manifest(tmp_path / "i")
    manifest.complete = False
    manifest.write(tmp_path / "i")
    out, err = search("asthma", "--json", index=tmp_path / "i")
    assert f"note: {tmp_path / 'i'} is unfinished; searching the 6 records that it holds." in err
    assert len(json.loads(out)) == 5


def test_a_reader_that_leaves_early_is_no_error(home: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bmretriever_integrations",
        "search",
        str(home / "i"),
        "stroke",
        "--mode",
        "text",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert "Error" not in process.stderr.read()
    assert process.returncode == 0
