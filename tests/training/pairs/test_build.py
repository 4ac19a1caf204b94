"""Filters, duplicates, decontamination, and the folder that a run leaves."""

import json
import random
import runpy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bmretriever_integrations.training.pairs import build as building
from bmretriever_integrations.training.pairs.build import build
from bmretriever_integrations.training.pairs.duplicates import CompactSet, Duplicates
from bmretriever_integrations.training.pairs.filters import PairFilter
from bmretriever_integrations.training.pairs.passages import passages_of
from bmretriever_integrations.training.pairs.protected import Protected
from bmretriever_integrations.training.pairs.schema import PAIR_SCHEMA, Pair, read_pairs
from bmretriever_integrations.training.pairs.settings import EvaluationSet, Filters, Plan, Source
from bmretriever_integrations.training.pairs.words import run_hashes, word_hashes, words_of
from bmretriever_integrations.training.stages.data import prepare
from bmretriever_integrations.training.stages.settings import StageSettings
from bmretriever_integrations.training.stages.sources import find_sources

ROOT = Path(__file__).parents[3]
VOCABULARY = [f"word{n}" for n in range(2000)]
GERMAN = (
    "Der Patient wurde wegen starker Schmerzen in der Brust in die Klinik gebracht und dort drei Wochen lang behandelt, "
    "bis er wieder gesund war."
)


def text(seed, words=60):
    return " ".join(random.Random(seed).choices(VOCABULARY, k=words))


def pair(query="a query", positive=None):
    return Pair(task="t", instruction="i", query=query, positive=text(0) if positive is None else positive)


def judge(given, **filters):
    return PairFilter(Filters(**filters)).reason(given, words_of(given.query), words_of(given.positive))


def test_filters():
    assert judge(pair(), language=None) is None
    assert judge(pair("...")) == "query too short"
    assert judge(pair(), query_words=(1, 1)) == "query too long"
    assert judge(pair(positive="four words are few")) == "positive too short"
    assert judge(pair(), positive_words=(1, 50)) == "positive too long"
    assert judge(pair(), positive_characters=(1, 50)) == "positive too long"
    assert judge(pair("Salt is eaten daily.", "salt is eaten daily")) == "query equals positive"
    assert judge(pair("salt is eaten daily", "Salt is eaten daily, daily.")) == "positive holds only the query"


def test_language():
    assert judge(pair(positive=GERMAN)) == "not in en"
    assert judge(pair(positive=GERMAN), language=None) is None
    assert judge(pair(positive=GERMAN), language="de") is None
    assert judge(pair(positive="Ductus arteriosus persistens congenitalis in corde")) is None  # too short to tell


def test_compact_set_equals_a_set():
    draw, compact, plain = random.Random(0), CompactSet(), set()
    for _ in range(30_000):
        number = draw.getrandbits(14) << 50 | draw.getrandbits(3)
        assert compact.add(number) == (number not in plain)
        plain.add(number)
    assert len(compact) == len(plain)
    assert all(number in compact for number in plain)
    assert 12345 not in compact
    assert compact.nbytes <= 8 * len(plain) * 3 + 256 * 16 * 8


def test_duplicates():
    def kinds(*pairs, near=True, by_query=False):
        found = Duplicates(near)
        return [found.kind(words_of(query), words_of(positive), by_query) for query, positive in pairs]

    whole = text(1, 200)
    changed = whole.rsplit(" ", 2)[0] + " other end"
    assert kinds(("q", whole), ("Q.", whole.upper())) == [None, "exact duplicate"]
    assert kinds(("q", whole), ("other", changed)) == [None, "near duplicate"]
    assert kinds(("q", whole), ("other", changed), near=False) == [None, None]
    assert kinds(("q", whole), ("other", changed), by_query=True) == [None, None]
    assert kinds(("q", whole), ("q", changed), by_query=True) == [None, "near duplicate"]
    assert kinds(("q", whole), ("other", text(2, 200))) == [None, None]
    assert kinds(("q", "two words"), ("r", "Two words!")) == [None, "near duplicate"]


def test_runs_of_words():
    a, b = (word_hashes(words_of(x)) for x in ("one two three four", "zero two three four"))
    assert len(run_hashes(a, 3)) == 2
    assert run_hashes(a, 3)[1] == run_hashes(b, 3)[1]
    assert run_hashes(a, 3)[0] != run_hashes(b, 3)[0]
    assert len(run_hashes(a, 5)) == 0


SHORT = "nine words that are one whole short protected document"


@pytest.fixture
def held(tmp_path):
    folder = tmp_path / "held"
    (folder / "qrels").mkdir(parents=True)
    documents = [
        {"_id": "11", "title": "", "text": text(11)},
        {"_id": "12", "title": "A title of five words", "text": text(12)},
        {"_id": "13", "title": "", "text": SHORT},
        {"_id": "14", "title": "", "text": text(14)},
    ]
    queries = [{"_id": "q1", "text": "What is asked here?"}, {"_id": "q2", "text": "Which one is not judged?"}]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in documents))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq1\t11\t1\nq1\t12\t1\nq1\t13\t1\nq1\t14\t0\n"
    )
    return EvaluationSet(path=str(folder))


def reason(held, query="some query", positive="another passage", title="", identity="", **settings):
    protected = Protected(Plan(sources=(Source(path="x"),), against=(held,), **settings))
    return protected.reason(words_of(query), words_of(positive), title, identity)


def test_exact_texts_queries_titles_and_ids_are_protected(held):
    assert reason(held) is None
    assert reason(held, positive=text(11).upper() + ".") == "evaluation: exact text"
    assert reason(held, positive=text(12)) == "evaluation: exact text"
    assert reason(held, positive="A title of five words " + text(12)) == "evaluation: exact text"
    assert reason(held, query="what is asked HERE") == "evaluation: exact query"
    assert reason(held, query="which one is not judged") is None
    assert reason(held, query="A title of five words") == "evaluation: title"
    assert reason(held, title="A title of five words.") == "evaluation: title"  # a span of the article
    assert reason(held, title="Introduction") is None
    assert reason(held, identity="11") is None
    assert reason(held.model_copy(update={"ids": True}), identity="11") == "evaluation: document id"
    assert reason(held, positive=f"Before. {SHORT}, and after.") == "evaluation: short document"


def test_thirteen_words_both_ways(held):
    words = text(11).split()
    assert reason(held, positive=" ".join(words[:30])) == "evaluation: 13 words"  # all of the passage's are in the text
    assert (
        reason(held, positive=text(5, 500) + " " + " ".join(words[:40])) == "evaluation: 13 words"
    )  # half of the text's
    assert reason(held, positive=text(5, 500) + " " + " ".join(words[:30])) is None
    assert reason(held, positive=" ".join(words[:13])) == "evaluation: 13 words"
    assert reason(held, positive=" ".join(words[:12])) is None
    assert reason(held, query=" ".join(words[:20])) == "evaluation: 13 words"
    assert reason(held, positive=text(5, 500) + " " + " ".join(words[:30]), share=0.3) == "evaluation: 13 words"


def test_protect_all_or_relevant(held):
    assert reason(held, positive=text(14)) == "evaluation: exact text"
    assert reason(held, positive=text(14), protect="relevant") is None
    assert reason(held, positive=text(11), protect="relevant") == "evaluation: exact text"


def test_a_broken_evaluation_set_is_named(held, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no corpus\.jsonl"):
        reason(EvaluationSet(path=str(tmp_path)))
    with open(f"{held.path}/qrels/test.tsv", "a") as lines:
        lines.write("q1 11\n")
    with pytest.raises(ValueError, match=r"test\.tsv:6: expected query-id"):
        reason(held)
    Path(held.path, "qrels", "test.tsv").write_text("query-id\tcorpus-id\tscore\n")
    with pytest.raises(ValueError, match=r"judges no query of queries\.jsonl"):
        reason(held)
    Path(held.path, "qrels", "test.tsv").write_bytes(b"q\xe9\t11\t1\n")
    with pytest.raises(ValueError, match=r"test\.tsv:1: not UTF-8"):
        reason(held)
    Path(held.path, "qrels", "test.tsv").write_text("q1\t11\t1\n")
    Path(held.path, "corpus.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"corpus\.jsonl holds no document"):
        reason(held)


def test_judgements_without_a_header_line_all_count(held):
    Path(held.path, "qrels", "test.tsv").write_text("q1\t11\t1\n")
    assert reason(held, query="What is asked here?") == "evaluation: exact query"
    assert reason(held, positive=text(11), protect="relevant") == "evaluation: exact text"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "docs.jsonl"
    rows = [{"_id": f"d{n}", "title": f"Title number {n % 10}", "text": text(n), "licence": "CC0"} for n in range(30)]
    rows.append(rows[3])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Source(path=str(path))


def plan(source, held=None, **settings):
    against = () if held is None else (held,)
    return Plan(sources=(source,), against=against, filters=Filters(language=None), **settings)


def test_a_run(source, held, tmp_path):
    report = build(plan(source, held), tmp_path / "out")
    assert report.dropped == {"exact duplicate": 1, "evaluation: exact text": 3}
    assert report.kept == {"docs": 27}
    pairs = list(read_pairs(tmp_path / "out"))
    assert (pairs[0].query, pairs[0].positive) == ("Title number 0", text(0))
    assert (pairs[0].source, pairs[0].licence, pairs[0].task) == ("docs.jsonl:1", "CC0", "docs")
    written = json.loads((tmp_path / "out" / "pairs.json").read_text())
    assert written["made"] == 31 == written["pairs"] + sum(written["dropped"].values())
    assert pq.read_schema(tmp_path / "out" / "pairs-00000.parquet").equals(PAIR_SCHEMA)


def test_the_same_input_gives_the_same_bytes_and_shards_hold_all(source, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "SHARD", 10)
    hashes = [build(plan(source), tmp_path / name).content_hash for name in ("a", "b")]
    assert hashes[0] == hashes[1]
    names = [file.name for file in sorted((tmp_path / "a").iterdir())]
    assert names == ["pairs-00000.parquet", "pairs-00001.parquet", "pairs-00002.parquet", "pairs.json"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert len(list(read_pairs(tmp_path / "a"))) == 30


def test_limits(source, tmp_path):
    assert build(plan(source.model_copy(update={"limit": 7})), tmp_path / "a").kept == {"docs": 7}
    report = build(plan(source.model_copy(update={"per_title": 2})), tmp_path / "b")
    assert report.kept == {"docs": 20}
    assert report.dropped == {"over the limit of its title": 11}


def pubmed(path, *entries):
    """A PubMed file: (PMID, title, text) for a citation, a PMID alone for a withdrawal."""
    parts = [
        f"<DeleteCitation><PMID>{entry}</PMID></DeleteCitation>"
        if isinstance(entry, str)
        else f"<PubmedArticle><MedlineCitation><PMID>{entry[0]}</PMID><Article><ArticleTitle>{entry[1]}</ArticleTitle>"
        f"<Abstract><AbstractText>{entry[2]}</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>"
        for entry in entries
    ]
    path.write_text(f"<PubmedArticleSet>{''.join(parts)}</PubmedArticleSet>")
    return Source(path=str(path))


def test_withdrawn_and_superseded_citations_become_no_pairs(tmp_path):
    one = pubmed(tmp_path / "1.xml", ("3", "Old", text(1)), ("4", "Gone", text(2)), ("5", "Stays", text(3)))
    two = pubmed(tmp_path / "2.xml", ("3", "Newer", text(4)), ("3", "Newest", text(5)), ("6", "Late", text(6)), "4")
    sources = (one, two, one.model_copy(update={"pairing": "spans"}))
    filters = Filters(language=None, span_words=(1, 64), passage_words=(1, 350), near_duplicates=False)
    report = build(Plan(sources=sources[:2], filters=filters), tmp_path / "out")
    assert [pair.query for pair in read_pairs(tmp_path / "out")] == ["Stays", "Newest", "Late"]
    assert (report.rows, report.superseded) == (3, 3)
    assert json.loads((tmp_path / "out" / "pairs.json").read_text())["superseded"] == 3
    assert build(Plan(sources=sources, filters=filters), tmp_path / "twice").rows == 4  # a file that is read twice
    assert [passage.text for passage in passages_of(tmp_path / "2.xml")] == [f"Newest {text(5)}", f"Late {text(6)}"]


def labelled(tmp_path, *rows):
    path = tmp_path / "labelled.jsonl"
    path.write_text("".join(json.dumps({"prompt": "Given a question, answer", **row}) + "\n" for row in rows))
    return Source(path=str(path))


def test_every_positive_is_a_pair_and_has_the_hard_negatives_of_its_row(tmp_path):
    row = {"query": "Why so?", "pos": [text(1), text(2)], "neg": [text(3), text(4)], "neg_scores": [0.5, 0.25]}
    report = build(plan(labelled(tmp_path, row)), tmp_path / "out")
    pairs = list(read_pairs(tmp_path / "out"))
    assert [(p.positive, p.negatives, p.negative_scores) for p in pairs] == [
        (text(1), (text(3), text(4)), (0.5, 0.25)),
        (text(2), (text(3), text(4)), (0.5, 0.25)),
    ]
    assert (report.made, report.negatives, report.rows_without_pair) == (2, 2, 0)
    stage = StageSettings(batch_size=2, learning_rate=1.0, epochs=1, eval_share=0.0, negatives=1)
    rows = prepare(tmp_path / "state", find_sources(tmp_path / "out", stage), stage)
    with pa.memory_map(str(rows.training)) as file:
        trained = pa.ipc.open_stream(file).read_all()
    assert trained["negatives"].to_pylist() == [[f"Represent this passage\npassage: {text(3)}"]] * 2


def test_hard_negatives_that_are_answers_queries_repeats_or_protected_are_dropped_and_counted(held, tmp_path):
    neg = [text(1).upper(), "why so", text(3), text(3) + ".", " ", text(11), "What is asked here?", text(4)]
    row = {"query": "Why so?", "pos": [text(1), "too short"], "neg": [*neg, "Too short!"]}
    report = build(plan(labelled(tmp_path, row), held), tmp_path / "out")
    (only,) = read_pairs(tmp_path / "out")
    assert only.negatives == (text(3), text(4))
    assert report.dropped_negatives == {
        "a positive": 2,
        "equals the query": 1,
        "repeated": 1,
        "empty": 1,
        "evaluation: text": 2,
    }
    assert json.loads((tmp_path / "out" / "pairs.json").read_text())["dropped_negatives"] == report.dropped_negatives


def test_positives_without_a_pair_of_their_own_are_remembered(held, tmp_path):
    near = text(1, 200).rsplit(" ", 2)[0] + " other end"
    rows = [
        {"query": "Why so?", "pos": [text(1, 200), near, text(2), text(2).upper(), text(11), "too short"]},
        {"query": "Why else?", "pos": [text(5)]},
    ]
    source = labelled(tmp_path, *rows)
    report = build(plan(source, held), tmp_path / "out")
    first, second, third = read_pairs(tmp_path / "out")
    assert (first.positive, second.positive) == (text(1, 200), text(2))
    assert first.other_positives == second.other_positives == (near, "too short")  # no text of an evaluation set
    assert (third.other_positives, report.other_positives) == ((), 2)
    build(plan(source.model_copy(update={"per_title": 1}), held), tmp_path / "one")
    first, second = read_pairs(tmp_path / "one")
    assert first.other_positives == (near, text(2), text(2).upper(), "too short")
    build(plan(source.model_copy(update={"limit": 1}), held), tmp_path / "limit")
    (first,) = read_pairs(tmp_path / "limit")
    assert first.other_positives == (near, text(2), text(2).upper(), "too short")


def test_the_content_hash_tells_hard_negatives_apart(tmp_path):
    row = {"query": "Why so?", "pos": [text(1)], "neg": [text(3)]}
    one = build(plan(labelled(tmp_path, row)), tmp_path / "a").content_hash
    assert build(plan(labelled(tmp_path, {**row, "neg": [text(4)]})), tmp_path / "b").content_hash != one


def test_a_failed_run_leaves_the_former_pairs(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(plan(source), out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "write_report", fail)
    with pytest.raises(KeyboardInterrupt):
        build(plan(source.model_copy(update={"limit": 2})), out)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["docs.jsonl", "out"]


def test_another_folder_is_not_overwritten(source, tmp_path):
    with pytest.raises(FileExistsError, match=r"holds docs\.jsonl, which this step did not write"):
        build(plan(source), tmp_path)
    build(plan(source), tmp_path / "out")
    (tmp_path / "out" / "mined").mkdir()
    with pytest.raises(FileExistsError, match="holds mined, which"):
        build(plan(source), tmp_path / "out")
    (tmp_path / "out" / "mined").rmdir()
    (tmp_path / "out" / "pairs.json").unlink()
    with pytest.raises(FileExistsError, match=r"holds pairs-00000\.parquet, which"):
        build(plan(source), tmp_path / "out")
    with pytest.raises(FileExistsError, match="is a file"):
        build(plan(source), tmp_path / "docs.jsonl")


def test_rows_without_a_pair_are_counted(source, tmp_path):
    with open(source.path, "a") as lines:
        lines.write('{"_id": "e", "title": "A title", "text": null}\n{"_id": "f", "text": "Too short. To cut."}\n')
    report = build(plan(source), tmp_path / "out")
    assert (report.rows, report.rows_without_pair, report.made) == (33, 2, 31)
    assert json.loads((tmp_path / "out" / "pairs.json").read_text())["rows_without_pair"] == 2


def test_nothing_left_is_an_error(source, tmp_path):
    with pytest.raises(ValueError, match=r"no pair is left of 31; .* filters, in a plan"):
        build(Plan(sources=(source,), filters=Filters(query_words=(50, 60))), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_page_lists_the_schema():
    page = (ROOT / "docs" / "training-pairs.md").read_text(encoding="utf-8")
    table = page[page.index("| column | type |") :].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table if line.startswith("|")]
    assert [name for name, _kind in rows] == PAIR_SCHEMA.names
    assert [kind for _name, kind in rows] == [str(field.type) for field in PAIR_SCHEMA]


def test_the_script(source, held, tmp_path, monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr("sys.argv", ["build_pairs.py", *words, "--to", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / "training" / "build_pairs.py"), run_name="__main__")
        return end.value.code, capsys.readouterr()

    (tmp_path / "plan.yaml").write_text(f"sources: [{source.path}]\nfilters: {{language: null}}\n")
    code, said = run(str(tmp_path / "plan.yaml"), "--source", f"{source.path}:spans", "--against", held.path)
    assert code == 0
    assert "27 pairs in" in said.out
    assert "evaluation: exact text" in said.out
    rows = [
        {"query": "What stops a headache?", "pos": ["Aspirin stops a headache in most adults within an hour."]},
        {
            "query": "What stops a cough?",
            "pos": ["Honey stops a cough in some children."],
            "prompt": "Given a cough, help",
        },
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, said = run("--source", str(tmp_path / "own.jsonl"), "--instruction", "Given a complaint, find relief")
    assert (code, said.err[:6]) != (2, "error:")
    given = sorted(pair.instruction for pair in read_pairs(tmp_path / "out"))
    assert given == ["Given a complaint, find relief", "Given a cough, help"]
    code, said = run("--source", str(tmp_path / "missing.jsonl"))
    assert code == 2
    assert said.err.startswith("error: ")
    assert "missing.jsonl does not exist" in said.err
