"""Training runs the last layer for last tokens only: same vectors and gradients as the whole network, for every family."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModel

from bmretriever_integrations.testing import ARCHITECTURES
from bmretriever_integrations.training.stages.network import LastTokenVectors


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("checkpointed", [False, True])
def test_vectors_and_gradients_are_the_plain_networks(tiny, architecture, layers, checkpointed):
    torch.manual_seed(layers)
    config = AutoConfig.from_pretrained(tiny(architecture), num_hidden_layers=layers, use_cache=False)
    network = AutoModel.from_config(config).train()
    ids = torch.randint(5, 100, (3, 12))
    ids[1, 3:6] = ids[0, 2]  # the same id in many places and rows
    mask = torch.ones_like(ids)
    mask[0, 7:] = mask[2, 10:] = 0
    plain = network(input_ids=ids, attention_mask=mask).last_hidden_state[torch.arange(3), mask.sum(1) - 1]
    plain.square().sum().backward()
    expected = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    if checkpointed:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    module = LastTokenVectors(network, normalize=False)
    tokens = []
    network.layers[-1].mlp.register_forward_hook(lambda _module, _inputs, output: tokens.append(output.shape[:-1]))
    short = module({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]
    short.square().sum().backward()
    assert tokens[0] == (3,)
    torch.testing.assert_close(short, plain, rtol=1e-5, atol=1e-5)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-4)


def test_a_network_with_dropout_is_run_whole(tiny):
    network = AutoModel.from_pretrained(tiny("gpt_neox"), hidden_dropout=0.5).train()
    module = LastTokenVectors(network, normalize=False)
    features = {"input_ids": torch.full((2, 6), 9), "attention_mask": torch.ones(2, 6, dtype=torch.int64)}
    vectors = module(features)["sentence_embedding"]
    assert not torch.allclose(vectors[0], vectors[1])  # dropped by chance, so equal rows differ
