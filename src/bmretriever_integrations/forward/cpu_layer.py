"""
The decoder layer of every known family for inference on the CPU, in as few passes over memory as there can be.

A layer reads its input, computes queries, keys and values in one product, rotates the first two in place, attends, and hands the
residual to the products that follow, which add it. The weights are those of a layer of transformers, in the layout that the
products want; the layer of transformers gives them up, so that there is one copy in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bmretriever_integrations.forward.attention import Attention, attend_in_layer
from bmretriever_integrations.forward.layout import Layout
from bmretriever_integrations.forward.projections import Rotary, attention_of, look_up, output_projection, window_of


class Product(Protocol):
    """A linear layer that also computes what follows it; see :class:`~bmretriever_integrations.forward.prepacked.Prepacked`."""

    def __call__(self, given: Tensor) -> Tensor:
        """Multiply. *Shape:* from (tokens, inputs) to (tokens, outputs)"""

    def activated(self, given: Tensor, activation: str) -> Tensor:
        """Multiply, then apply an activation."""

    def added(self, given: Tensor, other: Tensor) -> Tensor:
        """Multiply, then add."""

    def multiplied(self, given: Tensor, other: Tensor) -> Tensor:
        """Multiply with the weight, then elementwise."""


Make = Callable[[Tensor, Tensor | None], Product]
"""A function of weight and bias that makes a product. *Shape:* (outputs, inputs) and (outputs,)"""
STEP = 64
"""More rows than these are filled up to a multiple of this number: 1.7 % more rows in a batch of 1,900 tokens."""
ACTIVATION_NAMES = {
    "GELUActivation": "gelu",
    "GELUTanh": "gelu_tanh",
    "PytorchGELUTanh": "gelu_tanh",
    "SiLUActivation": "silu",
    "SiLU": "silu",
}
"""Maps the class of an activation in transformers 4.57 or 5 to its name here."""


class CpuLayer(nn.Module):
    """A decoder layer of GPT-NeoX, Gemma, Llama or Mistral."""

    def __init__(self, layer: Any, number: int, attend: Attention, make: Make) -> None:
        """
        :param layer: the layer of transformers, in eval mode; it is not changed.
        :param number: the number of the layer, from 0; -1 is the last.
        :param attend: the function that computes attention.
        :param make: makes the products.
        """
        super().__init__()
        attention = attention_of(layer)
        self.norm, self.mlp_norm = map(_norm, (layer.input_layernorm, layer.post_attention_layernorm))
        weight, bias, self._heads, self._key_heads = _queries_keys_values(attention)
        self._number, self._attend = number, attend
        self._width, self._scale, self._window = _head_width(attention), attention.scaling, window_of(attention)
        split = self._heads * self._width if number == -1 else 0
        if split:  # the last layer computes queries for the last tokens only, so these have a product of their own
            self.of_query = make(weight[:split], None if bias is None else bias[:split])
        self.projection = make(weight[split:], None if bias is None else bias[split:])
        output = output_projection(attention)
        self.output = make(output.weight, output.bias)
        self.mlp = _GatedMlp(layer.mlp, make) if hasattr(layer.mlp, "gate_proj") else _PlainMlp(layer.mlp, make)
        self._is_parallel = getattr(layer, "use_parallel_residual", False)

    def forward(self, hidden: Tensor, rotary: Rotary, layout: Layout) -> Tensor:
        """
        Run the layer for all tokens.

        :param hidden: the input, :func:`filled`. *Shape:* (tokens, width)
        :param rotary: the cosine and sine of each token.
        :param layout: the layout of the flat batch.
        :returns: *Shape:* (tokens, width)
        """
        parts = self.projection(self.norm(hidden)).view(len(hidden), -1, self._width)
        turning = self._heads + self._key_heads
        rotate_(parts[:, :turning], rotary)
        return self._finish(
            hidden, parts[:, : self._heads], parts[:, self._heads : turning], parts[:, turning:], layout
        )

    def last(self, hidden: Tensor, places: Tensor | None, rotary: Rotary, layout: Layout) -> Tensor:
        """
        Run the last layer for the last token of each row; see :class:`~bmretriever_integrations.forward.last_layer.LastLayer`.

        :param hidden: the input of the layer, *Shape:* (tokens, width); or, with ``places``, the input for each distinct token
            id, *Shape:* (distinct ids, width).
        :param places: each token's row in ``hidden``; None where ``hidden`` has all tokens. *Shape:* (tokens,) int64
        :param rotary: the cosine and sine of each token.
        :param layout: the layout of the flat batch.
        :returns: *Shape:* (rows, width)
        """
        normed = self.norm(filled(hidden))
        last = layout.last if places is None else places[layout.last]
        query = self.of_query(filled(normed[last]))[: len(last)].view(len(last), -1, self._width)
        rotate_(query, (rotary[0][:, layout.last], rotary[1][:, layout.last]))
        parts = self.projection(normed).view(len(normed), -1, self._width)
        if places is not None:
            parts = look_up(parts, places)
        key, value = parts[:, : self._key_heads], parts[:, self._key_heads :]
        rotate_(key, rotary)
        return self._finish(filled(hidden[last]), query, key, value, layout)[: len(last)]

    def _finish(self, hidden: Tensor, query: Tensor, key: Tensor, value: Tensor, layout: Layout) -> Tensor:
        """Attend, project and run the MLP, for the tokens of ``query``. *Shape:* as ``hidden``, which may be filled"""
        parts = query, key, value
        attended = attend_in_layer(self._number, self._attend, parts, layout, scale=self._scale, window=self._window)
        residual = self.output.added(filled(attended.flatten(1)), hidden)
        final: Tensor = self.mlp(self.mlp_norm(hidden if self._is_parallel else residual), residual)
        return final


class RootMeanSquareNorm(nn.Module):
    """The norm of Gemma, Llama or Mistral. It computes in float32, and rounds once."""

    def __init__(self, norm: Any) -> None:
        """
        :param norm: the norm of transformers.
        """
        super().__init__()
        weight = norm.weight.detach().float()
        self._weight = 1 + weight if type(norm).__name__.startswith("Gemma") else weight
        self._eps: float = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon

    def forward(self, given: Tensor) -> Tensor:
        """Normalise. *Shape:* (tokens, width), as the input"""
        wide = given.float()
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        scale = length.square_().div_(given.shape[-1]).add_(self._eps).rsqrt_()
        normed: Tensor = (wide * scale).mul_(self._weight)
        return normed.to(given.dtype)


def _norm(norm: nn.Module) -> nn.Module:
    return RootMeanSquareNorm(norm) if type(norm).__name__.endswith("RMSNorm") else norm


class _PlainMlp(nn.Module):
    """The MLP of GPT-NeoX, with the residual."""

    def __init__(self, mlp: Any, make: Make) -> None:
        super().__init__()
        up, down = mlp.dense_h_to_4h, mlp.dense_4h_to_h
        self.up, self.down = make(up.weight, up.bias), make(down.weight, down.bias)
        self._activation = ACTIVATION_NAMES[type(mlp.act).__name__]

    def forward(self, given: Tensor, residual: Tensor) -> Tensor:
        return self.down.added(self.up.activated(given, self._activation), residual)


class _GatedMlp(nn.Module):
    """The MLP of Gemma, Llama and Mistral, with the residual."""

    def __init__(self, mlp: Any, make: Make) -> None:
        super().__init__()
        gate, up, down = mlp.gate_proj, mlp.up_proj, mlp.down_proj
        self.gate, self.up, self.down = (make(part.weight, part.bias) for part in (gate, up, down))
        self._activation = ACTIVATION_NAMES[type(mlp.act_fn).__name__]

    def forward(self, given: Tensor, residual: Tensor) -> Tensor:
        gate = self.gate.activated(given, self._activation)
        return self.down.added(self.up.multiplied(given, gate), residual)


def filled(rows: Tensor) -> Tensor:
    """
    Add rows of zeros, so that there are few different numbers of rows, and never a single one.

    oneDNN prepares a product for each number of rows, and keeps up to 1,024 of them, which took a gigabyte. The product of a
    single row takes as long as that of two and adds in another order: a text alone would differ in its last bits from the same
    text in a batch.

    :param rows: *Shape:* (rows, width)
    :returns: ``rows`` itself if it has 2 to :data:`STEP` of them, else with 2 or as many as the next multiple of it.
    """
    missing = -len(rows) % STEP if len(rows) > STEP else len(rows) == 1
    return functional.pad(rows, (0, 0, 0, int(missing))) if missing else rows


def rotate_(part: Tensor, rotary: Rotary) -> None:
    """
    Rotate queries or keys in place.

    :param part: *Shape:* (tokens, heads, head width)
    :param rotary: the cosine and sine of each token; both halves are equal.
    """
    half = rotary[0].shape[-1] // 2
    cos, sin = (angle[0, :, None, :half] for angle in rotary)
    first, second = part[..., :half], part[..., half : 2 * half]
    # not addcmul_ nor anything else in place: on parts of a tensor these take five times as long in bfloat16
    turned = (first * cos).sub_(second * sin), (second * cos).add_(first * sin)
    first.copy_(turned[0])
    second.copy_(turned[1])


def _head_width(attention: Any) -> int:
    return int(attention.head_size if hasattr(attention, "head_size") else attention.head_dim)


def _queries_keys_values(attention: Any) -> tuple[Tensor, Tensor | None, int, int]:
    """
    Put the weights of queries, keys and values one below the other.

    :param attention: the attention module of a layer of transformers.
    :returns: weight, bias, the number of query heads and the number of key-value heads. *Shape:* (outputs, inputs), (outputs,)
    """
    width = _head_width(attention)
    if hasattr(attention, "query_key_value"):  # GPT-NeoX has the three head by head
        joint = attention.query_key_value
        heads = joint.out_features // (3 * width)
        weight, bias = (
            None if part is None else part.view(heads, 3, width, *part.shape[1:]).transpose(0, 1).flatten(0, 2)
            for part in (joint.weight, joint.bias)
        )
        return cast(Tensor, weight), bias, heads, heads
    parts = attention.q_proj, attention.k_proj, attention.v_proj
    bias = None if parts[0].bias is None else torch.cat([part.bias for part in parts])
    return (
        torch.cat([part.weight for part in parts]),
        bias,
        parts[0].out_features // width,
        parts[1].out_features // width,
    )
