"""Run a decoder of transformers on flat batches: the last layer for each row's last token, all other layers for every token."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bmretriever_integrations.forward.cpu_layer import filled
from bmretriever_integrations.forward.cpu_layers import replace_layers
from bmretriever_integrations.forward.fused import can_fuse, fused_but_attention, fused_layer, rotate_in_place
from bmretriever_integrations.forward.last_layer import LastLayer
from bmretriever_integrations.forward.layout import KeysAndValues, Layout
from bmretriever_integrations.forward.projections import Rotary
from bmretriever_integrations.forward.ways import WAYS

FAMILIES = ("GPTNeoXModel", "GemmaModel", "MistralModel", "LlamaModel")
"""Classes of transformers that this module can run: those of the released checkpoints and of the embedded checkpoint."""


class FlatDecoder:
    """A decoder that runs on flat batches, with the weights of a network of transformers."""

    def __init__(self, network: Any, way: str) -> None:
        """
        :param network: a network of one of :data:`FAMILIES`, in eval mode, on its device. Its attention is replaced.
        :param way: the way to compute attention: a key of :data:`~bmretriever_integrations.forward.ways.WAYS`.
        """
        network.config._attn_implementation = f"bmretriever_{way}"
        norm = "final_layer_norm" if hasattr(network, "final_layer_norm") else "norm"
        *self._earlier, self._last = network.layers
        self._norm, self._attend = getattr(network, norm), WAYS[way]
        self._rotary, self._layers = network.rotary_emb, network.layers
        self.body = _without_end(network, norm)
        self.is_compiled = self.is_fused = self.is_prepacked = False
        self._use_own_layers()

    def _use_own_layers(self) -> None:
        self.is_fused = False
        self.body.layers = nn.ModuleList(self._earlier)
        self._last_layer: Callable[[Tensor, Tensor | None, Rotary, Layout], Tensor]
        self._last_layer = LastLayer(self._last, self._norm, self._attend, None)

    def fuse(self) -> None:
        """
        Replace the layers by fused ones, for inference on CUDA, where Triton is installed and the fused layers are right.

        If they are not right on the device, a warning says so and the layers stay unchanged.
        """
        if not can_fuse(self._last, self._rotary):
            return
        self.is_fused = True
        fused = [fused_layer(layer, number, self._attend) for number, layer in enumerate(self._earlier)]
        self.body.layers = nn.ModuleList(fused)
        self._last_layer = LastLayer(fused_but_attention(self._last), self._norm, self._attend, rotate_in_place)

    def prepack(self, quantization: str | None) -> bool:
        """
        Replace the network's layers by those for the CPU, for inference, where PyTorch has the products.

        The layers of transformers are freed. If the new layers are not right, a warning says so and the layers stay unchanged.

        :param quantization: None or "int8".
        :returns: whether they were replaced.
        """
        del self._earlier, self._last, self._last_layer  # they would keep the old layers in memory
        self.body.layers = nn.ModuleList()
        try:
            self.is_prepacked = replace_layers(self._layers, self._rotary, self._attend, quantization)
        finally:
            *self._earlier, self._last = self._layers
        if self.is_prepacked:
            self.body.config.num_hidden_layers = 0
            self._last_layer = partial(_end, self._norm, self._last.last)
        else:
            self._use_own_layers()
        return self.is_prepacked

    def __call__(self, ids: Tensor, layout: Layout) -> Tensor:
        """
        Run the network.

        :param ids: the flat batch. *Shape:* (tokens,) int64
        :param layout: the layout of the flat batch.
        :returns: final hidden state of each row's last token. *Shape:* (rows, width)
        """
        positions = layout.positions
        if self.is_recordable:
            hidden, places = self._run_body(ids, positions, layout), None
        else:  # the input of the only layer depends on a token's id alone, so it is computed once for each distinct id
            distinct, places = torch.unique(ids, return_inverse=True)
            hidden = self._run_body(distinct, positions[:, : len(distinct)], layout)
        if self.is_prepacked and places is None:
            hidden = filled(hidden)
            positions = functional.pad(positions, (0, len(hidden) - layout.tokens))
        rotary = self._rotary(hidden[None], positions)
        if self.is_prepacked:
            for layer in self._earlier:
                hidden = layer(hidden, rotary, layout)
        return self._last_layer(hidden, places, rotary, layout)

    @property
    def is_recordable(self) -> bool:
        """Whether the shapes are the same for all ids. In a network of one layer they depend on the number of distinct ids."""
        return len(self._earlier) > 0

    def compile(self) -> bool:
        """
        Compile all layers but the last for any number of tokens; each layer's attention stays uncompiled.

        :returns: False for layers with prepacked weights, which stay as they are: what a compiler would fuse is fused in them.
        """
        if self.is_prepacked:
            return False
        self._use_own_layers()  # not the fused ones, because PyTorch's compiler fuses the layers itself
        for layer in self.body.layers:
            layer.compile(dynamic=True)
        self.is_compiled = True
        return True

    def _run_body(self, ids: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        output = self.body(input_ids=ids[None], position_ids=positions, use_cache=False, layout=layout)
        hidden: Tensor = output.last_hidden_state[0]
        return hidden

    def keys_and_values(self, ids: Tensor, layout: Layout) -> tuple[KeysAndValues, ...]:
        """
        Run a batch for its keys and values, which later tokens need.

        :param ids: *Shape:* (tokens,) int64
        :param layout: the layout of the flat batch; its ``kept`` must be an empty list.
        :returns: keys and values of each layer.
        """
        if layout.kept is None:
            raise ValueError("the layout must keep keys and values: kept=[]")
        self(ids, layout)
        return tuple((key.clone(), value.clone()) for key, value in layout.kept)


def _end(norm: nn.Module, run: Callable[..., Tensor], *given: Any) -> Tensor:
    """Run the last layer and the final norm for each row's last token. *Shape:* (rows, width)"""
    final: Tensor = norm(run(*given))
    return final


def _without_end(network: Any, norm: str) -> Any:
    """Copy a network, with shared weights, so that the copy stops before the last layer."""
    body = copy.copy(network)
    body.config = copy.copy(network.config)
    body.config.num_hidden_layers -= 1
    body._modules = dict(network._modules)
    setattr(body, norm, nn.Identity())
    return body
