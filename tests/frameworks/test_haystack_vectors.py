"""The two components against the authors' loop."""

from __future__ import annotations

from enum import Enum

import numpy as np
import pandas as pd
import pytest
from haystack import Document

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder
from bmretriever_integrations.precision import quantize
from bmretriever_integrations.prompts import DEFAULT_INSTRUCTION, PASSAGE_PREFIX, TASK_INSTRUCTIONS
from bmretriever_integrations.testing import ARCHITECTURES, reference_encode

EXACT = {"progress_bar": False, "model_kwargs": {"dtype": "float32"}}
TEXTS = ["aspirin", "Metformin lowers blood glucose. " * 60, "x", "sickle cell anaemia is inherited", "aspirin"]


@pytest.fixture
def embedders(tiny):
    """A function: parameters -> text embedder and document embedder, closed after the test."""
    made = []

    def pair(architecture="llama", **parameters):
        arguments = {"model": str(tiny(architecture)), **EXACT, **parameters}
        made.extend([BMRetrieverTextEmbedder(**arguments), BMRetrieverDocumentEmbedder(**arguments)])
        return made[-2:]

    yield pair
    for embedder in made:
        embedder.close()


def assert_close(rows, expected):
    rows, expected = np.asarray(rows), np.asarray(expected)
    assert rows.shape == expected.shape
    assert (np.linalg.norm(rows - expected, axis=1) <= 1e-5 * np.linalg.norm(expected, axis=1)).all()


def vectors_of(embedder, documents):
    return [document.embedding for document in embedder.run(documents)["documents"]]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_both_components_give_the_reference_vectors(tiny, embedders, architecture):
    text_embedder, document_embedder = embedders(architecture)
    queries = [f"{DEFAULT_INSTRUCTION}\nQuery: {text}" for text in TEXTS]
    assert_close(
        [text_embedder.run(text)["embedding"] for text in TEXTS], reference_encode(tiny(architecture), queries)
    )
    passages = [PASSAGE_PREFIX + text.strip() for text in TEXTS]
    documents = [Document(content=text) for text in TEXTS]
    assert_close(vectors_of(document_embedder, documents), reference_encode(tiny(architecture), passages))


def test_meta_fields_prefix_and_suffix(tiny):
    embedder = BMRetrieverDocumentEmbedder(
        model=str(tiny("gemma")),
        meta_fields_to_embed=["title", "year", "missing", "nothing"],
        embedding_separator=" | ",
        prefix="<",
        suffix=">",
        **EXACT,
    )
    document = Document(content="the text", meta={"year": 1999, "title": "Head", "nothing": None, "other": "no"})
    assert_close(
        vectors_of(embedder, [document]),
        reference_encode(tiny("gemma"), [PASSAGE_PREFIX + "<Head | 1999 | the text>"]),
    )
    embedder.close()


def test_a_title_is_joined_as_the_authors_join_it(tiny):
    embedder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), meta_fields_to_embed=["title"], **EXACT)
    document = Document(content="the text ", meta={"title": "Head"})
    assert_close(vectors_of(embedder, [document]), reference_encode(tiny("llama"), [PASSAGE_PREFIX + "Head the text"]))
    embedder.close()


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT], ids=repr)
def test_a_missing_title_is_no_title(tiny, missing):
    embedder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), meta_fields_to_embed=["title", "year"], **EXACT)
    document = Document(content="the text", meta={"title": missing, "year": 1999})
    assert_close(vectors_of(embedder, [document]), reference_encode(tiny("llama"), [PASSAGE_PREFIX + "1999 the text"]))
    embedder.close()


def test_a_text_of_an_enum_is_its_value(tiny):
    class Topic(str, Enum):  # noqa: UP042  a StrEnum is written as its value already
        HEART = "Heart failure"

    embedder = BMRetrieverDocumentEmbedder(model=str(tiny("llama")), meta_fields_to_embed=["title"], **EXACT)
    document = Document(content="the text", meta={"title": Topic.HEART})
    expected = reference_encode(tiny("llama"), [PASSAGE_PREFIX + "Heart failure the text"])
    assert_close(vectors_of(embedder, [document]), expected)
    embedder.close()


def test_instructions_by_key_by_sentence_and_by_run(tiny):
    sentence = "Given a gene, retrieve its function"
    keyed = BMRetrieverTextEmbedder(model=str(tiny("llama")), instruction="scifact", **EXACT)
    spoken = BMRetrieverTextEmbedder(model=str(tiny("llama")), instruction=sentence, prefix="[", suffix="]", **EXACT)
    found = [
        keyed.run("aspirin")["embedding"],
        keyed.run("aspirin", instruction="nfcorpus")["embedding"],
        keyed.run("aspirin", instruction=sentence)["embedding"],
        keyed.run("aspirin")["embedding"],  # the run before left no trace
        spoken.run("aspirin")["embedding"],
    ]
    scifact, nfcorpus = TASK_INSTRUCTIONS["scifact"], TASK_INSTRUCTIONS["nfcorpus"]
    prompts = [f"{task}\nQuery: aspirin" for task in (scifact, nfcorpus, sentence, scifact)]
    assert_close(found, reference_encode(tiny("llama"), [*prompts, f"{sentence}\nQuery: [aspirin]"]))
    keyed.close()
    spoken.close()


def test_a_query_is_not_a_passage(embedders):
    text_embedder, document_embedder = embedders()
    query = text_embedder.run("aspirin")["embedding"]
    [passage] = vectors_of(document_embedder, [Document(content="aspirin")])
    assert len(query) == len(passage) == 64
    assert np.linalg.norm(np.subtract(query, passage)) > 0.01 * np.linalg.norm(passage)


def test_one_document_alone_or_among_others(embedders):
    _, embedder = embedders("mistral")
    documents = [Document(content=text, meta={"n": n}) for n, text in enumerate(TEXTS)]
    together = vectors_of(embedder, documents)
    assert_close([vectors_of(embedder, [document])[0] for document in documents], together)
    assert together[0] == together[4]


def test_order_and_duplicates_are_kept_and_documents_are_not_changed(embedders):
    _, embedder = embedders()
    documents = [Document(id="same", content=text, meta={"n": n}, score=0.5) for n, text in enumerate(TEXTS)]
    before = [document.to_dict() for document in documents]
    result = embedder.run(documents)["documents"]
    assert [document.to_dict() for document in documents] == before
    assert [(document.id, document.content, document.meta, document.score) for document in result] == [
        (document.id, document.content, document.meta, document.score) for document in documents
    ]
    assert all(new is not old for new, old in zip(result, documents, strict=True))
    assert all(type(value) is float for document in result for value in document.embedding)


def test_max_length_cuts_and_model_max_length_is_another_name_for_it(tiny, embedders):
    long = "Metformin lowers blood glucose. " * 60
    _, named = embedders(max_length=32)
    _, quoted = embedders(tokenizer_kwargs={"model_max_length": 32})
    expected = reference_encode(tiny("llama"), [PASSAGE_PREFIX + long.strip()], max_length=32)
    assert_close(vectors_of(named, [Document(content=long)]), expected)
    assert_close(vectors_of(quoted, [Document(content=long)]), expected)


def test_truncate_dim_and_normalize(embedders):
    _, plain = embedders()
    _, cut = embedders(truncate_dim=10)
    _, scaled = embedders(truncate_dim=10, normalize_embeddings=True)
    documents = [Document(content=text) for text in TEXTS]
    whole = np.asarray(vectors_of(plain, documents))
    assert_close(vectors_of(cut, documents), whole[:, :10])
    assert_close(vectors_of(scaled, documents), whole[:, :10] / np.linalg.norm(whole[:, :10], axis=1, keepdims=True))


def test_dtype_reaches_the_weights(embedders):
    import torch

    _, exact = embedders()
    documents = [Document(content=text) for text in TEXTS]
    expected = np.asarray(vectors_of(exact, documents))
    for kwargs in ({"torch_dtype": torch.bfloat16}, {"dtype": "bfloat16"}):
        _, half = embedders(model_kwargs=kwargs)
        rows = np.asarray(vectors_of(half, documents))
        cosines = (rows * expected).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(expected, axis=1)
        assert (cosines > 0.999).all()
        assert (rows != expected).any()


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary"])
def test_precision(embedders, precision):
    _, plain = embedders()
    documents = [Document(content=text) for text in TEXTS]
    whole = np.asarray(vectors_of(plain, documents), np.float32)
    ranges = [whole.min(axis=0).tolist(), whole.max(axis=0).tolist()] if precision in ("int8", "uint8") else None
    text_embedder, document_embedder = embedders(precision=precision, quantization_ranges=ranges)
    assert vectors_of(document_embedder, documents) == quantize(whole, precision, ranges).tolist()
    assert len(text_embedder.run("aspirin")["embedding"]) == (64 if ranges else 8)
