"""A Llama whose last layer works for the last token only."""

from __future__ import annotations

import torch
from transformers import AutoModel

from bmretriever_integrations.forward.last_token import LastTokenLlama, shorten


def test_last_token_llama_is_the_plain_llama(tiny):
    network = AutoModel.from_pretrained(tiny("llama")).train()
    ids = torch.randint(5, 100, (3, 12))
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
