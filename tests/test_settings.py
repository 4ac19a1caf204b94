"""The settings of an engine: short names, and tokens that no pickle holds."""

from __future__ import annotations

import copy
import pickle

import pytest

from bmretriever_integrations.settings import EncoderSettings


@pytest.mark.parametrize(("short", "whole"), [("bf16", "bfloat16"), ("fp16", "float16"), ("fp32", "float32")])
def test_short_names_of_number_types(short, whole):
    assert EncoderSettings(dtype=short).dtype == whole
    assert EncoderSettings(dtype=short) == EncoderSettings(dtype=whole)


def test_a_pickle_holds_no_token():
    settings = EncoderSettings(model="mini", token="hf_secret", max_length=64)
    content = pickle.dumps(settings)
    assert b"hf_secret" not in content
    assert pickle.loads(content) == settings
    assert pickle.loads(content).token is None
    assert copy.copy(settings).token == copy.deepcopy(settings).token == "hf_secret"
