"""
Run the last layer for the last token of each row only: the vectors are the same, and the cost is lower.

Retrieval uses one position of the final hidden state. In the last layer, every position still needs a key and a value, but only
the last position needs a query, an output projection, an MLP and the final norm.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from bmretriever_integrations.forward.attention import Attention, attend_in_layer
from bmretriever_integrations.forward.layout import Layout
from bmretriever_integrations.forward.projections import (
    Rotary,
    attention_of,
    look_up,
    output_projection,
    project,
    rotate_by_transformers,
    window_of,
)


class LastLayer:
    """The last layer and the final norm of a decoder of transformers, with shared weights."""

    def __init__(
        self, layer: Any, norm: Any, attend: Attention, rotate: Callable[[Tensor, Rotary], Tensor] | None
    ) -> None:
        """
        :param layer: a decoder layer of GPT-NeoX, Gemma, Llama or Mistral.
        :param norm: the network's final norm.
        :param attend: the function that computes attention.
        :param rotate: the function that rotates queries or keys; None takes transformers' own function.
        """
        self._layer, self._norm, self._attend = layer, norm, attend
        self._attention = attention_of(layer)
        self._is_neox = hasattr(layer, "attention")
        self._window = window_of(self._attention)
        self._rotate = rotate or partial(rotate_by_transformers, self._attention)

    def __call__(self, hidden: Tensor, places: Tensor | None, rotary: Rotary, layout: Layout) -> Tensor:
        """
        Run the layer.

        :param hidden: the input of the layer, *Shape:* (tokens, width); or, with ``places``, the input for each distinct token
            id, *Shape:* (distinct ids, width).
        :param places: each token's row in ``hidden``. It is given for a network of one layer, where the input depends on the id
            alone; else None. *Shape:* (tokens,) int64
        :param rotary: the cosine and sine of each token.
        :param layout: the layout of the flat batch.
        :returns: final hidden state of each row's last token. *Shape:* (rows, width)
        """
        normed = self._layer.input_layernorm(hidden)
        last = layout.last if places is None else places[layout.last]
        query, key, value = project(self._attention, normed, last)
        if places is not None:
            key, value = look_up(key, places), look_up(value, places)
        key = self._rotate(key, rotary)
        query = self._rotate(query, (rotary[0][:, layout.last], rotary[1][:, layout.last]))
        parts = query, key, value
        attended = attend_in_layer(-1, self._attend, parts, layout, scale=self._attention.scaling, window=self._window)
        return self._finish(hidden[last], attended.flatten(1))

    def _finish(self, state: Tensor, attended: Tensor) -> Tensor:
        """Apply the output projection, the MLP and the final norm. *Shape:* (rows, width)"""
        layer, attended = self._layer, output_projection(self._attention)(attended)
        if self._is_neox:
            if layer.use_parallel_residual:
                state = layer.mlp(layer.post_attention_layernorm(state)) + attended + state
            else:
                state = attended + state
                state = layer.mlp(layer.post_attention_layernorm(state)) + state
        else:
            state = state + attended
            state = state + layer.mlp(layer.post_attention_layernorm(state))
        final: Tensor = self._norm(state)
        return final
