"""Constructors: names, order, defaults, and what they refuse."""

from __future__ import annotations

import inspect

import pytest
from haystack import Document
from haystack.utils import ComponentDevice, Device, DeviceMap, Secret

from bmretriever_integrations.haystack import BMRetrieverDocumentEmbedder, BMRetrieverTextEmbedder

BOTH = [BMRetrieverTextEmbedder, BMRetrieverDocumentEmbedder]
# The order of Haystack's SentenceTransformersDocumentEmbedder 2.0.0; its text embedder has it without the two middle ones.
HEAD = ["model", "device", "token", "prefix", "suffix", "batch_size", "progress_bar", "normalize_embeddings"]
MIDDLE = ["meta_fields_to_embed", "embedding_separator"]
TAIL = ["trust_remote_code", "local_files_only", "truncate_dim", "model_kwargs", "tokenizer_kwargs", "config_kwargs"]
TAIL += ["precision", "encode_kwargs", "backend", "revision", "quantization_ranges"]
OURS = ["max_length", "async_executor"]


def parameters_of(kind):
    return {name: p for name, p in inspect.signature(kind.__init__).parameters.items() if name != "self"}


def test_names_and_order_are_those_a_haystack_user_knows():
    assert list(parameters_of(BMRetrieverTextEmbedder)) == [*HEAD, *TAIL, "instruction", *OURS]
    assert list(parameters_of(BMRetrieverDocumentEmbedder)) == [*HEAD, *MIDDLE, *TAIL, *OURS]
    for kind in BOTH:
        assert all(p.kind is p.KEYWORD_ONLY for p in parameters_of(kind).values())


def test_the_two_signatures_agree():
    text, document = map(parameters_of, BOTH)
    for name in [*HEAD, *TAIL, *OURS]:
        assert (text[name].default, text[name].annotation) == (document[name].default, document[name].annotation)


@pytest.mark.parametrize("kind", BOTH)
def test_every_parameter_is_documented(kind):
    for name in parameters_of(kind):
        assert f":param {name}:" in kind.__init__.__doc__


@pytest.mark.parametrize("kind", BOTH)
def test_run_and_run_async_agree(kind):
    assert inspect.signature(kind.run).parameters == inspect.signature(kind.run_async).parameters
    assert inspect.iscoroutinefunction(kind.run_async)


@pytest.mark.parametrize("kind", BOTH)
def test_defaults(kind):
    embedder = kind()
    assert embedder.model == "BMRetriever/BMRetriever-410M"
    assert embedder.token == Secret.from_env_var(["HF_API_TOKEN", "HF_TOKEN"], strict=False)
    assert (embedder.chosen_device, embedder.embedding_backend, embedder.revision) == (None, None, None)
    assert embedder.device == ComponentDevice.resolve_device(None)
    assert (embedder.batch_size, embedder.max_length, embedder.normalize_embeddings) == (32, 512, False)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": "cuda:0"}, "Invalid component device type 'str'.*ComponentDevice.from_str"),
        (
            {"device": ComponentDevice.from_multiple(DeviceMap({"": Device.gpu(0), "head": Device.gpu(1)}))},
            "must be one device, got a device map",
        ),
        ({"model_kwargs": {"dtype": "int8"}}, "dtype must be one of auto, float32"),
        ({"model_kwargs": {"dtype": "float32", "torch_dtype": "float16"}}, "two number types"),
        ({"tokenizer_kwargs": {"model_max_length": 64}, "max_length": 128}, "contradict each other"),
        ({"batch_size": 0}, "batch_size must be an int of at least 1, got 0"),
        ({"batch_size": True}, "batch_size must be an int"),
        ({"max_length": 1}, "max_length must be at least 2"),
        ({"truncate_dim": 0}, "truncate_dim must be at least 1"),
        ({"model": " "}, "model must be a hub id"),
    ],
)
def test_what_cannot_be_is_refused_at_once(kind, wrong, message):
    with pytest.raises(ValueError, match=message):
        kind(**wrong)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("unsupported", "message"),
    [
        ({"trust_remote_code": True}, "trust_remote_code must be False"),
        ({"backend": "onnx"}, "backend must be 'torch', got 'onnx'"),
        ({"model_kwargs": {"attn_implementation": "sdpa"}}, "holds 'attn_implementation', but it takes 'dtype'"),
        ({"tokenizer_kwargs": {"add_eos_token": True}}, "it takes 'model_max_length'. The engine handles EOS, BOS"),
        ({"config_kwargs": {"hidden_size": 3}}, "config_kwargs holds 'hidden_size', but it takes no keys"),
        ({"encode_kwargs": {"batch_size": 3}}, "encode_kwargs holds 'batch_size', but it takes no keys"),
        ({"precision": "int4"}, "precision must be one of"),
        ({"precision": "int8"}, "needs quantization_ranges"),
        ({"quantization_ranges": [[0.0], [1.0]]}, "'float32' does not use them"),
    ],
)
def test_what_other_embedders_do_and_this_one_does_not_is_kept_but_never_run(kind, unsupported, message, tiny):
    embedder = kind(model=str(tiny("llama")), **unsupported)
    for name, value in unsupported.items():
        assert getattr(embedder, name) == value
    assert kind.from_dict(embedder.to_dict()).to_dict() == embedder.to_dict()
    with pytest.raises(ValueError, match=message):
        embedder.warm_up()
    with pytest.raises(ValueError, match=message):
        embedder.run("text") if kind is BMRetrieverTextEmbedder else embedder.run([Document(content="text")])


@pytest.mark.parametrize("wrong", [{"prefix": None}, {"model_kwargs": "dtype"}, {"meta": []}, {"max_length": "512"}])
def test_wrong_kinds_and_unknown_names_are_type_errors(wrong):
    for kind in BOTH:
        with pytest.raises(TypeError):
            kind(**wrong)


@pytest.mark.parametrize("kind", BOTH)
def test_a_token_that_is_no_secret_is_refused_and_not_shown(kind):
    with pytest.raises(TypeError, match=r"Secret or None, got str: write Secret\.from_env_var") as caught:
        kind(token="hf_private")
    assert "hf_private" not in str(caught.value)


def test_what_only_one_of_them_takes():
    with pytest.raises(TypeError, match="instruction"):
        BMRetrieverDocumentEmbedder(instruction="scifact")
    with pytest.raises(ValueError, match="instruction is empty"):
        BMRetrieverTextEmbedder(instruction="")
    with pytest.raises(TypeError, match=r"write \['title'\]"):
        BMRetrieverDocumentEmbedder(meta_fields_to_embed="title")
    with pytest.raises(TypeError, match="embedding_separator must be a str"):
        BMRetrieverDocumentEmbedder(embedding_separator=None)


def test_settings_stay_as_they_were_checked():
    embedder = BMRetrieverTextEmbedder()
    with pytest.raises(AttributeError, match="max_length"):
        embedder.max_length = 64  # the engine may be loaded: the change would be ignored


def test_a_path_is_kept_as_text(tmp_path):
    assert BMRetrieverTextEmbedder(model=tmp_path).to_dict()["init_parameters"]["model"] == str(tmp_path)
