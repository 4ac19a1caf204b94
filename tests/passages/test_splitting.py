"""Passages that no model cuts, and that lose no word."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from bmretriever_integrations.encoder import PassageCounter
from bmretriever_integrations.passages import PassageSplitter, ShortenedTitleWarning, split_text
from bmretriever_integrations.prompts import PASSAGE_PREFIX, passage_prompt

TITLE = "Metformin in type 2 diabetes: a randomised trial (IL-6, TNF-α)"
WORDS = "metformin glucose HbA1c 0.05 IL-6 TNF-α 95% CI of the in patients β-globin naïve 肿瘤 [12] 10µg"
HOSTILE = {
    "empty": "",
    "white space": " \t\n \u2029 \u00a0",
    "a letter": "a",
    "one word": "x" * 100_000,
    "Chinese": "肿瘤" * 5_000,
    "Chinese sentences": "治疗有效。" * 2_000,
    "emoji": "🧬👩‍👩‍👧‍👦" * 800,
    "combining marks": "a" + "\u0301\u0323" * 3_000,
    "marks behind spaces": "a \u0301" * 2_000,
    "control characters": "\x00\x01\x1f \x7f" * 1_000,
    "empty lines": "\r\n\r\n" * 3_000 + "x" + "\t" * 3_000 + "y" + " \n" * 3_000,
    "letters with full stops": "a. b. " * 1_500,
    "names of special tokens": "</s> <|endoftext|> <eos><bos> <mask> " * 400,
    "characters that become several": "\U0001d160ﷺ½㎏" * 500,
    "no spaces and then sentences": "y" * 3_000 + ". " + "He said so. " * 600,
    "formulas": "C6H12O6=3.14e-5±0.2;" * 600,
}


@pytest.fixture(scope="module")
def counter():
    return PassageCounter("mini")


@pytest.fixture(scope="module")
def splitter(counter):
    return PassageSplitter(counter)


def article(chance, sentences):
    """Sentences of 1 to 60 words, in paragraphs."""
    words = WORDS.split()
    ends = [". ", "? ", "! ", ".\n\n", " (Smith et al., 2020). ", ".[3] "]
    return "".join(
        " ".join(chance.choices(words, k=chance.randint(1, 60))).capitalize() + chance.choice(ends)
        for _ in range(sentences)
    )


def cut(counter, passages, title):
    """How many of them the encoder would cut: its own count, of its own prompts."""
    prompts = [passage_prompt(passage, title) for passage in passages]
    return sum(window.cut for window in counter.tokenizer.windows(prompts, PASSAGE_PREFIX))


def check(splitter, text, title):
    passages = splitter.split(text, title)
    assert cut(splitter.counter, passages, title) == 0
    assert all(passage and passage == passage.strip() for passage in passages)
    assert "".join("".join(passages).split()) == "".join(text.split())  # every character but white space, in order
    return passages


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_cut_by_the_model(splitter, text):
    for title in (None, TITLE):
        passages = check(splitter, text, title)
        assert bool(passages) == bool(text.strip())


@pytest.mark.network
def test_nothing_is_cut_with_the_real_tokenizers(real):
    counter = PassageCounter(real.folder)
    splitter = PassageSplitter(counter)
    for text in [*HOSTILE.values(), article(random.Random(3), 60)]:
        check(splitter, text[:8_000], TITLE)


@pytest.mark.parametrize("max_length", [64, 512])
def test_the_encoder_embeds_every_passage_whole(encoder, max_length):
    tiny = PassageSplitter(PassageCounter(encoder.settings.model, max_length=max_length))
    for text in [text[:2000] for text in HOSTILE.values()] + [article(random.Random(4), 20)]:
        passages = check(tiny, text, "Metformin")
        assert len(encoder.encode_passages(passages, ["Metformin"] * len(passages))) == len(passages)
    assert encoder.cut_texts == 0


def test_passages_end_where_sentences_end(splitter):
    text = article(random.Random(1), 200)
    passages = check(splitter, text, TITLE)
    assert len(passages) > 5
    assert all(re.search(r"[.?!](?: ?\[\d+\])?$", passage) for passage in passages)


def test_passages_are_few_and_even(splitter, counter):
    text = "Metformin lowers blood glucose in people with diabetes. " * 100
    whole = len(counter.text_tokens(text))
    passages = check(splitter, text, None)
    assert len(passages) == -(-whole // counter.passage_tokens)
    sizes = [len(counter.text_tokens(passage)) for passage in passages]
    assert max(sizes) - min(sizes) <= 2 * len(
        counter.text_tokens("Metformin lowers blood glucose in people with diabetes.")
    )


def test_a_short_text_stays_as_it_is(splitter):
    assert splitter.split("  Two  spaces.\n\nAnd a paragraph. ", "Title") == ["Two  spaces.\n\nAnd a paragraph."]


def test_spans_say_where_a_passage_was(splitter):
    text = article(random.Random(2), 100)
    assert [text[begin:end] for begin, end in splitter.spans(text, TITLE + " ")] == splitter.split(text, TITLE)


def test_a_long_sentence_is_cut_between_words_and_a_long_word_between_letters(splitter):
    words = " ".join(f"word{number}" for number in range(2_000))
    assert " ".join(check(splitter, words, None)).split() == words.split()
    letters = splitter.split("a\u0301" * 20_000)
    assert len(letters) > 1
    assert not any(passage.startswith("\u0301") for passage in letters)


def test_max_tokens_counts_the_text_alone(counter):
    text = article(random.Random(5), 60)
    small = PassageSplitter(counter, max_tokens=100)
    passages = check(small, text, TITLE)
    sizes = [len(counter.text_tokens(passage)) for passage in passages]
    assert max(sizes) <= 100
    assert sum(sizes) / len(sizes) > 60
    assert len(passages) > len(PassageSplitter(counter).split(text, TITLE))
    for text in HOSTILE.values():
        assert all(len(counter.text_tokens(passage)) <= 100 for passage in check(small, text, TITLE))


def test_overlap_repeats_whole_sentences(counter):
    sentences = [f"Sentence number {number} is about metformin and glucose." for number in range(100, 300)]
    passages = PassageSplitter(counter, overlap=40).split(" ".join(sentences), TITLE)
    numbers = [[int(found) for found in re.findall(r"number (\d+)", passage)] for passage in passages]
    shared = [before[-1] - after[0] + 1 for before, after in pairwise(numbers)]
    tokens = len(counter.text_tokens(" " + sentences[100]))
    assert set(shared) == {40 // tokens}
    assert sorted({number for row in numbers for number in row}) == list(range(100, 300))
    assert cut(counter, passages, TITLE) == 0


def test_a_long_title_is_shortened_and_said(splitter, counter):
    title = "A very long title about metformin " * 100
    with pytest.raises(ValueError, match="it may take 253, half of what the model embeds"):
        splitter.split("Text.", title)
    with pytest.warns(ShortenedTitleWarning, match="A very long title"):
        short = splitter.shortened_title(title)
    assert title.startswith(short)
    assert 240 <= len(counter.text_tokens(short)) <= 253
    assert short.split() == title.split()[: len(short.split())]
    check(splitter, HOSTILE["Chinese"], short)
    with pytest.warns(ShortenedTitleWarning):
        word = splitter.shortened_title("肿" * 5_000)
    check(splitter, HOSTILE["Chinese"], word)
    assert len(word) > 50
    assert splitter.shortened_title(TITLE) == TITLE


class Letters:
    """Counts every character, so that the space behind a title is a token of its own, as in most tokenizers."""

    passage_tokens = 40

    def text_tokens(self, text: str) -> list[int]:
        return [ord(letter) for letter in text]


@pytest.mark.parametrize("length", [18, 19, 20, 21, 60])
@pytest.mark.filterwarnings("ignore::bmretriever_integrations.passages.ShortenedTitleWarning")
def test_a_shortened_title_is_never_refused(length):
    splitter = PassageSplitter(Letters())
    for title in ("a" * length, "ab " * length, "a" * 19 + " b" * length):
        short = splitter.shortened_title(title)
        assert title.startswith(short)
        assert splitter.split("text", short) == ["text"]


def test_one_call_is_the_splitter(counter, splitter):
    text = article(random.Random(6), 80)
    assert split_text(text, TITLE, counter) == splitter.split(text, TITLE)
    assert split_text(text, TITLE, counter, max_tokens=64, overlap=8) == PassageSplitter(
        counter, max_tokens=64, overlap=8
    ).split(text, TITLE)


@pytest.mark.parametrize("missing", [None, "", float("nan")])
def test_a_missing_title_is_none(splitter, missing):
    text = article(random.Random(7), 60)
    assert splitter.split(text, missing) == splitter.split(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 600}, "max_tokens must be from 16 to the model's 506, got 600"),
        ({"max_tokens": 15}, "from 16"),
        ({"overlap": -1}, "overlap must be from 0 to 126"),
        ({"max_tokens": 100, "overlap": 51}, "overlap must be from 0 to 50"),
    ],
)
def test_numbers_out_of_range_are_refused(counter, settings, message):
    with pytest.raises(ValueError, match=message):
        PassageSplitter(counter, **settings)


@pytest.mark.parametrize("settings", [{"max_tokens": 64.0}, {"max_tokens": True}, {"overlap": None}])
def test_what_is_no_number_is_refused(counter, settings):
    with pytest.raises(TypeError, match="must be an int"):
        PassageSplitter(counter, **settings)


def test_what_is_no_text_is_refused(splitter):
    with pytest.raises(TypeError, match="text must be a str, got bytes"):
        splitter.split(b"text")
    with pytest.raises(TypeError, match="title must be a str, got list"):
        splitter.split("text", ["title"])
    with pytest.raises(ValueError, match=r"text holds a lone surrogate \(U\+D83D at character 5\)"):
        splitter.split("text \ud83d")
    with pytest.raises(ValueError, match="title holds a lone surrogate"):
        splitter.shortened_title("\ud83d")


def test_too_small_a_model_is_refused():
    with pytest.raises(ValueError, match="max_length leaves 24 tokens for title and text, and passages need 32"):
        PassageSplitter(PassageCounter("mini", max_length=30))
