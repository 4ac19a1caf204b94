"""
A Llama whose last layer works for the last token only: the same vector, at less cost.

Retrieval reads one position of the final hidden state. Every position of the last layer still needs its key and value, but only
the last one needs a query, an output projection and an MLP. A network of one layer, as "mini" is, has nothing else: there keys
and values of a token depend on its id alone, so each distinct id of a batch is projected once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import LlamaModel
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.llama.modeling_llama import rotate_half


class LastTokenLlama(LlamaModel):  # type: ignore[misc]  # transformers is not typed
    """``LlamaModel`` for right-padded batches; same parameters, same names, same file."""

    def last_states(self, input_ids: Tensor, last: Tensor) -> Tensor:
        """
        Run all layers but the last on every token, the last one on each row's last token.

        :param input_ids: padded on the right. *Shape:* (rows, length) int64
        :param last: position of each row's last token. *Shape:* (rows,) int64
        :returns: *Shape:* (rows, width)
        """
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        rows = torch.arange(len(last), device=input_ids.device)
        layer = self.layers[-1]
        if len(self.layers) == 1:
            # what a token gives to its one layer depends on nothing but its id: project each distinct id once
            distinct, place = torch.unique(input_ids, return_inverse=True)
            hidden = self.embed_tokens(distinct)
            rotary = self.rotary_emb(hidden[None], positions)
            keys, values = (functional.embedding(place, table) for table in _keys_and_values(layer, hidden))
            state = hidden[place[rows, last]]
        else:
            hidden = self.embed_tokens(input_ids)
            rotary = self.rotary_emb(hidden, positions)
            for earlier in self.layers[:-1]:
                # no mask: right padding comes after every real token, and SDPA without one is causal
                output = earlier(hidden, attention_mask=None, position_embeddings=rotary, position_ids=positions)
                hidden = output if isinstance(output, Tensor) else output[0]
            keys, values = _keys_and_values(layer, hidden)
            state = hidden[rows, last]
        states: Tensor = self.norm(_last_layer(layer, state, (keys, values), rotary, last))
        return states

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None, **_ignored: Any
    ) -> BaseModelOutputWithPast:
        """
        Do the same for trainers that pool by themselves.

        :param input_ids: padded on the right. *Shape:* (rows, length) int64
        :param attention_mask: 1 for a token and 0 for padding. *Shape:* (rows, length)
        :returns: ``last_hidden_state`` *Shape:* (rows, length, width), zero everywhere but at each row's last token.
        """
        if input_ids is None or attention_mask is None:
            raise ValueError("LastTokenLlama needs input_ids and attention_mask")
        last = attention_mask.sum(1) - 1
        states = self.last_states(input_ids, last)
        spread = states.new_zeros((*input_ids.shape, states.shape[-1]))
        rows = torch.arange(len(last), device=last.device)
        return BaseModelOutputWithPast(last_hidden_state=spread.index_put((rows, last), states))


def shorten(network: Any) -> Any:
    """
    Let a network take the shorter way where it can: a plain Llama on PyTorch's own attention.

    :param network: any decoder of transformers; changed in place.
    :returns: the same network.
    """
    if type(network) is LlamaModel and network.config._attn_implementation == "sdpa":
        network.__class__ = LastTokenLlama
    return network


def _keys_and_values(layer: Any, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Of every position, before rotation. *Shape:* (..., key-value heads times head width) each."""
    normed = layer.input_layernorm(hidden)
    return layer.self_attn.k_proj(normed), layer.self_attn.v_proj(normed)


def _last_layer(
    layer: Any, state: Tensor, seen: tuple[Tensor, Tensor], rotary: tuple[Tensor, Tensor], last: Tensor
) -> Tensor:
    """One decoder layer, its query taken at ``last`` only, where the layer's input is ``state``. *Shape:* (rows, width)."""
    attention = layer.self_attn
    rows, length = seen[0].shape[:2]
    key, value = (part.view(rows, length, -1, attention.head_dim).transpose(1, 2) for part in seen)
    query = attention.q_proj(layer.input_layernorm(state)).view(rows, -1, 1, attention.head_dim)
    cos, sin = rotary[0][:, None], rotary[1][:, None]
    key = key * cos + rotate_half(key) * sin
    cos, sin = rotary[0][0, last][:, None, None], rotary[1][0, last][:, None, None]
    query = query * cos + rotate_half(query) * sin
    real = torch.arange(length, device=key.device) <= last[:, None]  # (rows, length)
    attended = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=real[:, None, None], enable_gqa=True
    )
    state = state + attention.o_proj(attended.reshape(rows, -1))
    output: Tensor = state + layer.mlp(layer.post_attention_layernorm(state))
    return output
