"""Functions that libraries give to autograd whole, as operators of a graph."""
from __future__ import annotations

from typing import Any

import torch


class BloomGelu(torch.autograd.Function):
    """transformers' GeLUFunction: the tanh form, written out, that keeps its input alone."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * 0.5 * (1.0 + torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        t = torch.tanh(0.79788456 * x * (1 + 0.044715 * x * x))
        slope = 0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t)
        return slope * grad


FUNCTIONS = {"transformers.bloom_gelu": BloomGelu.apply}
