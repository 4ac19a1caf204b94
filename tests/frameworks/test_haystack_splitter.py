"""Passages of Haystack documents, which the document embedder embeds whole."""

from __future__ import annotations

import copy
import pickle

import pytest
from haystack import Document, Pipeline
from haystack.utils import Secret

from bmretriever_integrations.passages import ShortenedTitleWarning
from haystack_integrations.components.embedders.bmretriever import BMRetrieverDocumentEmbedder
from haystack_integrations.components.preprocessors.bmretriever import BMRetrieverDocumentSplitter

SENTENCE = "Metformin lowers HbA1c in adults with type 2 diabetes. "
ARTICLE = Document(
    content=SENTENCE * 60 + "\f" + SENTENCE * 40,
    meta={"title": "Metformin", "journal": "Example", "year": 2020, "authors": ["Smith"]},
)


@pytest.fixture(scope="module")
def splitter():
    component = BMRetrieverDocumentSplitter(model="mini", meta_fields_to_embed=["title"])
    component.warm_up()
    return component


def embedded_whole(documents, **settings):
    """The embedder of the same settings; the number of texts that it cut."""
    embedder = BMRetrieverDocumentEmbedder(model="mini", progress_bar=False, **settings)
    embedder.warm_up()
    encoder = embedder.embedding_backend.lease.engine
    before = encoder.cut_texts
    embedder.run(documents)
    cut = encoder.cut_texts - before
    embedder.close()
    return cut == 0


def test_passages_are_embedded_whole_and_keep_the_meta(splitter):
    passages = splitter.run([ARTICLE, Document(content="Short.", meta={"title": None})])["documents"]
    assert [passage.meta["split_id"] for passage in passages] == [0, 1, 2, 0]
    assert {passage.meta["source_id"] for passage in passages[:3]} == {ARTICLE.id}
    assert all(ARTICLE.meta.items() <= passage.meta.items() for passage in passages[:3])
    assert passages[3].meta["title"] is None
    for passage in passages[:3]:
        start = passage.meta["split_idx_start"]
        assert ARTICLE.content[start : start + len(passage.content)] == passage.content
        assert passage.content.endswith("diabetes.")
    assert "".join(" ".join(passage.content for passage in passages[:3]).split()) == "".join(ARTICLE.content.split())
    assert [passage.meta["page_number"] for passage in passages[:3]] == [1, 1, 2]
    assert passages[3].content == "Short."
    assert len({passage.id for passage in passages}) == 4
    passages[0].meta["authors"].append("Jones")
    assert passages[1].meta["authors"] == ARTICLE.meta["authors"] == ["Smith"]
    assert embedded_whole(passages, meta_fields_to_embed=["title"])


@pytest.mark.parametrize(
    "settings",
    [
        {"meta_fields_to_embed": ["title", "journal", "year", "missing"], "embedding_separator": "\n-----\n" * 9},
        {"prefix": "abstract: " * 20, "suffix": " <end>" * 30},
        {"max_length": 80},
    ],
    ids=["fields", "around", "length"],
)
def test_what_the_embedder_puts_around_a_text_is_counted(splitter, settings):
    dense = Document(content="IL-6/TNF-α±0.05; " * 120, meta=ARTICLE.meta)
    passages = BMRetrieverDocumentSplitter(model="mini", **settings).run([ARTICLE, dense])["documents"]
    assert embedded_whole(passages, **settings)
    assert len(passages) > len(splitter.run([ARTICLE, dense])["documents"])


def test_max_tokens_and_overlap():
    small = BMRetrieverDocumentSplitter(model="mini", max_tokens=50).run([ARTICLE])["documents"]
    assert len(small) > 20
    shared = BMRetrieverDocumentSplitter(model="mini", max_tokens=50, overlap=20).run([ARTICLE])["documents"]
    assert len(shared) > len(small)
    ends = [passage.meta["split_idx_start"] + len(passage.content) for passage in shared]
    assert all(passage.meta["split_idx_start"] < end for passage, end in zip(shared[1:], ends, strict=False))


def test_long_fields_are_shortened_in_the_passages_and_said():
    meta = {"title": "A title of many words " * 200, "journal": "J" * 2_000, "year": 2020}
    settings = {"meta_fields_to_embed": ["title", "year", "journal"], "embedding_separator": " / "}
    component = BMRetrieverDocumentSplitter(model="mini", **settings)
    article = Document(content=SENTENCE * 50, meta=meta)
    with pytest.warns(ShortenedTitleWarning):
        passages = component.run([article])["documents"]
    assert article.meta == meta
    assert len(passages) > 1
    assert meta["title"].startswith(passages[0].meta["title"])
    assert len(passages[0].meta["journal"]) > 20
    assert passages[0].meta["year"] == 2020
    assert embedded_whole(passages, **settings)
    with pytest.raises(ValueError, match="too little room"):
        BMRetrieverDocumentSplitter(model="mini", prefix="word " * 300).run([article])


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_document_without_text_stays(splitter, content):
    (passage,) = splitter.run([Document(content=content, meta={"title": "Title alone"})])["documents"]
    assert passage.content == ""
    assert passage.meta["title"] == "Title alone"


def test_yaml_and_copies(splitter, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hf_secret")
    pipeline = Pipeline()
    pipeline.add_component(
        "splitter",
        BMRetrieverDocumentSplitter(
            model="mini",
            token=Secret.from_env_var("MY_TOKEN"),
            meta_fields_to_embed=["title"],
            max_tokens=60,
            overlap=9,
        ),
    )
    saved = pipeline.dumps()
    assert "hf_secret" not in saved
    again = Pipeline.loads(saved)
    assert again.dumps() == saved
    expected = pipeline.run({"splitter": {"documents": [ARTICLE]}})
    assert again.run({"splitter": {"documents": [ARTICLE]}}) == expected
    component = pipeline.get_component("splitter")
    for copied in (copy.deepcopy(component), pickle.loads(pickle.dumps(component))):
        assert copied.run([ARTICLE]) == expected["splitter"]
    secret = BMRetrieverDocumentSplitter(model="mini", token=Secret.from_token("hf_secret"))
    for save in (pickle.dumps, BMRetrieverDocumentSplitter.to_dict):
        with pytest.raises(ValueError, match=r"[Tt]oken"):
            save(secret)
    assert copy.deepcopy(secret).token == secret.token


@pytest.mark.parametrize("documents", ["text", Document(content="a"), ["text"], [Document(content="a"), "b"], None])
def test_what_is_no_list_of_documents_is_refused(splitter, documents):
    with pytest.raises(TypeError, match="BMRetrieverDocumentSplitter expects a list of Documents"):
        splitter.run(documents)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"meta_fields_to_embed": "title"}, r"write \['title'\]"),
        ({"token": "hf_secret"}, "token must be a haystack.utils.Secret"),
        ({"prefix": None}, "prefix must be a str"),
        ({"max_tokens": "60"}, "max_tokens must be an int"),
        ({"overlap": 1.5}, "overlap must be an int"),
        ({"max_length": "512"}, "max_length must be an int"),
    ],
)
def test_wrong_types_are_refused_at_once(settings, message):
    with pytest.raises(TypeError, match=message) as caught:
        BMRetrieverDocumentSplitter(**settings)
    assert "hf_secret" not in str(caught.value)


def test_numbers_that_the_model_does_not_allow_are_refused_at_warm_up():
    with pytest.raises(ValueError, match="max_tokens must be from 16 to the model's 506"):
        BMRetrieverDocumentSplitter(model="mini", max_tokens=5_000).warm_up()
