"""C3: BOS is the tokenizer's own, EOS is ours, whatever the tokenizer's flags say."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from bmretriever_integrations.encoder import tokens as tokens_module
from bmretriever_integrations.encoder.texts import check_texts
from bmretriever_integrations.encoder.tokens import PromptTokenizer
from bmretriever_integrations.testing import ARCHITECTURES

LONG = "Represent this passage\npassage: " + "glucose " * 900


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ids_are_those_of_the_authors_loop(tiny, architecture):
    tokenizer = AutoTokenizer.from_pretrained(tiny(architecture))
    texts = ["", "a", "two\nlines", "αβγ 🧬", LONG]
    expected = [
        [*tokenizer(text, max_length=63, truncation=True)["input_ids"], tokenizer.eos_token_id] for text in texts
    ]
    assert PromptTokenizer(tokenizer, 64)(texts) == expected
    assert len(expected[-1]) == 64
    bos = {"gemma": [2], "mistral": [1]}.get(architecture, [])
    assert PromptTokenizer(tokenizer, 64).prefix == bos


@pytest.mark.parametrize("architecture", ["gpt_neox", "gemma", "llama"])
def test_a_tokenizer_that_appends_eos_itself_gives_the_same_ids(tiny, architecture, tmp_path):
    plain = PromptTokenizer(AutoTokenizer.from_pretrained(tiny(architecture)), 64)
    folder = shutil.copytree(tiny(architecture), tmp_path / "flagged")
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    eos, bos = backend.id_to_token(plain.eos_id), [backend.id_to_token(row) for row in plain.prefix]
    specials = [(piece, backend.token_to_id(piece)) for piece in {eos, *bos}]
    backend.post_processor = TemplateProcessing(single=" ".join([*bos, "$A", eos]), special_tokens=specials)
    backend.save(str(folder / "tokenizer.json"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    flagged = AutoTokenizer.from_pretrained(folder)
    assert flagged("a")["input_ids"][-1] == plain.eos_id  # it does append by itself
    assert PromptTokenizer(flagged, 64)(["", "a", LONG]) == plain(["", "a", LONG])


def test_other_tokens_after_a_text_are_refused(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 7)])
    with pytest.raises(ValueError, match=r"puts the tokens \[7\] after each text, which are not its EOS \(2\)"):
        PromptTokenizer(tokenizer, 64)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_special_tokens_in_texts_are_split_where_the_tokenizer_says_so(tiny, architecture):
    folder = tiny(architecture)
    split = AutoTokenizer.from_pretrained(folder, split_special_tokens=True)
    texts = [f"stop {split.eos_token} here"]
    expected = [[*split(text)["input_ids"], split.eos_token_id] for text in texts]
    assert PromptTokenizer(split, 64)(texts) == expected
    assert PromptTokenizer(AutoTokenizer.from_pretrained(folder), 64)(texts) != expected


def test_truncation_and_padding_of_the_tokenizer_do_not_count(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("gemma"))
    expected = PromptTokenizer(tokenizer, 64)(["a", LONG])
    tokenizer.backend_tokenizer.enable_truncation(5)
    tokenizer.backend_tokenizer.enable_padding(length=99)
    tokenizer.truncation_side = "left"
    assert PromptTokenizer(tokenizer, 64)(["a", LONG]) == expected


def test_many_threads_with_different_lengths_share_one_tokenizer(tiny):
    tokenizer = AutoTokenizer.from_pretrained(tiny("llama"))

    def lengths_seen(max_length):
        return {len(PromptTokenizer(tokenizer, max_length)([LONG])[0]) for _ in range(20)}

    with ThreadPoolExecutor(8) as pool:
        lengths = list(range(20, 36))
        assert list(pool.map(lengths_seen, lengths)) == [{length} for length in lengths]


def test_windows_cover_every_text_once(tiny):
    tokens = PromptTokenizer(AutoTokenizer.from_pretrained(tiny("llama")), 16)
    prompts = [f"{number}" for number in range(5400)]
    seen = []
    for window in tokens.windows(prompts, ""):
        assert window.first == len(seen)
        seen.extend(window.ids)
    assert seen == tokens(prompts)
    assert list(tokens.windows([], "")) == []


def test_max_length_leaves_room_for_text(tiny):
    with pytest.raises(ValueError, match="at least 3"):
        PromptTokenizer(AutoTokenizer.from_pretrained(tiny("gemma")), 2)


def test_texts_that_no_tokenizer_can_take_are_refused():
    with pytest.raises(TypeError, match=r"write \[text\]"):
        check_texts("one text", "texts")
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, got NoneType"):
        check_texts(["a", None], "texts")  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"texts\[0\] holds a lone surrogate \(U\+D83D at character 3\)"):
        check_texts(["abc\ud83d"], "texts")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_template_is_what_stays_of_it_before_other_texts(tiny, architecture):
    tokens = PromptTokenizer(AutoTokenizer.from_pretrained(tiny(architecture)), 64)
    for _ in range(2):  # computed, then remembered
        for instruction in ("Find what helps", "Answer", "Refute it"):
            template = f"{instruction}\nQuery: "
            ids = tokens.template(template)
            for text in ("Metformin", "does", "7 days", "αβγ"):
                assert tokens([template + text])[0][: len(ids)] == ids
            assert len(tokens([template])[0]) - 1 - len(ids) <= 1  # nothing but the last space is given up


def test_a_template_is_computed_once_and_only_so_many_are_remembered(tiny, monkeypatch):
    computed = []
    monkeypatch.setattr(tokens_module, "TEMPLATES_KEPT", 2)
    monkeypatch.setattr(tokens_module, "common_start", lambda rows: computed.append(rows[0]) or rows[0])
    tokens = PromptTokenizer(AutoTokenizer.from_pretrained(tiny("llama")), 64)
    for instruction in ("one", "two", "one", "two"):
        tokens.template(f"{instruction}\nQuery: ")
    assert len(computed) == 2
    for instruction in ("three", "one", "two"):  # the two before make room for the third
        tokens.template(f"{instruction}\nQuery: ")
    assert len(computed) == 5
