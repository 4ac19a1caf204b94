"""Where sentences of biomedical texts end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from bmretriever_integrations.passages.sentences import sentence_starts


def sentences(text):
    places = [0, *sentence_starts(text), len(text)]
    return [text[begin:end].strip() for begin, end in pairwise(places)]


@pytest.mark.parametrize(
    "expected",
    [
        ["As shown by Smith et al. 2020, it works.", "We agree."],
        ["This was known (Smith et al., 2020).", "Later work [13,14] agreed [15].", "It is."],
        ["Results are in Fig. 2, Figs. 3 and 4, Suppl. Fig. S1 and Eq. 5.", "They differ."],
        ["It was seen with p < 0.05.", "Others had p = .07 in 3.5 mg/kg."],
        ["Escherichia coli and E. coli O157:H7 were tested.", "S. aureus grew."],
        ["Lactobacillus spp. and Bifidobacterium sp. were found.", "They vary."],
        ["Drug was given i.v. at 5 mg, i.e. slowly.", "Then p.o. in the second week."],
        ["It took approx. 5 min vs. 10 min in No. 7.", "Then it ended."],
        ["Dr. Smith and J. A. Jones reviewed.", "Disagreements were resolved."],
        ["We measured IL-6.", "TNF-α was low.", "mRNA rose.", "p53 fell.", "α was 0.05."],
        ["The p.Arg123Cys (c.367C>T) variant was found.", "It is rare."],
        ["Cells (Sigma-Aldrich, St. Louis, MO, USA) were used.", "They grew."],
        ["Samples were kept at 4 °C.", "RNA was extracted."],
        ["OBJECTIVE: To test.", "METHODS: We tested.", "Is it so?", "Yes!"],
        ["The U.S. Food and Drug Administration approved it.", "Use rose."],
    ],
    ids=lambda expected: expected[0][:20],
)
def test_sentences_of_biomedical_texts(expected):
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize("gap", ["\n\n", "\r\n\r\n", "\n \t\n", "\u2029"])
def test_a_paragraph_ends_a_sentence(gap):
    assert sentences(f"Background{gap}we tested, cf.{gap}[1] Aspirin") == [
        "Background",
        "we tested, cf.",
        "[1] Aspirin",
    ]


def test_a_line_does_not():
    assert sentences("Aspirin lowers\nfever. It\r\nworks.") == ["Aspirin lowers\nfever.", "It\r\nworks."]


def test_long_texts_are_read_in_parts_that_end_no_sentence():
    text = "治疗很有效。" * 5_000
    assert [place % 6 for place in sentence_starts(text)] == [0] * 4_999
    words = "aspirin lowers fever and " * 2_000 + "pain. It works."
    assert sentence_starts(words) == [len(words) - len("It works.")]
