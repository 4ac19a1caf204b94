"""Pairs in, pairs with negatives out: the right passages, the same bytes after kill -9, errors before work."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from bmretriever_integrations.training.negatives import Rules, mine, mining
from bmretriever_integrations.training.negatives.lexical import Bm25Miner
from bmretriever_integrations.training.negatives.pool import fold
from bmretriever_integrations.training.negatives.report import examples, report_table
from bmretriever_integrations.training.pairs.build import build
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs
from bmretriever_integrations.training.pairs.settings import Filters, Plan, Source

WORDS = [
    f"{a}{b}" for a in ("cardi", "nephr", "hepat", "neur", "derm") for b in ("itis", "oma", "osis", "pathy", "ectomy")
]


def pairs_of(task, count, draw):
    """Queries of three words; every third query has two positives, every fifth positive comes in capitals again."""
    pairs = []
    for n in range(count):
        words = draw.sample(WORDS, 3)
        query = f"{' '.join(words)} {task} {n - n % 3 if n % 3 == 2 else n}"
        text = f"{words[0]} {words[1]} {' '.join(draw.sample(WORDS, 4))} in {task} {n}"
        pairs.append(Pair(task=task, instruction=f"Find {task}", query=query, positive=text))
        if n % 5 == 0:
            loud = f"  {text.upper()}"
            pairs.append(Pair(task=task, instruction=f"Find {task}", query=query.upper(), positive=loud))
    return pairs


def write(path, pairs):
    with PairWriter(path) as writer:
        for pair in pairs:
            writer.write(pair)
    return path


@pytest.fixture
def data(tmp_path):
    draw = random.Random(1)
    pairs = [pair for task in ("asthma", "gout") for pair in pairs_of(task, 40, draw)]
    draw.shuffle(pairs)
    return write(tmp_path / "pairs" / "a.parquet", pairs)


def mined(output):
    return list(read_pairs(output / "pairs.parquet"))


def test_negatives_are_other_passages_of_the_task(data, tmp_path):
    report = mine(data, tmp_path / "out", Bm25Miner(), Rules(negatives=3))
    before, after = list(read_pairs(data)), mined(tmp_path / "out")
    assert [pair.id for pair in after] == [pair.id for pair in before]
    own = {}
    for pair in before:
        own.setdefault(fold(pair.query), set()).add(fold(pair.positive))
    for pair in after:
        assert len(pair.negatives) == len(pair.negative_scores) == 3
        assert not {fold(text) for text in pair.negatives} & own[fold(pair.query)]
        assert len({fold(text) for text in pair.negatives}) == 3
        assert all(f"in {pair.task}" in text.casefold() for text in pair.negatives)
        assert list(pair.negative_scores) == sorted(pair.negative_scores, reverse=True)
        assert pair.positive_score > 0
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["all"]["pairs"] == len(before)
    assert report["tasks"]["gout"]["passages"] == 40
    assert report["all"]["negatives_per_pair"] == 3
    assert report["all"]["too_few"] == 0


def test_pool_all_and_further_passages_come_into_reach(data, tmp_path):
    further = tmp_path / "more.jsonl"
    lines = [{"_id": str(n), "title": "Further", "text": f"{' '.join(WORDS)} {n}"} for n in range(3)]
    known = next(read_pairs(data))
    lines[2]["id"] = lines[2].pop("_id")
    lines.append({"_id": "known", "title": "", "text": known.positive.upper()})
    further.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rules = Rules(negatives=20)
    mine(data, tmp_path / "all", Bm25Miner(), rules, pool="all")
    pairs = mined(tmp_path / "all")
    assert any(f"in {pair.task}" not in text.casefold() for pair in pairs for text in pair.negatives)
    report = mine(data, tmp_path / "more", Bm25Miner(), rules, further=[further])
    assert report["tasks"]["gout"]["passages"] == 43  # the known one is not counted again
    pairs = mined(tmp_path / "more")
    assert any(text.startswith("Further") for pair in pairs for text in pair.negatives)
    assert all(text.startswith("Further") or f"in {p.task}" in text.casefold() for p in pairs for text in p.negatives)
    report = mine(data, tmp_path / "pairs-too", Bm25Miner(), rules, further=[tmp_path / "all" / "pairs.parquet"])
    assert report["tasks"]["gout"]["passages"] == 40  # all of these are positives already


def test_a_passage_that_is_the_query_is_no_negative(tmp_path):
    questions = [f"what is {word}" for word in WORDS]
    pairs = [
        Pair(task="t", instruction="Find the same", query=a, positive=b)
        for a, b in zip(questions, questions[1:] + questions[:1], strict=True)
    ]
    pairs += [Pair(task="t", instruction="Find the same", query=f"{word}?", positive=f"On {word}") for word in WORDS]
    report = mine(write(tmp_path / "p.parquet", pairs), tmp_path / "out", Bm25Miner(), Rules(sample="hardest"))
    assert report["all"]["dropped"]["equals query"] == len(questions)
    assert all(fold(pair.query) not in map(fold, pair.negatives) for pair in mined(tmp_path / "out"))


def test_no_positive_of_a_row_is_mined_as_its_negative(tmp_path):
    """Rows with several positives, some over the limit of pairs of a query: none is a negative of that query."""
    draw = random.Random(2)
    texts = {n: f"{' '.join(draw.sample(WORDS, 8))} of trial {n}" for n in range(60)}
    rows = []
    for n in range(30):
        query = " ".join(texts[2 * n].split()[:3] + texts[2 * n + 1].split()[:3])
        pos = [texts[2 * n], texts[2 * n + 1]]
        rows += [{"query": query, "pos": pos, "prompt": "Given words, find a trial"}]
        rows += [{"query": f"trial {2 * n + 1}", "pos": pos[1:], "prompt": "Given words, find a trial"}]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for per_title in (None, 1):
        where = tmp_path / str(per_title)
        plan = Plan(sources=(Source(path=str(source), per_title=per_title),), filters=Filters(language=None))
        build(plan, where / "pairs")
        mine(where / "pairs", where / "mined", Bm25Miner(), Rules(negatives=2, sample="hardest"))
        own = {row["query"]: row["pos"] for row in rows}
        after = mined(where / "mined")
        assert len(after) == (90 if per_title is None else 60)
        assert all(len(pair.negatives) == 2 and not {*pair.negatives} & {*own[pair.query]} for pair in after)


def test_other_rules_search_nothing_again(data, tmp_path, monkeypatch):
    mine(data, tmp_path / "out", Bm25Miner(), Rules(seed=1))
    first = mined(tmp_path / "out")
    monkeypatch.setattr(Bm25Miner, "search", None)
    mine(data, tmp_path / "out", Bm25Miner(), Rules(seed=2))
    assert [pair.negatives for pair in mined(tmp_path / "out")] != [pair.negatives for pair in first]
    mine(data, tmp_path / "out", Bm25Miner(), Rules(seed=1))
    assert mined(tmp_path / "out") == first
    with pytest.raises(TypeError):  # another depth does search
        mine(data, tmp_path / "out", Bm25Miner(), Rules(depth=50))


def test_chunks_end_where_tasks_do(data, tmp_path, monkeypatch):
    mine(data, tmp_path / "whole", Bm25Miner())
    monkeypatch.setattr(mining, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(mining, "CHUNKS_IN_MEMORY", 2)
    mine(data, tmp_path / "parts", Bm25Miner())
    assert (tmp_path / "parts" / "pairs.parquet").read_bytes() == (tmp_path / "whole" / "pairs.parquet").read_bytes()


SLOW = """
import hashlib, sys, time
from pathlib import Path
import numpy as np
from bmretriever_integrations.training.negatives import Rules, dense, mine, mining

mining.QUERIES_AT_ONCE = dense.PASSAGES_AT_ONCE = 5

class Slow:
    name = "slow"
    def settings(self):
        return {"miner": "slow"}
    def passages(self, texts):
        time.sleep(float(sys.argv[3]))
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little") for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(8, np.float32) for seed in seeds])
    def queries(self, texts, instruction):
        return self.passages(texts)

mine(Path(sys.argv[1]), Path(sys.argv[2]), dense.DenseMiner(Slow()), Rules(negatives=2))
"""


def killed_after(pattern, files, data, output):
    """Start a run and kill -9 it once it has left so many files."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(data), str(output), "0.05"])
    while len(list(output.glob(pattern))) < files:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return {path: path.stat().st_mtime_ns for path in output.glob(pattern)}


def test_kill_9_and_the_same_call_give_the_same_bytes(data, tmp_path):
    output = tmp_path / "killed"
    vectors = killed_after("work/passages/*/*.npy", 3, data, output)
    found = killed_after("work/found/*/*.npz", 3, data, output)
    assert not (output / "pairs.parquet").exists()
    subprocess.run([sys.executable, "-c", SLOW, str(data), str(output), "0"], check=True)
    assert all(path.stat().st_mtime_ns == when for path, when in {**vectors, **found}.items())  # none was made again
    subprocess.run([sys.executable, "-c", SLOW, str(data), str(tmp_path / "whole"), "0"], check=True)
    assert (output / "pairs.parquet").read_bytes() == (tmp_path / "whole" / "pairs.parquet").read_bytes()


def test_too_few_are_reported_and_replaced_ones_counted(tmp_path):
    pairs = [Pair(task="t", instruction="i", query=word, positive=f"{word} text", negatives=("old",)) for word in WORDS]
    pairs[0] = Pair(task="t", instruction="i", query="other", positive="of one word")
    report = mine(write(tmp_path / "p.parquet", pairs), tmp_path / "out", Bm25Miner())
    assert report["all"]["too_few"] == report["all"]["none"] == 1  # no passage shares a word with another's query
    assert report["all"]["replaced"] == len(WORDS) - 1
    assert all(pair.negatives == () for pair in mined(tmp_path / "out"))


def test_kept_negatives_stay_and_the_others_are_mined(tmp_path):
    pairs = [
        Pair(task="mined", instruction="i", query=word, positive=f"{word} text {n}") for n in (1, 2) for word in WORDS
    ]
    pairs[1] = replace(pairs[1], negatives=("its own",))
    lone = Pair(task="lone", instruction="i", query="q", positive="p", negatives=("written with it",))
    path = write(tmp_path / "p.parquet", [*pairs, lone])
    with pytest.raises(ValueError, match=r"too few have: lone \(1\)"):
        mine(path, tmp_path / "out", Bm25Miner())
    report = mine(path, tmp_path / "out", Bm25Miner(), Rules(sample="hardest"), keep=True)
    after = mined(tmp_path / "out")
    assert (after[1], after[-1]) == (pairs[1], lone)
    assert all(pair.positive_score is not None for pair in (after[0], *after[2:-1]))
    assert (report["all"]["kept"], report["all"]["replaced"], report["all"]["pairs"]) == (2, 0, len(pairs) - 1)
    assert "its own" in _shown(examples(tmp_path / "out", 99))
    report = mine(write(tmp_path / "q.parquet", pairs), tmp_path / "replaced", Bm25Miner())
    assert mined(tmp_path / "replaced")[1].negatives != pairs[1].negatives
    assert (report["all"]["kept"], report["all"]["replaced"]) == (0, 1)


def test_only_a_folder_of_its_own_is_written_into(data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pairs.parquet").write_text("of another step")
    for output, message in (
        (tmp_path / "out", r"holds pairs\.parquet, which this step did not write"),
        (data.parent, "is the folder of the pairs"),
        (data, "is the folder of the pairs"),
    ):
        with pytest.raises(FileExistsError, match=message):
            mine(data, output, Bm25Miner())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["pairs.parquet"]


def _shown(content):
    from rich.console import Console

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(content)
    return console.export_text()


def test_table_and_examples_can_be_read(data, tmp_path):
    report = mine(data, tmp_path / "out", Bm25Miner(), Rules(max_score=3.0))
    text = _shown(report_table(report)) + _shown(examples(tmp_path / "out", 2))
    assert f"{report['all']['dropped']['max_score']:,}" in text
    first = mined(tmp_path / "out")[0]
    assert all(part in text for part in (first.query, first.positive.strip(), *first.negatives, first.id))


class Broken(Bm25Miner):
    """BM25 that scores the positives, or what it finds, with no number."""

    def __init__(self, field, value):
        self.name, self._field, self._value = "broken", field, value

    def search(self, queries, reach, depth):
        found = super().search(queries, reach, depth)
        getattr(found, self._field)[..., 0] = self._value
        return found


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("field", "whose"), [("scores", "found passages"), ("positives", "positives")])
def test_scores_that_are_no_numbers_are_refused(data, tmp_path, field, whose, value):
    with pytest.raises(
        ValueError, match=rf"the miner broken gives \d+ of \d+ {whose} a score that is no finite number"
    ):
        mine(data, tmp_path / "out", Broken(field, value))
    assert not (tmp_path / "out" / "pairs.parquet").exists()
    assert not list((tmp_path / "out").rglob("*.npz"))  # nothing that the next run would take for finished


class Untouched:
    """A miner that fails the test if it is asked."""

    name = "untouched"

    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for before the inputs were checked")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"pairs": "none.parquet"}, FileNotFoundError, "no pairs at"),
        ({"pairs": "empty.parquet"}, ValueError, "holds no pair"),
        ({"pairs": "text.parquet"}, ValueError, "no parquet file of pairs"),
        ({"rules": Rules(negatives=40)}, ValueError, r"too few have: \w+ \(40\), \w+ \(40\)\. Lower the negatives"),
        ({"pool": "world"}, ValueError, "pool must be one of task, all, got 'world'"),
        ({"further": ["none.jsonl"]}, FileNotFoundError, "none.jsonl does not exist"),
        ({"further": ["wrong.jsonl"]}, ValueError, r"wrong\.jsonl:2: no column 'text'"),
    ],
)
def test_errors_come_before_any_work(data, tmp_path, settings, error, message):
    write(tmp_path / "empty.parquet", [])
    (tmp_path / "text.parquet").write_text("no")
    (tmp_path / "wrong.jsonl").write_text('{"id": "1", "text": "a"}\n{"id": "2", "txt": "wrong key"}\n')
    pairs = tmp_path / settings.pop("pairs") if "pairs" in settings else data
    given = {**settings, "further": [tmp_path / name for name in settings.get("further", [])]}
    with pytest.raises(error, match=message):
        mine(pairs, tmp_path / "out", Untouched(), given.pop("rules", None), **given)
    assert not (tmp_path / "out").exists()
