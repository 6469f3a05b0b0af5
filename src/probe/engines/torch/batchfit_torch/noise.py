"""Squared gradient norms of small batches and of their mean, at one point of training."""
from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Callable

import torch
from torch.utils import _pytree as pytree

from .device import Device
from .first_weights import set_first_weights
from .interpreter import GraphModule
from .samples import BadData, open_samples
from .training import Trainee, make_optimizer, make_trainee, set_float32_products

SCHEMA = "batchfit/noise-sample@1"


def measure(request: dict[str, Any], device: Device, send: Callable[..., None], line: Callable[[dict[str, Any]], None]) -> None:
    order = request["noise"]
    torch.manual_seed(order["seed"])
    set_float32_products(False)
    trainee = make_trainee(request, device)
    if isinstance(trainee.module, GraphModule):
        set_first_weights(trainee.module, order["seed"])
    fit = Fit(trainee, request)
    batches = (fit(batch) for batch in open_samples(order["data"], order["smallBatch"], order["seed"]))
    _train(trainee, batches, request, lambda: send("running", phase="training step 1"))
    send("running", phase="gradient norms")
    for update in range(order["updates"]):
        line({"schema": SCHEMA, **_norms(trainee, batches, order["parts"], f"big batch {update + 1}")})


def _train(trainee: Trainee, batches: Iterator[Any], request: dict[str, Any], begin: Callable[[], None]) -> None:
    setup, order = request["setup"], request["noise"]
    optimizer = make_optimizer(setup["optimizer"], setup["optimizerImplementation"], trainee.parameters)
    for group in optimizer.param_groups:
        group["lr"] = order["learningRate"]
    for step in range(order["trainSteps"]):
        if step == 0:
            begin()
        optimizer.zero_grad()
        loss, _ = trainee.loss(next(batches))
        _finite(loss, f"training step {step + 1}")
        loss.backward()
        optimizer.step()
    optimizer.zero_grad()


def _norms(trainee: Trainee, batches: Iterator[Any], parts: int, where: str) -> dict[str, Any]:
    micro: list[float] = []
    total: list[torch.Tensor] = []
    losses = 0.0
    for _ in range(parts):
        loss, _outputs = trainee.loss(next(batches))
        losses += _finite(loss, where) / parts
        grads = [g for g in torch.autograd.grad(loss, trainee.parameters, allow_unused=True) if g is not None]
        micro.append(squared_norm(grads))
        total = [a + b for a, b in zip(total, grads)] if total else grads
    return {"microSqNorms": micro, "meanSqNorm": squared_norm(total) / parts**2, "loss": losses}


def squared_norm(tensors: list[torch.Tensor]) -> float:
    return float(sum(tensor.float().square().sum().double() for tensor in tensors))


def _finite(loss: torch.Tensor, where: str) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise BadData(f"the loss is {value} in {where}: take a smaller --learning-rate, or check the data")
    return value


class Fit:
    """Puts a batch of samples in the places of the made-up inputs: by name, or in their order."""

    def __init__(self, trainee: Trainee, request: dict[str, Any]) -> None:
        leaves, self.spec = pytree.tree_flatten(trainee.batch())
        self.leaves: list[torch.Tensor] = leaves
        model = request["model"]
        if model["kind"] == "graph":
            self.names = [given["name"] for given in model["graph"]["inputs"]]
            self.limits = [given.get("high") for given in model["graph"]["inputs"]]
        else:
            arguments, keywords, _ = trainee.batch()
            self.names = [str(place) if place < len(arguments) else "" for place in range(len(leaves))]
            for place, name in enumerate(keywords):
                self.names[len(arguments) + place] = name
            self.limits = [None] * len(leaves)

    def __call__(self, batch: Any) -> Any:
        values = self._in_order(batch)
        return pytree.tree_unflatten([self._place(*each) for each in zip(values, self.leaves, self.names, self.limits)], self.spec)

    def _in_order(self, batch: Any) -> list[torch.Tensor]:
        if isinstance(batch, dict) and any(name in batch for name in self.names):
            missing = [name for name in self.names if name not in batch]
            if missing:
                raise BadData(f"--data: input {missing[0] or 'of the loss'} is not among {', '.join(batch)}")
            return [torch.as_tensor(batch[name]) for name in self.names]
        values = list(batch.values()) if isinstance(batch, dict) else list(batch) if isinstance(batch, (tuple, list)) else [batch]
        if len(values) != len(self.leaves):
            wanted = ", ".join(name for name in self.names if name) or f"{len(self.leaves)} tensors"
            raise BadData(f"--data: a batch has {len(values)} tensors where the model and its loss take {len(self.leaves)} ({wanted})")
        return [torch.as_tensor(value) for value in values]

    def _place(self, value: torch.Tensor, model: torch.Tensor, name: str, limit: int | None) -> torch.Tensor:
        wanted = model.shape[1:]
        if model.dim() and value.shape[1:] != wanted:
            if [size for size in value.shape[1:] if size != 1] != [size for size in wanted if size != 1]:
                found = f"samples of shape {list(value.shape[1:])}"
                raise BadData(f"--data: input {name} of the model takes samples of shape {list(wanted)}, found {found}: set --image or --seq")
            value = value.reshape(value.shape[0], *wanted)
        if limit is not None and value.numel() and not 0 <= value.min() <= value.max() < limit:
            raise BadData(f"--data: input {name} takes numbers from 0 to {limit - 1}, found {value.min().item()} to {value.max().item()}")
        placed = value.to(device=model.device, dtype=model.dtype)
        return placed.contiguous(memory_format=torch.channels_last) if _is_channels_last(model) else placed


def _is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.dim() == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
