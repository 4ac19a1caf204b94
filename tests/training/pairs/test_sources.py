"""Sources, their columns, and the errors before any work."""

import gzip
import json
import os

import datasets
import pytest

from bmretriever_integrations.corpus import DamagedSource
from bmretriever_integrations.training.pairs.columns import detect
from bmretriever_integrations.training.pairs.pairing import pairs_of
from bmretriever_integrations.training.pairs.rows import Reading, check, current_of, read
from bmretriever_integrations.training.pairs.settings import (
    EvaluationSet,
    Filters,
    Source,
    parse_against,
    parse_source,
    read_plan,
)
from bmretriever_integrations.training.pairs.values import Row

TEXT = " ".join(f"Sentence {n} tells what the trial of drug {n} found in its {n} patients." for n in range(12))


def lines(path, *rows):
    content = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return Source(path=str(path))


def rows_of(source):
    return list(read(source, check(source), Reading(), current_of([source])))


def texts_of(source):
    return [(where, row.texts) for where, row in rows_of(source)]


def test_jsonl_plain_and_gzipped_give_the_same_rows(tmp_path):
    row = {"_id": "7", "title": "Title", "text": TEXT, "licence": "CC0"}
    plain = rows_of(lines(tmp_path / "a.jsonl", row))
    assert plain[0][0] == "a.jsonl:1"
    assert plain[0][1] == Row({"task": "a", "id": "7", "title": "Title", "text": TEXT, "licence": "CC0"})
    assert rows_of(lines(tmp_path / "a.jsonl.gz", row))[0][1] == plain[0][1]


def test_pubmed_rows_carry_the_pmid(tmp_path):
    path = tmp_path / "p.xml"
    path.write_text(
        "<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>12</PMID><Article><ArticleTitle>Salt</ArticleTitle>"
        "<Abstract><AbstractText>It is eaten.</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
        "</PubmedArticleSet>"
    )
    where, row = texts_of(Source(path=str(path)))[0]
    assert (where, row["id"], row["title"], row["text"]) == ("p.xml:12", "12", "Salt", "It is eaten.")


def test_a_title_that_pandas_left_empty_is_no_title(tmp_path):
    nan = float("nan")
    assert texts_of(lines(tmp_path / "a.jsonl", {"title": nan, "text": TEXT}))[0][1]["title"] == ""
    labelled = {"query": "Why?", "positive": {"title": nan, "text": "B"}, "instruction": "Given a question, answer"}
    assert rows_of(lines(tmp_path / "b.jsonl", labelled))[0][1].positives == ("B",)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{broken", r"a\.jsonl:2: not JSON"),
        ("[1]", r"a\.jsonl:2: expected a JSON object, got list"),
        ({"_id": "2"}, r"a\.jsonl:2: no column 'text'"),
        ({"_id": "2", "text": 5}, r"a\.jsonl:2: text must be text, got int"),
        ({"_id": "2", "text": [[TEXT]]}, r"a\.jsonl:2: text must be text, got list"),
        ({"_id": "2", "text": [TEXT, TEXT]}, r"a\.jsonl:2: text must be one text, got a list of 2"),
        ({"query": "q", "positive": "p"}, r"a\.jsonl:2: a labelled row among documents"),
        ({"_id": "2", "text": "\ud800"}, r"a\.jsonl:2: text holds a lone surrogate"),
        ("[" * 100_000, r"a\.jsonl:2: not JSON"),
    ],
)
def test_a_malformed_line_is_named_before_any_work(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        check(lines(tmp_path / "a.jsonl", {"_id": "1", "text": TEXT}, row))


def test_empty_and_missing_files(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(ValueError, match="is empty"):
        check(Source(path=str(tmp_path / "a.jsonl")))
    with pytest.raises(ValueError, match="holds no row"):
        check(lines(tmp_path / "b.jsonl", "", ""))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check(Source(path=str(tmp_path / "c.jsonl")))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        check(Source(path=str(tmp_path / "c.parquet")))
    datasets.Dataset.from_dict({"text": []}).to_parquet(str(tmp_path / "d.parquet"))
    with pytest.raises(ValueError, match=r"d\.parquet (cannot be read on|holds no row)"):
        check(Source(path=str(tmp_path / "d.parquet")))
    datasets.Dataset.from_dict({"text": [5]}).to_parquet(str(tmp_path / "e.parquet"))
    with pytest.raises(ValueError, match=r"e\.parquet:0: text must be text, got int"):
        check(Source(path=str(tmp_path / "e.parquet")))
    (tmp_path / "f.csv").write_text("text")
    with pytest.raises(ValueError, match=r"f\.csv ends in none of \.xml, .*\.parquet, \.json"):
        check(Source(path=str(tmp_path / "f.csv")))


def test_a_cut_gzip_is_named(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    whole = gzip.compress("".join(json.dumps({"text": f"{TEXT} {n * n}"}) + "\n" for n in range(500)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.jsonl\.gz is damaged"):
        check(Source(path=str(path)))
    path.write_bytes(whole + whole[:10] + b"\xff" * 20)  # a second member that is none
    with pytest.raises(ValueError, match=r"a\.jsonl\.gz is damaged"):
        check(Source(path=str(path)))


def test_a_damaged_xml_gives_no_pairs(tmp_path):
    """The damage shows in the checksum alone; without it a garbled abstract would become a positive."""
    path = tmp_path / "a.xml.gz"
    text = "<AbstractText>It is eaten.</AbstractText>"
    whole = f"<PubmedArticleSet><PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>Salt</ArticleTitle>{text}"
    whole += "</Article></MedlineCitation></PubmedArticle></PubmedArticleSet>" + " " * 100_000
    packed = bytearray(gzip.compress(whole.encode(), compresslevel=0))
    packed[packed.index(b"eaten")] ^= 1
    path.write_bytes(bytes(packed))
    with pytest.raises(DamagedSource, match=r"a\.xml\.gz is damaged after its first 0 records: CRC check failed"):
        rows_of(Source(path=str(path)))
    path.write_bytes(gzip.compress(whole.strip().encode())[:-2])
    with pytest.raises(ValueError, match=r"a\.xml\.gz cannot be read as gzip: Compressed file ended"):
        check(Source(path=str(path)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["a.jsonl", "a.xml", "a.parquet", "a.json"])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name} is a pipe or a device; .* save it as a file first"):
        check(Source(path=str(tmp_path / name)))


def test_a_line_that_is_too_large_is_named(tmp_path):
    source = lines(tmp_path / "a.jsonl.gz", {"text": TEXT}, {"text": "x" * 11_000_000})
    with pytest.raises(ValueError, match=r"a\.jsonl\.gz:2: larger than 10 MB"):
        check(source)


def test_bytes_that_are_not_utf8_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(json.dumps({"text": "caf\u00e9"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.jsonl:1: not UTF-8: "):
        check(Source(path=str(tmp_path / "a.jsonl")))


def test_labelled_rows(tmp_path):
    row = {
        "task": "qa",
        "instruction": "Given a question, answer",
        "query": "Why?",
        "positive": {"title": "T", "text": "B"},
    }
    source = lines(tmp_path / "a.jsonl", row)
    (pair,) = pairs_of("a.jsonl:1", rows_of(source)[0][1], source, Filters(), 0)
    assert (pair.task, pair.instruction, pair.query, pair.positive) == ("qa", row["instruction"], "Why?", "T B")
    del row["instruction"]
    with pytest.raises(ValueError, match=r"a\.jsonl:1: no instruction; .* \(--instruction, or"):
        check(lines(tmp_path / "a.jsonl", row))
    keyed = Source(path=source.path, instruction="medquad")
    assert texts_of(keyed)[0][1]["instruction"].startswith("Given a medical question")


FLAG = {"query": "Why?", "pos": ["one", "two"], "neg": ["x", "y"], "prompt": "Given a question, answer"}
TEVATRON = {
    "query_id": "1",
    "query": "Why?",
    "positive_passages": [{"docid": "7", "title": "T", "text": "one"}, {"docid": "8", "title": "", "text": "two"}],
    "negative_passages": [{"docid": "9", "title": "U", "text": "x"}, {"docid": "10", "text": "y"}],
}


@pytest.mark.parametrize(
    ("row", "positives", "negatives"),
    [
        (FLAG, ("one", "two"), ("x", "y")),
        (TEVATRON, ("T one", "two"), ("U x", "y")),
        ({"anchor": "Why?", "positive": "one", "negative": "x"}, ("one",), ("x",)),
        ({"sent0": "Why?", "sent1": "one", "hard_neg": "x"}, ("one",), ("x",)),
        ({"anchor": "Why?", "positive": "one", "negative_2": "y", "negative_1": "x"}, ("one",), ("x", "y")),
        ({"query": "Why?", "answer": "one", "negatives": None}, ("one",), ()),
        ({"query": "Why?", "answer": []}, (), ()),
    ],
)
def test_positives_and_hard_negatives_of_every_known_layout(tmp_path, row, positives, negatives):
    source = lines(tmp_path / "a.jsonl", row).model_copy(update={"instruction": "medquad"})
    read_row = rows_of(source)[0][1]
    assert (read_row.positives, read_row.negatives) == (positives, negatives)
    made = list(pairs_of("a.jsonl:1", read_row, source, Filters(), 0))
    assert [(pair.query, pair.positive, pair.negatives) for pair in made] == [
        ("Why?", text, negatives) for text in positives
    ]


def test_scores_of_a_source_stay_with_their_passages(tmp_path):
    source = lines(tmp_path / "a.jsonl", {**FLAG, "pos_scores": [0.9, 0.8], "neg_scores": [0.2, 1]})
    made = list(pairs_of("a.jsonl:1", rows_of(source)[0][1], source, Filters(), 0))
    assert [(pair.positive_score, pair.negative_scores) for pair in made] == [(0.9, (0.2, 1.0)), (0.8, (0.2, 1.0))]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"neg_scores": [0.2]}, r"a\.jsonl:2: neg_scores must have one score for each of 2 passages, or none, got 1"),
        ({"pos_scores": [0.2, float("nan")]}, r"a\.jsonl:2: pos_scores must be finite numbers, got nan"),
        ({"neg_scores": [0.2, [0.1]]}, r"a\.jsonl:2: neg_scores must be finite numbers, got list"),
        ({"neg": ["x", 5]}, r"a\.jsonl:2: neg\[1\] must be text, got int"),
        ({"neg": [["x"]]}, r"a\.jsonl:2: neg must be texts, got a list of lists"),
        ({"negatives": ["z"]}, r"negatives and neg could each be the negatives"),
    ],
)
def test_wrong_negatives_and_scores_are_named(tmp_path, more, message):
    with pytest.raises(ValueError, match=message):
        check(lines(tmp_path / "a.jsonl", FLAG, {**FLAG, **more}))


def test_columns_that_the_first_row_lacks_are_found_and_those_not_read_are_named(tmp_path):
    first = {"query": "What?", "pos": ["zero"], "prompt": "Given a question, answer", "hardness": 3}
    source = lines(tmp_path / "a.jsonl", first, FLAG)
    assert [row.negatives for _, row in rows_of(source)] == [(), ("x", "y")]
    assert str(check(source)).endswith("; not read: hardness")


def test_a_name_with_xml_inside_is_jsonl(tmp_path):
    ((where, row),) = texts_of(lines(tmp_path / "named.xml.jsonl", {"id": "0", "title": "Title", "text": TEXT}))
    assert (where, row["id"], row["title"]) == ("named.xml.jsonl:1", "0", "Title")


@pytest.mark.parametrize("kind", ["saved", "parquet", "json"])
def test_hard_negatives_of_hugging_face_data_sets(tmp_path, kind):
    rows = datasets.Dataset.from_list([TEVATRON])
    path = tmp_path / ("set" if kind == "saved" else f"set.{kind}")
    {"saved": rows.save_to_disk, "parquet": rows.to_parquet, "json": rows.to_json}[kind](str(path))
    row = rows_of(Source(path=str(path), instruction="medquad"))[0][1]
    assert (row.positives, row.negatives) == (("T one", "two"), ("U x", "y"))


@pytest.mark.parametrize("kind", ["saved", "parquet", "json"])
def test_hugging_face_data_sets(tmp_path, kind):
    rows = datasets.Dataset.from_list([{"PMID": 3, "title": "T", "abstract": TEXT}])
    path = tmp_path / ("set" if kind == "saved" else f"set.{kind}")
    {"saved": rows.save_to_disk, "parquet": rows.to_parquet, "json": rows.to_json}[kind](str(path))
    where, row = texts_of(Source(path=str(path)))[0]
    assert (where, row["id"], row["text"]) == (f"{path.name}:0", "3", TEXT)


def test_ambiguous_columns_are_refused_and_named_ones_taken():
    row = {"text": "a", "abstract": "b"}
    with pytest.raises(ValueError, match="text and abstract could each be the text"):
        detect(row, Source(path="x"))
    assert detect(row, Source(path="x", columns={"text": "abstract"})).pick("x:1", row).texts["text"] == "b"
    with pytest.raises(ValueError, match="cannot take 'text' from 'nothing'"):
        detect(row, Source(path="x", columns={"text": "nothing"}))


def test_rows_of_medrag(tmp_path):
    row = {"id": "c_0", "title": "Title", "content": TEXT, "contents": f"Title. {TEXT}", "PMID": 0}
    source = lines(tmp_path / "a.jsonl", row)
    ((_, texts),) = texts_of(source)
    assert (texts["id"], texts["title"], texts["text"]) == ("c_0", "Title", TEXT)
    assert str(check(source)) == "documents (text = content); not read: contents, PMID"


def test_plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("sources: [a.jsonl, {path: b.jsonl, per_title: 2}]\nfilters: {query_words: [2, 9]}\nseed: 4\n")
    plan = read_plan(path)
    assert plan.sources == (Source(path="a.jsonl"), Source(path="b.jsonl", per_title=2))
    assert (plan.filters.query_words, plan.seed) == ((2, 9), 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [{path: a, limits: 3}]", r"sources\[0\]: unknown settings limits; allowed: path"),
        ("source: a", "unknown settings source; allowed: sources"),
        ("sources: ['']", r"sources\[0\]\.path: String should have at least 1 character"),
        ("sources: [{path: 3}]", r"sources\[0\]\.path must be a valid string, got 3"),
        ("sources: [a]\nfilters: 3", "filters must be keys and values .query_words.*, got 3"),
        ("- a", "holds no keys and values, but list"),
        ("sources: a", "sources must be a valid list, got 'a'"),
        ("sources: [{path: a, limit: many}]", r"sources\[0\]\.limit must be a valid integer, got 'many'"),
        ("sources: [{path: a, limit: 0}]", "limit must be greater than 0, got 0"),
        ("sources: [a]\nshare: 2", "share must be less than or equal to 1, got 2"),
        (
            "sources: [a]\nfilters: {query_words: [5, 2]}",
            r"filters\.query_words must be \[fewest, most\] with .*, got \[5, 2\]",
        ),
        ("sources: [a]\nfilters: {query_words: [5]}", r"filters\.query_words\[1\] is missing"),
        ("sources: [{path: a, columns: {text: 3}}]", r"columns\.text must be a valid string, got 3"),
        ("sources: [a]\nprotect: some", "protect must be 'all' or 'relevant', got 'some'"),
        ("sources: []", "no source was given"),
        ("a: [", "is no YAML"),
        (f"sources: {'[' * 5000}{']' * 5000}", "it nests too deep"),
    ],
)
def test_wrong_plans(tmp_path, text, message):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    with pytest.raises((TypeError, ValueError), match=message):
        read_plan(path)


def test_words_of_the_command_line():
    assert parse_source("a/b.jsonl:spans") == Source(path="a/b.jsonl", pairing="spans")
    assert parse_source("b.jsonl", "Given x, find y") == Source(path="b.jsonl", instruction="Given x, find y")
    assert parse_source("b.jsonl:spans", "medquad") == Source(path="b.jsonl", pairing="spans", instruction="medquad")
    assert parse_source("C:/b.jsonl").path == "C:/b.jsonl"
    with pytest.raises(TypeError, match=r"--source b\.jsonl:span: pairing must be 'auto', 'title', .* got 'span'"):
        parse_source("b.jsonl:span")
    assert parse_against("eval/x:ids") == EvaluationSet(path="eval/x", ids=True)


def pairs(row, seed=0, **settings):
    return list(pairs_of("f:1", Row(row), Source(path="f.jsonl", **settings), Filters(), seed))


def test_title_or_spans():
    (titled,) = pairs({"title": "A title", "text": TEXT})
    assert (titled.query, titled.positive) == ("A title", TEXT)
    assert pairs({"title": "", "text": TEXT}, pairing="title") == []
    (cut,) = pairs({"title": "A title", "text": TEXT}, pairing="spans")
    assert cut.query in TEXT
    assert cut.positive in TEXT
    assert cut.query not in cut.positive


def test_spans_are_bounded_disjoint_and_anywhere():
    found = {pairs({"text": TEXT}, seed, pairing="spans")[0].query for seed in range(60)}
    starts = {TEXT.index(query) for query in found}
    assert min(starts) == 0
    assert max(starts) > len(TEXT) / 2
    assert all(5 <= len(query.split()) <= 64 for query in found)
    assert pairs({"text": TEXT}, 1, pairing="spans") == pairs({"text": TEXT}, 1, pairing="spans")
    assert pairs({"text": "Too short. To cut."}, pairing="spans") == []


def test_several_spans_of_a_document():
    assert len(pairs({"text": TEXT}, pairing="spans", per_document=4)) > 1
