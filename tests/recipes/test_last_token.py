"""A Llama whose last layer works for the last token only; of one layer, on distinct ids."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.forward.last_token import LastTokenLlama, shorten


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_last_token_llama_is_the_plain_llama(tiny, layers):
    torch.manual_seed(layers)
    network = AutoModel.from_config(AutoConfig.from_pretrained(tiny("llama"), num_hidden_layers=layers)).train()
    ids = torch.randint(5, 100, (3, 12))
    ids[1, 3:6] = ids[0, 2]  # the same id in many places and rows
    mask = torch.ones_like(ids)
    mask[0, 7:] = mask[2, 10:] = 0
    rows, last = torch.arange(3), mask.sum(1) - 1
    plain = network(input_ids=ids, attention_mask=mask).last_hidden_state[rows, last]
    plain.square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    assert isinstance(shorten(network), LastTokenLlama)
    short = network(input_ids=ids, attention_mask=mask).last_hidden_state[rows, last]
    short.square().sum().backward()
    torch.testing.assert_close(short, plain, rtol=1e-5, atol=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-4)
