"""Pairs -> rows -> batches -> token ids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.prompts import passage_prompt
from bmretriever_integrations.testing import ARCHITECTURES
from bmretriever_integrations.training.pairs.schema import Pair, PairWriter, read_pairs
from bmretriever_integrations.training.stages.collator import PromptCollator
from bmretriever_integrations.training.stages.data import prepare
from bmretriever_integrations.training.stages.sampler import TaskBatches
from bmretriever_integrations.training.stages.settings import DataSettings, StageSettings
from bmretriever_integrations.training.stages.sources import find_sources


def settings(**given):
    return StageSettings(**{"batch_size": 8, "learning_rate": 1.0, "epochs": 1, "eval_share": 0.0, **given})


def rows_of(source, folder, **given):
    chosen = settings(**given)
    rows = prepare(folder, find_sources(source, chosen), chosen)
    with pa.memory_map(str(rows.training)) as file:
        return pa.ipc.open_stream(file).read_all().to_pylist(), rows.held_out


def test_rows_carry_the_templates_and_the_first_negatives(doses, tmp_path):
    rows, held_out = rows_of(doses, tmp_path / "a", negatives=1)
    assert len(rows) == 80
    assert held_out == []
    assert rows[2]["query"] == "Given a question, find a dose\nQuery: aspirin dose 2"
    assert rows[2]["positive"] == "Represent this passage\npassage: The dose of aspirin is 2 mg. It is taken daily."
    assert rows[2]["negatives"] == ["Represent this passage\npassage: The dose of aspirin is 3 mg. It is never taken."]
    assert rows[2]["scores"] == [2.0, 1.0]
    assert all(row["negatives"] == [] and row["scores"] == [] for row in rows_of(doses, tmp_path / "b")[0])


def test_queries_are_held_out_by_their_hash_whatever_else_changes(doses, tmp_path):
    rows, held_out = rows_of(doses, tmp_path / "a", eval_share=0.2, seed=1)
    assert 5 <= len(held_out) <= 30
    assert len(rows) + len(held_out) == 80
    assert {pair.query_prompt for pair in held_out}.isdisjoint(row["query"] for row in rows)
    again, same = rows_of(doses, tmp_path / "b", eval_share=0.2, seed=2, batch_size=4)
    assert same == held_out
    assert again == rows
    more_rows, fewer = rows_of(doses, tmp_path / "c", eval_share=0.2, eval_pairs=3)
    assert fewer == held_out[:3]
    assert len(more_rows) == 77  # what is not evaluated is trained on


def test_neither_queries_nor_positives_that_are_held_out_are_trained_on(tmp_path):
    with PairWriter(tmp_path / "pairs.parquet") as writer:
        for number in range(200):  # each passage answers four questions, each question has two answers
            for answer in (number // 4, 50 + number // 4):
                negatives = (f"answer {(answer + 1) % 100}", f"answer {(answer + 2) % 100}")
                pair = {"task": "t", "instruction": "Find the answer", "query": f"question {number}"}
                writer.write(Pair(**pair, positive=f"answer {answer}", negatives=negatives, negative_scores=(2.0, 1.0)))
    given = {"eval_share": 0.05, "negatives": 1, "batch_size": 2}
    rows, held_out = rows_of(tmp_path / "pairs.parquet", tmp_path / "a", **given)
    assert len(held_out) >= 6
    queries, positives = ({getattr(pair, name) for pair in held_out} for name in ("query_prompt", "positive_prompt"))
    assert all([pair.query for pair in held_out].count(pair.query) == 2 for pair in held_out)
    assert queries.isdisjoint(row["query"] for row in rows)
    assert positives.isdisjoint(row["positive"] for row in rows)
    assert positives.isdisjoint(text for row in rows for text in row["negatives"])
    assert {len(row["negatives"]) for row in rows} == {0, 1}  # the next one takes the place of one that is held out
    limited = rows_of(tmp_path / "pairs.parquet", tmp_path / "b", **given, eval_pairs=5)[1]
    assert limited == held_out[:4]  # whole queries
    prepared = prepare(tmp_path / "c", find_sources(tmp_path / "pairs.parquet", settings(**given)), settings(**given))
    assert prepared.left_out == 400 - len(rows) - len(held_out)
    assert prepared.instructions == {"t": "Find the answer"}


def test_a_positive_of_any_row_is_no_negative_of_its_query(tmp_path):
    with PairWriter(tmp_path / "pairs.parquet") as writer:
        for number in range(40):
            pair = {"task": "t", "instruction": "Find the answer", "query": f"question {number}"}
            wrong = f"wrong {number}"
            writer.write(Pair(**pair, positive=f"first {number}", negatives=(f"second {number}", wrong)))
            writer.write(
                Pair(**pair, positive=f"second {number}", negatives=(f"third {number}", f"first {number + 1}"))
            )
            writer.write(Pair(**pair, positive=f"fourth {number}", other_positives=(f"third {number}",)))
    rows, _ = rows_of(tmp_path / "pairs.parquet", tmp_path / "a", negatives=2)
    given = {(row["query"].split()[-1], row["positive"].split()[-2]): row["negatives"] for row in rows}
    for number in range(40):
        assert given[str(number), "first"] == [passage_prompt(f"wrong {number}")]
        assert given[str(number), "second"] == [passage_prompt(f"first {number + 1}")]  # another query's positive stays


def test_scores_that_are_no_numbers_are_not_distilled(doses, tmp_path):
    for number, (positive, negative) in enumerate([(float("nan"), 1.0), (1.0, float("inf"))]):
        with PairWriter(tmp_path / f"{number}.parquet") as writer:
            for pair in read_pairs(doses):
                writer.write(replace(pair, positive_score=positive, negative_scores=(negative,)))
        with pytest.raises(
            ValueError, match=r"the miner's score of a pair is (nan|inf) \(task 'dose 0', query 'aspirin dose 0'\)"
        ):
            rows_of(tmp_path / f"{number}.parquet", tmp_path / "a", negatives=1, distillation=1.0)
        assert len(rows_of(tmp_path / f"{number}.parquet", tmp_path / f"b{number}", negatives=1)[0]) == 80


def test_limits_and_weights_of_sources(doses, tmp_path):
    half = (DataSettings(path="doses.parquet", limit=40, weight=1.5),)
    rows, _ = rows_of(doses.parent, tmp_path / "a", data=half)
    assert len(rows) == 40
    assert {row["repeats"] for row in rows} == {1, 2}
    assert 50 <= sum(row["repeats"] for row in rows) <= 70
    assert rows_of(doses.parent, tmp_path / "b", data=half)[0] == rows
    other, _ = rows_of(doses.parent, tmp_path / "c", data=half, seed=5)
    assert {row["query"] for row in other} != {row["query"] for row in rows}


def test_rows_written_before_are_used_again(doses, tmp_path):
    rows, held_out = rows_of(doses, tmp_path / "a", eval_share=0.2)
    stamp = (tmp_path / "a" / "rows.arrow").stat().st_mtime_ns
    assert rows_of(doses, tmp_path / "a", eval_share=0.2) == (rows, held_out)
    assert (tmp_path / "a" / "rows.arrow").stat().st_mtime_ns == stamp
    for name in ("rows.arrow", "held_out.parquet", "rows.json"):  # what was damaged since is written again
        path = tmp_path / "a" / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        assert rows_of(doses, tmp_path / "a", eval_share=0.2) == (rows, held_out)


def test_wrong_data_is_refused_before_anything_is_written(doses, tmp_path):
    for given, message in [
        ({"batch_size": 100}, "has 80 pairs, fewer than batch_size 100"),
        (
            {"data": (DataSettings(path="none.parquet"),)},
            r"no pairs at .*data names none\.parquet; with data: \[\] .*taken",
        ),
        ({"eval_share": 0.99, "batch_size": 40}, r"pairs are left for training, fewer than batch_size 40"),
    ]:
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            rows_of(doses.parent, tmp_path / "a", **given)
    table = pq.read_table(doses)
    bare = tmp_path / "bare.parquet"
    pq.write_table(table.drop_columns(["negatives", "negative_scores"]), bare)
    with pytest.raises(ValueError, match="no pair has any: mine them first, or set negatives to 0"):
        rows_of(bare, tmp_path / "b", negatives=1)
    unscored = tmp_path / "unscored.parquet"
    pq.write_table(table.drop_columns(["negative_scores"]), unscored)
    with pytest.raises(ValueError, match="no pair has the miner's scores"):
        rows_of(unscored, tmp_path / "c", negatives=1, distillation=1.0)
    with PairWriter(tmp_path / "silent.parquet") as writer:
        for number in range(9):
            writer.write(Pair(task="t", instruction=" ", query=f"q{number}", positive="p", source="x.jsonl:3"))
    with pytest.raises(ValueError, match=r"silent\.parquet, row 1: instruction is empty"):
        rows_of(tmp_path / "silent.parquet", tmp_path / "d")


def columns(sizes, shared_query=()):
    tasks = np.concatenate([[name] * size for name, size in sizes.items()])
    queries = np.arange(1, len(tasks) + 1)
    queries[list(shared_query)] = 1
    return {
        "task": tasks,
        "query_key": queries,
        "positive_key": np.arange(1, len(tasks) + 1) + 10**6,
        "repeats": np.ones(len(tasks), np.int32),
    }


def tasks_of(batches, given):
    return [{str(task) for task in given["task"][batch]} for batch in batches]


def test_batches_hold_one_task_and_an_epoch_shows_every_pair_once():
    given = columns({"a": 80, "b": 24})
    batches = list(TaskBatches(given, settings()))
    assert all(len(batch) == 8 for batch in batches)
    assert sorted(row for batch in batches for row in batch) == list(range(104))
    assert all(len(tasks) == 1 for tasks in tasks_of(batches, given))
    mixed = list(TaskBatches(given, settings(homogeneous=False)))
    assert any(len(tasks) == 2 for tasks in tasks_of(mixed, given))


def test_batches_follow_the_seed_and_differ_between_epochs():
    given = columns({"a": 80, "b": 24})
    two = list(TaskBatches(given, settings(epochs=2)))
    assert two == list(TaskBatches(given, settings(epochs=2)))
    assert two[:13] == list(TaskBatches(given, settings()))
    assert two[13:] != two[:13]
    assert sorted(row for batch in two[13:] for row in batch) == list(range(104))
    assert two != list(TaskBatches(given, settings(epochs=2, seed=1)))
    assert len(list(TaskBatches(given, settings(epochs=None, max_steps=30)))) == 30


def test_tasks_smaller_than_a_batch_are_not_lost():
    given = columns({"a": 16, "b": 5, "c": 4})
    sampler = TaskBatches(given, settings(epochs=8))
    assert sampler.pairs == {"a": 16, "b": 5, "c": 4}
    assert {row for batch in sampler for row in batch} == set(range(25))
    assert all(tasks in ({"a"}, {"b", "c"}) for tasks in tasks_of(sampler, given))
    given = columns({"a": 16, "b": 5})
    batches = list(TaskBatches(given, settings(epochs=20)))
    assert all(
        tasks == {"a"} for tasks in tasks_of(batches, given)
    )  # five rows fill no batch, and do not join another task


@pytest.mark.parametrize(
    ("sizes", "pure", "shared", "unshown"),
    [
        ({"a": 1000, "b": 300, "c": 50}, 9, 1, 70),
        ({"a": 255, "b": 255, "c": 255, "d": 255}, 4, 3, 124),
        ({str(number): 20 for number in range(200)}, 0, 31, 32),
    ],
)
def test_an_epoch_shows_every_pair_but_for_less_than_a_batch(sizes, pure, shared, unshown):
    given = columns(sizes)
    batches = list(TaskBatches(given, settings(batch_size=128)))
    shown = [row for batch in batches for row in batch]
    assert len(shown) == len(set(shown)) == sum(sizes.values()) - unshown
    counts = [len(tasks) for tasks in tasks_of(batches, given)]
    assert (sum(count == 1 for count in counts), sum(count > 1 for count in counts)) == (pure, shared)
    assert max(counts) <= 8  # of 200 tasks


def test_what_cannot_be_learnt_is_refused():
    given = columns({"a": 40})
    with pytest.raises(
        ValueError, match="40 pairs are left for training, 1 of them different, fewer than batch_size 8"
    ):
        TaskBatches(
            {**given, "query_key": given["query_key"] * 0, "positive_key": given["positive_key"] * 0}, settings()
        )
    for name in ("query", "positive"):
        alike = {**given, f"{name}_key": given[f"{name}_key"] * 0 + 5}
        with pytest.raises(ValueError, match=f"all pairs have the same {name}, so no other passage is a negative"):
            TaskBatches(alike, settings())
        assert len(list(TaskBatches(alike, settings(negatives=1)))) == 5


def test_the_exponent_evens_tasks_out():
    given = columns({"large": 640, "small": 16})
    counts = {}
    for exponent in (1.0, 0.5, 0.0):
        tasks = tasks_of(TaskBatches(given, settings(task_exponent=exponent)), given)
        counts[exponent] = sum(own == {"small"} for own in tasks) / len(tasks)
    assert counts[1.0] == pytest.approx(2 / 82)
    assert counts[0.5] == pytest.approx(4 / (4 + 25.3), abs=0.01)
    assert counts[0.0] == 0.5


def test_rows_of_one_query_do_not_meet_where_others_are_left():
    given = columns({"a": 64}, shared_query=range(8))
    for batch in TaskBatches(given, settings(epochs=3)):
        assert len(set(given["query_key"][batch])) == 8
    given = columns({"a": 64}, shared_query=range(32))  # nothing else is left
    assert sorted(row for batch in TaskBatches(given, settings()) for row in batch) == list(range(64))


def test_repeated_rows_come_more_often():
    given = columns({"a": 32})
    given["repeats"][:8] = 3
    rows = [row for batch in TaskBatches(given, settings()) for row in batch]
    assert np.bincount(rows).tolist() == [3] * 8 + [1] * 24


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_ids_are_those_of_the_encoder(tiny, doses, tmp_path, architecture):
    tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(tiny(architecture)), 20)
    rows, _ = rows_of(doses, tmp_path / "a", negatives=1)
    pairs = list(read_pairs(doses))[:6]
    batch = PromptCollator(tokenizer, 1)(rows[:6])
    lengths = batch["texts_attention_mask"].sum(1).tolist()
    ids = [row[:length] for row, length in zip(batch["texts_input_ids"].tolist(), lengths, strict=True)]
    negatives = [f"Represent this passage\npassage: {pair.negatives[0]}" for pair in pairs]
    prompts = [*(pair.query_prompt for pair in pairs), *(pair.positive_prompt for pair in pairs), *negatives]
    in_slots = dict(zip(batch["label"]["slots"].tolist(), ids, strict=True))
    assert [in_slots[slot] for slot in range(18)] == tokenizer(prompts)
    assert lengths == sorted(lengths, reverse=True)
    assert all(row[-1] == tokenizer.eos_id for row in ids)


def test_a_missing_negative_leaves_its_slot_empty(tiny, doses, tmp_path):
    tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(tiny("llama")), 20)
    rows, _ = rows_of(doses, tmp_path / "a", negatives=1)
    rows[1]["negatives"], rows[1]["scores"] = [], []
    label = PromptCollator(tokenizer, 1)(rows[:3])["label"]
    assert sorted(label["slots"].tolist()) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert (label["candidate_keys"] == 0).tolist() == [False] * 4 + [True, False]
    assert np.isnan(label["scores"].numpy()).any(1).tolist() == [False, True, False]
