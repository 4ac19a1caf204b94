"""BM25 on small texts, and its published numbers on real ones."""

from __future__ import annotations

import re

import pytest
from bm25s.stopwords import STOPWORDS_EN

from bmretriever_integrations.evaluation.systems.bm25 import STOP_WORDS, Analyzer, Bm25
from bmretriever_integrations.evaluation.systems.comparison import compare
from bmretriever_integrations.evaluation.tasks.retrieval import load_task

LUCENE_WORD = re.compile(r"\w+(?:['\u2019.]\w+)*")
"""The tokens of Lucene's StandardTokenizer in Latin text: an apostrophe or a full stop between letters or digits joins them."""


def lucene_words(text):
    return [re.sub(r"['\u2019]s$", "", word) for word in LUCENE_WORD.findall(text)]


LUCENE = Analyzer("lucene", lucene_words, STOPWORDS_EN)
"""Lucene's EnglishAnalyzer, which Anserini's published BEIR numbers come from: possessives cut off, 33 stop words."""


def found(folder, queries_are_documents=False):
    task = load_task(folder, queries_are_documents=queries_are_documents)
    ranking = Bm25().rank(task, 100).ranking
    return {query: [task.document_ids[p] for p in row] for query, row in zip(task.queries, ranking, strict=True)}


def test_stems_titles_stop_words_and_empty_texts(write_task):
    documents = {
        "stem": "infections of the lung",
        "title": ("Pneumonia", "a disease"),
        "empty": "",
        "letter": "vitamin C",
        "other": "what is this about, and how?",
    }
    queries = {
        "q1": "lung infection",
        "q2": "what is pneumonia",
        "q3": "what is it",
        "q4": "vitamin c",
        "q5": "zzz unseen",
        "q6": "?",
    }
    folder = write_task("words", documents, queries, [(query, "stem", 1) for query in queries])
    assert found(folder) == {"q1": ["stem"], "q2": ["title"], "q3": [], "q4": ["letter"], "q5": [], "q6": []}


def test_equal_scores_in_the_order_of_the_corpus_and_own_documents_left_out(write_task):
    documents = {"z": "fever", "a": "fever", "m": "fever"}
    folder = write_task("ties", documents, {"q": "fever", "a": "fever"}, [("q", "a", 1), ("a", "z", 1)])
    assert found(folder) == {"q": ["z", "a", "m"], "a": ["z", "a", "m"]}
    assert found(folder, queries_are_documents=True) == {"q": ["z", "a", "m"], "a": ["z", "m"]}


def test_a_corpus_without_a_word_finds_nothing(write_task):
    assert found(write_task("mute", {"d": "", "e": "the"}, {"q": "fever"}, [("q", "d", 1)])) == {"q": []}


@pytest.mark.parametrize(
    ("name", "ndcg", "recall"),
    [("eval/scifact", 0.675, 0.929), ("eval/pubmedqa-answer", 0.876, 0.971), ("demo/do-cc0", 0.087, 0.170)],
)
def test_the_datas_own_bm25_numbers(real_task, name, ndcg, recall):
    (result,) = compare([Bm25()], [load_task(real_task(name))], {})
    assert result.means["nDCG@10"] == pytest.approx(ndcg, abs=0.006)
    assert result.means["Recall@100"] == pytest.approx(recall, abs=0.007)


def test_anserini_s_published_numbers_with_lucene_s_words(real_task):
    """Anserini, docs of the regression beir-v1.0.0-scifact.flat: nDCG@10 0.6789, Recall@100 0.9253; ours 0.6780, 0.9253."""
    (result,) = compare([Bm25(LUCENE)], [load_task(real_task("eval/scifact"))], {})
    assert result.means["nDCG@10"] == pytest.approx(0.6789, abs=0.005)
    assert result.means["Recall@100"] == pytest.approx(0.9253, abs=0.0005)


def test_lucene_s_words_keep_abbreviations_whole_and_drop_possessives():
    assert LUCENE.split("crohn's disease in the u.s. and 1.5 mg, o'neil\u2019s") == [
        *("crohn", "disease", "in", "the", "u.s", "and", "1.5", "mg", "o'neil"),
    ]
    assert "what" in STOP_WORDS
    assert "what" not in LUCENE.stop_words


def test_the_analyzer_is_part_of_the_settings(write_task):
    task = load_task(write_task("t", {"d": "fever"}, {"q": "what fever"}, [("q", "d", 1)]))
    assert Bm25().settings(task) != Bm25(LUCENE).settings(task)
