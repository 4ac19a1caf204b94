"""The settings of an engine: short names, and tokens that no pickle holds."""

from __future__ import annotations

import copy
import pickle

import pytest

from bmretriever_integrations import BMRetrieverEncoder
from bmretriever_integrations.settings import EncoderSettings


@pytest.mark.parametrize(("short", "whole"), [("bf16", "bfloat16"), ("fp16", "float16"), ("fp32", "float32")])
def test_short_names_of_number_types(short, whole):
    assert EncoderSettings(dtype=short).dtype == whole
    assert EncoderSettings(dtype=short) == EncoderSettings(dtype=whole)


@pytest.mark.parametrize("name", ["normalize", "local_files_only"])
@pytest.mark.parametrize("wrong", ["no", 0, None])
def test_switches_are_true_or_false(name, wrong):
    """The text "no" would be taken for true."""
    with pytest.raises(TypeError, match=f"{name} must be True or False, got {wrong!r}"):
        EncoderSettings(**{name: wrong})


@pytest.mark.parametrize("wrong", [None, b"mini", 7, ""])
def test_a_model_is_a_name_or_a_folder(wrong):
    with pytest.raises(ValueError, match="model must be a hub id, a short name or a folder"):
        BMRetrieverEncoder(wrong)


def test_a_pickle_holds_no_token():
    settings = EncoderSettings(model="mini", token="hf_secret", max_length=64)
    content = pickle.dumps(settings)
    assert b"hf_secret" not in content
    assert pickle.loads(content) == settings
    assert pickle.loads(content).token is None
    assert copy.copy(settings).token == copy.deepcopy(settings).token == "hf_secret"
