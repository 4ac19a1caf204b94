"""The GGUF file of "small"'s base, read as transformers reads it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bmretriever_integrations.checkpoints.gguf_file import GgufFile
from bmretriever_integrations.checkpoints.smollm2 import open_smollm2


def test_no_bit_differs_from_what_transformers_reads(smollm2):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network, tokenizer = open_smollm2(smollm2)
    right = AutoModelForCausalLM.from_pretrained(smollm2.parent, gguf_file=smollm2.name, dtype=torch.float32).model
    theirs = right.state_dict()
    ours = network.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == torch.float32 for name in ours)
    ids = torch.tensor([[5, 9, 60, 2]])
    with torch.inference_mode():
        assert torch.equal(network(ids).last_hidden_state, right(ids).last_hidden_state)
    its = AutoTokenizer.from_pretrained(smollm2.parent, gguf_file=smollm2.name)
    for text in ("aspirin lowers fever", "insulin  12 mg\n<|im_end|>", "β-globin 🧬", ""):
        right = its(text, add_special_tokens=False)["input_ids"]
        assert (
            tokenizer(text)["input_ids"] == right
        )  # transformers 4 adds a BOS, though the file says add_bos_token false
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.bos_token_id) == (2, 2, 1)


def test_what_is_no_such_file_is_refused(gguf, tmp_path):
    whole = gguf.read_bytes()
    file = tmp_path / "a.gguf"
    for content in (b"", b"GGUF", b"ABCD" + whole[4:], whole[:4] + b"\x09" + whole[5:], whole[:200]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.gguf is no GGUF file or is damaged"):
            GgufFile(file)
    file.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match=r"ends within the tensor output_norm\.weight"):
        GgufFile(file)["output_norm.weight"]


def test_a_number_type_that_is_not_read_is_named(tmp_path):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "three.gguf", "llama")
    writer.add_tensor("double", np.ones((2, 32), np.float64))
    writer.add_tensor("half", np.array([[1.5, -2, 1e-7]], np.float16))
    writer.add_tensor("whole", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GgufFile(tmp_path / "three.gguf")
    assert list(file) == ["double", "half", "whole"]
    assert file.metadata["general.architecture"] == "llama"
    np.testing.assert_array_equal(file["whole"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(file["half"], np.array([[1.5, -2, 1e-7]], np.float16).astype(np.float32))
    with pytest.raises(ValueError, match="double has the number type 28; F32, F16, Q4_1 and Q8_0"):
        file["double"]
