"""Vectors made with each mistake, and with several at once: the check names these mistakes and no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.export import export_checkpoint
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, TASK_INSTRUCTIONS, passage_prompt, query_prompt
from bmretriever_integrations.testing import write_tiny_checkpoint
from bmretriever_integrations.vector_check.advice import ways_out
from bmretriever_integrations.vector_check.check import check_vectors

pytestmark = pytest.mark.slow

MEAN = "mean pooling instead of the last token"
NORMALISED = "normalised to length 1"


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def bare(row):
    return f"{row['title']} {row['text']}"


def untitled(row):
    return passage_prompt(row["text"])


def as_query(row):
    return query_prompt(DEFAULT_INSTRUCTION, bare(row))


MADE = {
    "right": (lambda make: make(), ()),
    "float16 file": (lambda make: make().astype(np.float16), ()),
    "no EOS": (lambda make: make(eos="none"), ("no EOS",)),
    "EOS twice": (lambda make: make(eos="twice"), ("EOS twice",)),
    "EOS lost": (lambda make: make(eos="before the cut"), ("no EOS where a text was cut",)),
    "513": (lambda make: make(eos="after the cut"), ("EOS added after a cut that left no room for it",)),
    "mean": (lambda make: make(pooling="mean"), (MEAN,)),
    "max": (lambda make: make(pooling="max"), ("max pooling instead of the last token",)),
    "as query": (lambda make: make(as_query), ("query template on passages",)),
    "Instruct": (
        lambda make: make(lambda row: f"Instruct: {as_query(row)}"),
        ("query template with the obsolete `Instruct: ` on passages",),
    ),
    "no template": (lambda make: make(bare), ("no template",)),
    "no title": (lambda make: make(untitled), ("title left out",)),
    "normalised": (lambda make: unit(make()), (NORMALISED,)),
    "doubled": (lambda make: 2 * make(), ("multiplied by 2",)),
    "fewer dimensions": (lambda make: make()[:, :32], ("only the first 32 of {width} dimensions",)),
    "cut sooner": (lambda make: make(limit=128), ("cut at 128 tokens, not 512",)),
    "cut later": (lambda make: make(limit=1024), ("cut at 1,024 tokens, not 512",)),
    "cut at an unusual limit": (lambda make: make(limit=73), ("cut at 73 tokens, not 512",)),
    "full stop": (
        lambda make: make(lambda row: passage_prompt(f"{row['title']}. {row['text']}")),
        ("title and text joined by a full stop",),
    ),
    "glued": (
        lambda make: make(lambda row: f"Represent this passage\npassage:{bare(row)}"),
        ("no space after `passage:`",),
    ),
    "turned round": (lambda make: make()[::-1], ("rows in another order (42 of 42 stand elsewhere)",)),
    "no EOS, normalised": (lambda make: unit(make(eos="none")), ("no EOS", NORMALISED)),
    "no template, mean": (lambda make: make(bare, pooling="mean"), ("no template", MEAN)),
    "no title, no EOS": (lambda make: make(untitled, eos="none"), ("title left out", "no EOS")),
    "mean, cut": (lambda make: make(pooling="mean", limit=128), (MEAN, "cut at 128 tokens, not 512")),
    "no EOS, moved": (
        lambda make: np.roll(make(eos="none"), 3, axis=0),
        ("no EOS", "rows in another order (42 of 42 stand elsewhere)"),
    ),
    "normalised, fewer dimensions": (
        lambda make: unit(make())[:, :32],
        (NORMALISED, "only the first 32 of {width} dimensions"),
    ),
    "sentence-transformers by default": (
        lambda make: unit(make(bare, eos="none", pooling="mean")),
        ("no template", "no EOS", MEAN, NORMALISED),
    ),
}
OF_ALL = ("right", "no EOS", "mean", "no title", "normalised", "cut sooner", "sentence-transformers by default")
CASES = [(model, name) for model in ("gpt_neox", "mistral") for name in MADE]  # one without a BOS, and one with
CASES += [(model, name) for model in ("gemma", "llama", "mini") for name in OF_ALL]


@pytest.mark.parametrize(("model", "name"), CASES)
def test_the_mistakes_are_named(maker, files, model: str, name: str) -> None:
    make, expected = maker(model), MADE[name][1]
    vectors = MADE[name][0](make)
    verdict = check_vectors(*files(vectors), make.folder, device="cpu")
    width = f"{576 if model == 'mini' else 64}"
    assert verdict.mistakes == tuple(mistake.format(width=width) for mistake in expected), verdict.headline
    assert (verdict.fitting, verdict.checked, verdict.unexplained) == (42, 42, ())
    assert verdict.is_right == (expected == ())
    assert len(ways_out(verdict.mistakes)) == len(expected)  # each mistake has its own way out


@pytest.mark.parametrize("model", ["gemma", "mistral"])
def test_a_bos_that_is_missing_is_named(maker, files, model: str) -> None:
    make = maker(model)
    for vectors, expected in ((make(bos=False), ("no BOS",)), (make(bos=False, eos="none"), ("no BOS", "no EOS"))):
        verdict = check_vectors(*files(vectors), make.folder, device="cpu")
        assert verdict.mistakes == expected
        assert ways_out(expected)


@pytest.mark.parametrize("model", ["gpt_neox", "mistral"])
def test_a_16_bit_network_makes_right_vectors_and_wrong_ones(maker, files, model: str) -> None:
    make = maker(model, torch.bfloat16)
    right = check_vectors(*files(make()), make.folder, device="cpu")
    assert right.is_right
    assert "The numbers are those of bfloat16." in right.notes
    assert check_vectors(*files(unit(make(eos="none"))), make.folder, device="cpu").mistakes == ("no EOS", NORMALISED)


QUERIES = {
    "right": (lambda text: query_prompt(DEFAULT_INSTRUCTION, text), ()),
    "Instruct": (
        lambda text: f"Instruct: {query_prompt(DEFAULT_INSTRUCTION, text)}",
        ("obsolete `Instruct: ` prefix",),
    ),
    "passage": (passage_prompt, ("passage template on queries",)),
    "bare": (lambda text: text, ("no template",)),
    "scifact": (
        lambda text: query_prompt(TASK_INSTRUCTIONS["scifact"], text),
        ("instruction of the task scifact",),
    ),
}


@pytest.mark.parametrize("name", QUERIES)
def test_the_mistakes_of_queries_are_named(maker, tmp_path: Path, rows, name: str) -> None:
    prompt, expected = QUERIES[name]
    make = maker("mistral")
    np.save(tmp_path / "v.npy", make(lambda row: prompt(row["title"])))
    (tmp_path / "q.txt").write_text("".join(f"{row['title']}\n" for row in rows))
    verdict = check_vectors(tmp_path / "v.npy", tmp_path / "q.txt", make.folder, role="queries", device="cpu")
    assert verdict.mistakes == expected
    if name == "scifact":
        asked = {"role": "queries", "instruction": "scifact", "device": "cpu"}
        assert check_vectors(tmp_path / "v.npy", tmp_path / "q.txt", make.folder, **asked).is_right


def test_the_engines_own_vectors_are_right(maker, files, rows) -> None:
    make = maker("mini")
    with BMRetrieverEncoder("mini", dtype="float32", device="cpu") as encoder:
        vectors = encoder.encode_passages([row["text"] for row in rows], [row["title"] for row in rows])
        shorter = encoder.encode_passages([row["text"] for row in rows[:3]])
    assert check_vectors(*files(vectors), "mini", device="cpu").is_right
    assert check_vectors(*files(make(limit=128)), "mini", max_length=128, device="cpu").is_right
    assert shorter.shape == (3, 576)


def test_vectors_of_stock_sentence_transformers_are_explained(maker, files, rows) -> None:
    stock = pytest.importorskip("sentence_transformers")
    make = maker("gemma")
    model = stock.SentenceTransformer(make.folder, device="cpu")
    vectors = model.encode([bare(row) for row in rows], normalize_embeddings=True)
    verdict = check_vectors(*files(vectors), make.folder, device="cpu")
    assert verdict.mistakes == ("no template", "no EOS", MEAN, "cut at 2,048 tokens, not 512", NORMALISED)


def test_a_model_that_normalises_is_asked_for_normalised_vectors(maker, files, tmp_path: Path) -> None:
    make = maker("llama")
    export_checkpoint(make.folder, tmp_path / "to", normalize=True)
    folder = str(tmp_path / "to")
    assert check_vectors(*files(unit(make())), folder, device="cpu").is_right
    assert check_vectors(*files(make()), folder, device="cpu").mistakes == ("not normalised",)


def test_other_mistakes_are_none_of_the_known(maker, files, tmp_path: Path, rows) -> None:
    make = maker("llama")
    other = write_tiny_checkpoint(tmp_path / "other", "llama", seed=1)
    random = np.random.default_rng(0).normal(size=(len(rows), 64)).astype(np.float32)
    for vectors in (type(make)(str(other), rows)(), random, make(lambda row: row["text"].upper())):
        verdict = check_vectors(*files(vectors), make.folder, device="cpu")
        assert verdict.mistakes is None
        assert verdict.headline == "None of the known mistakes made these vectors (42 rows compared)."
        assert len(verdict.candidates) >= 3
        assert verdict.candidates == tuple(sorted(verdict.candidates, key=lambda one: -one.fitting))
        assert "the right way" in [one.name for one in verdict.candidates]


def test_some_rows_of_other_texts_are_named(maker, files) -> None:
    make = maker("llama")
    vectors = make()
    vectors[[3, 17]] = vectors[[4, 18]]
    verdict = check_vectors(*files(vectors), make.folder, device="cpu")
    assert verdict.unexplained == (4, 18)
    assert verdict.fitting == 40
    assert not verdict.is_right
    assert verdict.headline.startswith("Some rows are not these texts' vectors, the others are right: 40 of 42 rows")


def test_one_vector_for_all_texts_and_another_width_are_named(maker, files) -> None:
    make = maker("llama")
    same = np.tile(make()[:1], (42, 1))
    assert check_vectors(*files(same), make.folder, device="cpu").mistakes == ("every row is the same vector",)
    wide = np.ones((42, 768), np.float32)
    (mistake,) = check_vectors(*files(wide), make.folder, device="cpu").mistakes
    assert mistake == "another width: 768 and not the model's 64"


def test_files_that_do_not_belong_together_are_refused(maker, files, tmp_path: Path) -> None:
    make = maker("llama")
    vectors, texts = files(make())
    broken = make()
    broken[3, 0] = np.nan
    faults = {
        r"holds 41 vectors, and there are 42 texts": make()[:41],
        r"NaN or infinity in row 4": broken,
        r"int8 of shape \(42, 64\)": make().astype(np.int8),
        r"float32 of shape \(2688,\)": make().ravel(),
    }
    for message, content in faults.items():
        np.save(vectors, content)
        with pytest.raises(ValueError, match=message):
            check_vectors(vectors, texts, make.folder, device="cpu")
    np.save(vectors, make())
    texts.write_text(texts.read_text().replace('"text"', '"content"'))  # as MedRAG names it
    assert check_vectors(vectors, texts, make.folder, device="cpu").is_right
    texts.write_text(texts.read_text().replace('"content"', '"txt"', 1))
    with pytest.raises(ValueError, match=r'texts\.jsonl:1: a row needs a "text"'):
        check_vectors(vectors, texts, make.folder, device="cpu")
    texts.write_text(json.dumps([]) + "\n")
    with pytest.raises(ValueError, match=r"a row needs a \"text\""):
        check_vectors(vectors, texts, make.folder, device="cpu")


@pytest.fixture
def few(maker, rows, tmp_path: Path):
    """A function: vectors, texts of 8 rows which are cut and 12 which are not -> the verdict; and what makes such vectors."""
    texts = [{"title": "", "text": f"{row['text']} " * (60 if place < 8 else 1)} for place, row in enumerate(rows[:20])]
    make = replace(maker("mistral"), rows=texts)

    def check(vectors):
        np.save(tmp_path / "few.npy", vectors)
        (tmp_path / "few.jsonl").write_text("\n".join(map(json.dumps, texts)))
        return check_vectors(tmp_path / "few.npy", tmp_path / "few.jsonl", make.folder, device="cpu")

    return make, check


def test_eos_that_is_lost_in_many_texts_is_named(few) -> None:
    make, check = few
    verdict = check(make(eos="before the cut"))
    assert (verdict.mistakes, verdict.fitting) == (("no EOS where a text was cut",), 20)


def test_a_part_of_the_rows_may_be_normalised_or_stand_elsewhere(few) -> None:
    make, check = few
    vectors = make()
    assert check(np.vstack([vectors[:17], unit(vectors[17:])])).mistakes == ("normalised to length 1 in 3 of 20 rows",)
    vectors[[2, 3]] = vectors[[3, 2]]
    assert check(vectors).mistakes == ("rows in another order (2 of 20 stand elsewhere)",)


def test_rows_beyond_the_sample_are_looked_at_for_nan_and_zeros(maker, tmp_path: Path, rows) -> None:
    make = replace(maker("mistral"), rows=rows[:2])
    vectors = np.repeat(make(), 100, axis=0)
    texts = [row for row in rows[:2] for _ in range(100)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, texts)))
    for place in (1, 101):
        vectors[place] = 0
        np.save(tmp_path / "v.npy", vectors)
        verdict = check_vectors(tmp_path / "v.npy", tmp_path / "t.jsonl", make.folder, device="cpu")
        assert place + 1 in verdict.unexplained or "another order" in verdict.headline, verdict.headline
        assert not verdict.is_right
    vectors[150] = np.nan
    np.save(tmp_path / "v.npy", vectors)
    with pytest.raises(ValueError, match="NaN or infinity in row 151; compute these rows again"):
        check_vectors(tmp_path / "v.npy", tmp_path / "t.jsonl", make.folder, device="cpu")


def test_what_cannot_be_explained_has_a_way_out(few) -> None:
    make, check = few
    verdict = check(np.random.default_rng(0).normal(size=make().shape))
    assert verdict.mistakes is None
    assert any("--model" in way for way in ways_out(verdict.mistakes))


def test_what_is_no_file_of_numpy_is_not_proposed_to_be_unpickled(maker, files, tmp_path: Path) -> None:
    make = maker("mistral")
    vectors, texts = files(make())
    for content in (b"0.1,0.2\n", b"PAR1", b"", vectors.read_bytes()[:2000]):
        vectors.write_bytes(content)
        with pytest.raises(ValueError, match=r"is no whole \.npy file of numbers; numpy\.save") as caught:
            check_vectors(vectors, texts, make.folder, device="cpu")
        assert "pickle" not in str(caught.value)
