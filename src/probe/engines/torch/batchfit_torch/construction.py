"""Builds a reference on the meta device: shapes and dtypes, no values."""
from __future__ import annotations

import contextlib
from typing import Iterator

import torch
from torch import nn

from .references import Example, Options, Unsupported, build


@contextlib.contextmanager
def _construction(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Constructors spend their time on initial values that nothing here looks at."""
    slow = {name: getattr(nn.init, name) for name in ("trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_", "orthogonal_")}
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    for name in slow:
        setattr(nn.init, name, lambda tensor, *_, **__: tensor)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
        for name, function in slow.items():
            setattr(nn.init, name, function)


def construct(reference: str, options: Options, dtype: torch.dtype) -> Example:
    try:
        with _construction("meta", dtype):
            return _example_batch(build(reference, options), options.batch)
    except (Unsupported, ImportError):
        raise
    except Exception:
        # A constructor that computes with values is run for real, then its tensors are replaced.
        with _construction("cpu", dtype):
            return _example_batch(build(reference, options), options.batch)


def _example_batch(example: Example, batch: int) -> Example:
    """On the meta device, with a batch that is neither 0 nor 1 (an export would take those for constants)."""
    memo: dict[int, torch.Tensor] = {}

    def meta(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in memo:
            memo[id(tensor)] = torch.empty_like(tensor, device="meta")
        return memo[id(tensor)]

    for module in example.module.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.device.type != "meta":
                if id(parameter) not in memo:
                    memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=parameter.requires_grad)
                module._parameters[name] = memo[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.device.type != "meta":
                module._buffers[name] = meta(buffer)

    def resize(tensor: torch.Tensor) -> torch.Tensor:
        shape = (batch, *tensor.shape[1:]) if tensor.dim() else ()
        return torch.empty(shape, dtype=tensor.dtype, device="meta")

    example.arguments = tuple(resize(t) for t in example.arguments)
    example.keywords = {name: resize(t) for name, t in example.keywords.items()}
    example.targets = tuple(resize(t) for t in example.targets)
    return example
