"""Runs a ModelGraph as PyTorch would run the program it was made from: real operators, real autograd."""
from __future__ import annotations

import contextlib
import importlib
import math
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from .functions import FUNCTIONS


class Unrunnable(Exception):
    """The graph asks for something that this PyTorch does not have."""


class GraphModule(nn.Module):
    """
    Calls every node's ATen operator in order. A value dies after its last use, as a local variable of the model's
    `forward` would. `sizes` gives the graph's symbols beside B; `weights` is the dtype called "model".
    """

    def __init__(self, graph: dict[str, Any], sizes: dict[str, int], weights: torch.dtype, device: torch.device, checkpointing: bool, channels_last: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self.sizes = {name: sizes.get(name, limits["default"]) for name, limits in graph["symbols"].items()}
        self.weights = weights
        self.device = device
        self.channels_last = channels_last
        self.named: dict[str, torch.Tensor] = {}
        self.trained = nn.ParameterList()
        for parameter in graph["parameters"]:
            tensor = torch.empty(parameter["shape"], dtype=self.dtype(parameter.get("dtype", "model")), device=device)
            trainable = parameter.get("trainable", True) and tensor.is_floating_point()
            weight = nn.Parameter(self.laid_out(tensor), requires_grad=trainable)
            initialize(parameter["name"], weight)
            self.trained.append(weight)
            for name in [parameter["name"], *parameter.get("aliases", [])]:
                self.named["%" + name] = weight
        for buffer in graph["buffers"]:
            # Variances, and the factors of batch norms that are frozen.
            value = 1 if buffer["name"].endswith(("running_var", ".weight")) else 0
            self.named["%" + buffer["name"]] = torch.full(buffer["shape"], value, dtype=self.dtype(buffer["dtype"]), device=device)
        self.segments = segments(graph, checkpointing)

    def dtype(self, name: str) -> torch.dtype:
        return self.weights if name == "model" else getattr(torch, name)

    def laid_out(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(memory_format=torch.channels_last) if self.channels_last and tensor.dim() == 4 else tensor

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """A fresh batch of random inputs and targets."""
        made = {}
        for given in self.graph["inputs"]:
            shape = [evaluate(dimension, self.sizes | {"B": size}) for dimension in given["shape"]]
            dtype = self.dtype(given["dtype"])
            if dtype.is_floating_point:
                made["%" + given["name"]] = self.laid_out(torch.randn(shape, dtype=dtype, device=self.device))
            else:
                made["%" + given["name"]] = torch.randint(0, given.get("high", 2), shape, device=self.device).to(dtype)
        return made

    def forward(self, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Loss and outputs of one batch."""
        size = next(iter(inputs.values())).shape[0]
        state = self.named | inputs
        sizes = self.sizes | {"B": size}
        for segment in self.segments:
            if segment.region is None:
                self._run(segment.nodes, segment.dying, state, sizes)
            else:
                self._recompute(segment, state, sizes)
        return state["%" + self.graph["loss"]], [state["%" + name] for name in self.graph["outputs"]]

    def _recompute(self, segment: "Segment", state: dict[str, Any], sizes: dict[str, int]) -> None:
        def region(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
            inner = self.named | dict(zip(segment.inputs, tensors))
            self._run(segment.nodes, segment.dying, inner, sizes)
            return tuple(inner[name] for name in segment.outputs)

        results = checkpoint(region, *[state[name] for name in segment.inputs], use_reentrant=False)
        state.update(zip(segment.outputs, results))
        for name in segment.dead_after:
            state.pop(name, None)

    def _run(self, nodes: list[dict[str, Any]], dying: list[list[str]], state: dict[str, Any], sizes: dict[str, int]) -> None:
        for node, dead in zip(nodes, dying):
            result = call(node, state, sizes, self)
            names = node["outputs"]
            for name, value in zip(names, result if isinstance(result, (tuple, list)) else [result]):
                if name:
                    state["%" + name] = value
            del result
            for name in dead:
                state.pop(name, None)


class Segment:
    """Nodes that run together: a stretch of the program, or one region that checkpointing recomputes."""

    def __init__(self, region: str | None) -> None:
        self.region = region
        self.nodes: list[dict[str, Any]] = []
        self.inputs: list[str] = []
        self.outputs: list[str] = []
        # Values that die with each node, and values from before a region that nothing after it uses.
        self.dying: list[list[str]] = []
        self.dead_after: list[str] = []


def segments(graph: dict[str, Any], checkpointing: bool) -> list[Segment]:
    regions = graph["checkpoints"] if checkpointing else []
    made: list[Segment] = []
    for node in graph["nodes"]:
        region = next((r for r in regions if node["module"] == r or node["module"].startswith(r + ".")), None)
        if not made or made[-1].region != region:
            made.append(Segment(region))
        made[-1].nodes.append(node)
    kept = {"%" + name for name in [graph["loss"], *graph["outputs"]]}
    fixed = {"%" + tensor["name"] for tensor in [*graph["parameters"], *graph["buffers"]]}
    fixed |= {"%" + alias for parameter in graph["parameters"] for alias in parameter.get("aliases", [])}
    needed = set(kept)
    for segment in reversed(made):
        own = {"%" + name for node in segment.nodes for name in node["outputs"] if name}
        segment.outputs = sorted(own & needed)
        used: set[str] = set() if segment.region is None else set(segment.outputs)
        after = needed if segment.region is None else set(segment.outputs)
        for node in reversed(segment.nodes):
            touched = {name for name in values_in([node["args"], list(node.get("kwargs", {}).values())]) if name not in fixed}
            produced = {"%" + name for name in node["outputs"] if name}
            segment.dying.insert(0, sorted((touched | produced) - after - used))
            used |= touched
        segment.inputs = sorted(used - own)
        segment.dead_after = sorted(set(segment.inputs) - needed)
        if segment.region is not None:
            # The caller holds what goes into a region until the region returns.
            segment.dying = [[name for name in dead if name in own] for dead in segment.dying]
        needed |= set(segment.inputs)
    return made


def values_in(arguments: Any) -> list[str]:
    if isinstance(arguments, list):
        return [name for item in arguments for name in values_in(item)]
    return [arguments] if isinstance(arguments, str) and arguments.startswith("%") else []


def evaluate(size: int | str, sizes: dict[str, int]) -> int:
    return size if isinstance(size, int) else int(eval(size, {"__builtins__": {}, "min": min, "max": max}, sizes))


def operator_of(name: str) -> Any:
    namespace, _, rest = name.partition(".")
    base, _, overload = rest.partition(".")
    if namespace == "torchvision":
        with contextlib.suppress(ImportError):
            importlib.import_module("torchvision")
    try:
        return getattr(getattr(getattr(torch.ops, namespace), base), overload or "default")
    except AttributeError:
        raise Unrunnable(f"torch {torch.__version__} has no operator {name}") from None


def call(node: dict[str, Any], state: dict[str, Any], sizes: dict[str, int], module: GraphModule) -> Any:
    function = FUNCTIONS.get(node["op"])
    if function is not None:
        return function(*[state[name] for name in node["args"]])
    operator = operator_of(node["op"])
    specs = operator._schema.arguments
    args = [convert(value, spec, state, sizes, module) for value, spec in zip(node["args"], specs)]
    named = {spec.name: spec for spec in specs}
    given = dict(node.get("kwargs", {}))
    autocast = given.pop("autocast", True)
    kwargs = {name: convert(value, named[name], state, sizes, module) for name, value in given.items()}
    if "device" in named and not any(isinstance(arg, torch.Tensor) for arg in args):
        kwargs["device"] = module.device
    with contextlib.nullcontext() if autocast else torch.autocast(module.device.type, enabled=False):
        return operator(*args, **kwargs)


def convert(value: Any, spec: Any, state: dict[str, Any], sizes: dict[str, int], module: GraphModule) -> Any:
    if isinstance(value, list):
        return [convert(item, spec, state, sizes, module) for item in value]
    if not isinstance(value, str):
        return value
    if value.startswith("%"):
        return state[value]
    if value.startswith("="):
        return evaluate(value[1:], sizes)
    if spec.name in ("dtype", "out_dtype"):
        return module.dtype(value)
    if spec.name == "memory_format":
        return getattr(torch, value)
    return float(value) if value in ("inf", "-inf", "nan") else value


def initialize(name: str, weight: nn.Parameter) -> None:
    """Values that keep activations finite: 1 for the scale of norms, 0 for biases, variance by fan-in for the rest."""
    if not weight.is_floating_point():
        weight.data.zero_()
    elif weight.dim() <= 1:
        weight.data.fill_(0.0 if name.endswith("bias") or weight.dim() == 0 else 1.0)
    else:
        nn.init.normal_(weight.data, std=min(0.1, 1 / math.sqrt(math.prod(weight.shape[1:]) or 1)))
