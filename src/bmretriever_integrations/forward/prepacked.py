"""
Linear layers on the CPU whose weights oneDNN lays out for its products once, when the engine is made.

PyTorch's ``linear`` lays a weight out anew in every call. Beside the product, oneDNN computes what follows it (an activation, a
residual, the gate of an MLP) while the result is still in the cache. The operators are those that PyTorch's compiler uses when
it freezes weights. They are no public interface, so each one is tried before it is used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ERROR_OF_A_PRODUCT = {torch.float32: 1e-6, torch.bfloat16: 0.01, torch.float16: 0.002}
"""The largest relative error of a right product in each number type; one rounding to bfloat16 has up to 0.004."""


class Prepacked(nn.Module):
    """A linear layer whose weight has oneDNN's layout. It gives what ``torch.nn.Linear`` gives."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """
        :param weight: it is copied. *Shape:* (outputs, inputs), on the CPU, of a number type that :func:`can_prepack` allows
        :param bias: None for a layer without one. *Shape:* (outputs,)
        """
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.nbytes = weight.nbytes
        self.bias = bias
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self._unary: Any = torch.ops.mkldnn._linear_pointwise.default
        self._binary: Any = torch.ops.mkldnn._linear_pointwise.binary

    def forward(self, given: Tensor) -> Tensor:
        """
        Multiply the input with the weight.

        :param given: *Shape:* (tokens, inputs)
        :returns: *Shape:* (tokens, outputs)
        """
        result: Tensor = self._unary(given, self._weight, self.bias, "none", [], "")
        return result

    def activated(self, given: Tensor, activation: str) -> Tensor:
        """
        Multiply, then apply an activation.

        :param given: *Shape:* (tokens, inputs)
        :param activation: a key of :data:`POST_OPERATIONS`.
        :returns: *Shape:* (tokens, outputs)
        """
        name, form = POST_OPERATIONS[activation]
        result: Tensor = self._unary(given, self._weight, self.bias, name, [], form)
        return result

    def added(self, given: Tensor, other: Tensor) -> Tensor:
        """
        Multiply, then add another tensor.

        :param given: *Shape:* (tokens, inputs)
        :param other: *Shape:* (tokens, outputs)
        :returns: *Shape:* (tokens, outputs)
        """
        result: Tensor = self._binary(given, other, self._weight, self.bias, "add")
        return result

    def multiplied(self, given: Tensor, other: Tensor) -> Tensor:
        """
        Multiply with the weight, then elementwise with another tensor.

        :param given: *Shape:* (tokens, inputs)
        :param other: *Shape:* (tokens, outputs)
        :returns: *Shape:* (tokens, outputs)
        """
        result: Tensor = self._binary(given, other, self._weight, self.bias, "mul")
        return result

    def extra_repr(self) -> str:
        """Return the facts that ``print`` shows."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


POST_OPERATIONS = {"gelu": ("gelu", "none"), "gelu_tanh": ("gelu", "tanh"), "silu": ("swish", "")}
"""Maps the activations of the known families to oneDNN's name and form."""


def can_prepack(dtype: torch.dtype) -> bool:
    """
    Tell whether this PyTorch and this CPU compute right products with prepacked weights, and the process allows oneDNN.

    The operators are missing or refuse the number type on other builds of PyTorch (macOS, some of Arm) and on CPUs without
    the instructions.

    :param dtype: the number type of the weights.
    """
    return (
        dtype in ERROR_OF_A_PRODUCT
        and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and bool(torch.backends.mkldnn.enabled)
        and products_are_right(dtype, matmul_precision())
    )


def matmul_precision() -> str:
    """Return the process's setting for products of float32 matrices. Below "highest" they are computed with fewer bits."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # set by PyTorch's newer interface, of which the older one cannot make one word
        return "mixed"


@lru_cache
def products_are_right(dtype: torch.dtype, precision: str) -> bool:  # noqa: ARG001
    """
    Try each product on small matrices.

    :param dtype: the number type of the weights.
    :param precision: :func:`matmul_precision`, which changes the products, so that the result holds for it alone.
    """
    generator = torch.Generator("cpu").manual_seed(0)
    weight, bias, given, other = (
        torch.randn(shape, generator=generator, device="cpu").to(dtype) for shape in ((48, 80), (48,), (7, 80), (7, 48))
    )
    wanted = functional.linear(given.double(), weight.double(), bias.double())
    try:
        layer = Prepacked(weight, bias)
        pairs = (
            (layer(given), wanted),
            (layer.activated(given, "gelu"), functional.gelu(wanted)),
            (layer.activated(given, "gelu_tanh"), functional.gelu(wanted, approximate="tanh")),
            (layer.activated(given, "silu"), functional.silu(wanted)),
            (layer.added(given, other), wanted + other.double()),
            (layer.multiplied(given, other), wanted * other.double()),
        )
    except (RuntimeError, AttributeError):  # NotImplementedError is a RuntimeError
        return False
    allowed = ERROR_OF_A_PRODUCT[dtype]
    return all(float((found.double() - right).norm() / right.norm()) <= allowed for found, right in pairs)
