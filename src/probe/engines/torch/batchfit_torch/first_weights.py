"""First weights from a seed, the same ones that the tfjs engine's `first-weights.ts` makes from it."""
from __future__ import annotations

import math

import torch

from .interpreter import GraphModule

WORD = 0xFFFFFFFF


def set_first_weights(module: GraphModule, seed: int) -> None:
    """Normal numbers (Box and Muller 1958) of the spread that `initialize` gives to weights; norms and biases keep theirs."""
    for index, weight in enumerate(module.trained):
        if weight.dim() <= 1 or not weight.is_floating_point():
            continue
        random = uniform((seed * 1000003 + index * 0x9E3779B9) & WORD, 2 * weight.numel()).view(-1, 2)
        normal = (-2 * torch.log(1 - random[:, 0])).sqrt() * torch.cos(2 * math.pi * random[:, 1])
        deviation = min(0.1, 1 / math.sqrt(math.prod(weight.shape[1:]) or 1))
        weight.data.copy_((normal * deviation).reshape(weight.shape))


def uniform(seed: int, count: int) -> torch.Tensor:
    """mulberry32: its n-th number follows from the seed and n alone."""
    state = (seed + torch.arange(1, count + 1, dtype=torch.int64) * 0x6D2B79F5) & WORD
    mixed = _multiply(state ^ (state >> 15), state | 1)
    mixed = mixed ^ ((mixed + _multiply(mixed ^ (mixed >> 7), mixed | 61)) & WORD)
    return (mixed ^ (mixed >> 14)).double() / 2**32


def _multiply(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The low 32 bits: what int64 overflows is above them."""
    return (a * b) & WORD
