"""Full text: names in any spelling find what they should, above near misses; no question raises or means more than its words."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pytest

from bmretriever_integrations.corpus.records import Record
from bmretriever_integrations.index.search.full_text import words_of

pytest.importorskip("lancedb")

FILLER = (
    "patients",
    "were",
    "treated",
    "in",
    "three",
    "hospitals",
    "and",
    "followed",
    "until",
    "the",
    "end",
    "of",
    "this",
    "study",
)


@pytest.fixture
def search(tmp_path):
    """A function: texts, optimized or not -> a function: question -> places of the texts that it finds, best first."""
    from bmretriever_integrations.index.schema import table_of
    from bmretriever_integrations.index.search.full_text import full_text_query
    from bmretriever_integrations.index.table import create_table, optimize

    def fill(texts, whole=True):
        table = create_table(tmp_path / str(len(list(tmp_path.iterdir()))), 2, "float16")
        records = [Record(str(n), "", text) for n, text in enumerate(texts)]
        table.add(table_of(records, np.ones((len(texts), 2), np.float32), ["made"] * len(texts), "float16"))
        if whole:
            optimize(table)

        def ask(question, count=100):
            query = table.search(full_text_query(question), query_type="fts").select(["id", "_score"]).limit(count)
            found = query.to_list()
            return [int(row["id"]) for row in sorted(found, key=lambda row: (-row["_score"], int(row["id"])))]

        return ask

    return fill


NAMES = {
    "interleukin": (
        ("IL-6", "IL6", "IL 6", "IL\u20116", "IL\u22126"),
        "IL-8 was measured for 6 weeks with IL-8 and 6 more",
    ),
    "tumour necrosis factor": (("TNF-α", "TNF-alpha", "TNFα", "TNFalpha"), "TNF-β and TNF without its alpha chain"),
    "catenin": (("β-catenin", "beta-catenin", "Beta-Catenin"), "α-catenin and a beta blocker and a catenin"),
    "serotonin": (("5-HT2A", "5HT2A", "5-HT(2A)", "5-HT 2A"), "5-HT3 at 2 sites, 5 of type A, and HT2"),
    "micro-RNA": (("miR-21", "miR21", "miR 21"), "miR-155 in 21 samples and miR-122"),
    "disease": (("COVID-19", "COVID19", "Covid-19", "covid\u201019"), "COVID in 19 patients"),
    "virus": (("SARS-CoV-2", "SARS CoV-2"), "SARS-CoV in 2 of 3 patients, 2 with SARS"),
    "protein": (("p53", "P53"), "p 63 and 53 more"),
    "peroxide": (("H2O2", "H\u2082O\u2082"), "H2O and O2"),
    "marker": (("CD4+", "CD4(+)", "CD4\u207a", "CD4"), "CD8+ in 4 mice"),
    "pump": (("Na+/K+-ATPase", "Na,K-ATPase", "Na/K-ATPase"), "Na+ or K+, and another ATPase"),
    "receptor": (("HER2/neu", "HER2-neu"), "HER3 and neu"),
    "accent": (("naïve", "naive", unicodedata.normalize("NFD", "naïve")), "natives"),
    "units": (("\u00b5-opioid", "\u03bc-opioid", "mu-opioid"), "kappa-opioid and mu"),
    "factor": (("NF-κB", "NF-kappaB", "NFκB"), "NFAT and a kappa chain of B cells"),
    "interferon": (("IFN-γ", "IFN gamma", "IFN-gamma"), "IFN-α and gamma rays"),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_spelling_finds_every_spelling_above_a_near_miss(search, name):
    spellings, near_miss = NAMES[name]
    draw = random.Random(name)

    def text(about: str, words: int) -> str:
        left, right = (" ".join(draw.choices(FILLER, k=words)) for _ in range(2))
        return f"{left} {about} {right}"

    texts = [text(spelling, 30) for spelling in spellings]
    texts += [text(near_miss, 30), *(text("", 30) for _ in range(40))]
    ask = search(texts)
    for spelling in spellings:
        found = ask(f"the effect of {spelling}")
        assert sorted(found[: len(spellings)]) == list(range(len(spellings))), spelling


def test_a_name_inside_a_longer_one_is_found(search):
    ask = search(
        ["anti-IL-6-receptor antibody", "SARS-CoV-2-infected cells", "hsa-miR-21-5p", "IL-1β-induced", "x 6 2 21 1"]
    )
    assert [ask(question)[0] for question in ("IL-6", "SARS-CoV-2", "miR-21", "IL-1beta")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("one", "other"), [("H(2)O(2)", "H2O2"), ("SARS-CoV-2", "SARSCoV2"), ("CD4(+)CD25(+)", "CD4+CD25+")]
)
def test_rare_spellings_find_each_other(search, one, other):
    ask = search([f"{one} alone", f"{other} alone", "nothing of the kind alone"])
    assert set(ask(one)) == set(ask(other)) == {0, 1}


def test_a_question_in_small_letters(search):
    ask = search(["IL6 in sepsis", "IL-8 in sepsis"])
    assert ask("il 6")[0] == 0


def test_greek_letters_find_their_names_and_the_other_way_round(search):
    ask = search(["a β blocker", "a beta blocker", "a blocker"])
    assert sorted(ask("β blocker")[:2]) == sorted(ask("beta blocker")[:2]) == [0, 1]


def test_accents_stop_words_and_stems(search):
    ask = search(["Sjögren's syndrome", "infections of the lung", "what is it"])
    assert ask("sjogrens") == ask("Sjögren") == [0]
    assert ask("lung infection") == [1]
    assert ask("what is it?") == []


def test_text_after_six_weeks_is_no_name():
    assert (
        words_of("", "after 6 weeks, in 12 of 30; 2008-2009; 1,000") == "after 6 weeks, in 12 of 30; 2008-2009; 1,000"
    )
    assert words_of("IL-6", "and IL6") == "IL-6 and IL6 il6"


def test_a_record_without_names_keeps_its_words_alone():
    assert words_of("", "") == ""
    assert words_of("Title", "") == "Title"
    assert words_of("A title.", "And a text.") == "A title. And a text."


ODD = (
    *("", " ", "\t\n", "(", ")", "*", "?", '"', "'", '"fever', '"fever cough"', "fever*", "+fever -cough", "words:fever"),
    *("fever~2", "fever AND NOT cough", "NOT", "OR", "fever^9", "[a TO z]", "{!}", "\\", "\x00", "\ud800", "🧬", "the of and"),
    *("; DROP TABLE records; --", "-" * 50, "a" * 100_000, "IL-" * 20_000, "ACGT" * 10_000, "https://a.org/?q=" + "x" * 3_000),
)  # fmt: skip


@pytest.mark.parametrize("whole", [True, False])
def test_no_question_raises_and_nothing_in_it_is_an_operator(search, whole):
    ask = search(["fever", "cough", "a b c", "words", "drop table records"], whole)
    for question in ODD:
        ask(question)
    for question in ("fever*", '"fever', "fever~2", "fever^9", "NOT fever"):
        assert ask(question) == [0]
    for question in ("+fever -cough", "fever AND NOT cough", '"fever cough"', '"cough fever"'):
        assert sorted(ask(question)) == [0, 1]
    assert ask("words:fever") == ask("fever words") == [0, 3]


def test_ten_thousand_words(search):
    draw = random.Random(1)
    ask = search([f"word{n} fever" for n in range(300)])
    question = " ".join(f"word{draw.randrange(100_000)}" for _ in range(10_000))
    assert ask(f"{question} word7 word7 word7 word7")[0] == 7


def test_a_long_text_of_anything_takes_no_longer_than_its_length():
    for text in (
        "a" * 2_000_000,
        "a-" * 500_000,
        "-" * 2_000_000,
        "α" * 1_000_000,
        "aα" * 500_000,
        "A 1" * 500_000,
        "a_" * 500_000,
    ):
        assert words_of("", text).startswith(text[:100])


def test_equal_records_come_in_the_same_order_each_time(search):
    ask = search(["fever today"] * 500 + ["cough"] * 500)
    assert ask("fever", 20) == ask("fever", 20)
    assert len(ask("fever", 20)) == 20
