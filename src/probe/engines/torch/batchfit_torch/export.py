"""
Exports a PyTorch module as a ModelGraph, on the meta device in train mode: no GPU, no weights, no arithmetic.
usage: export.py REFERENCE OUT.graph.json [--image HxW] [--seq N] [--classes N] [--head NAME]
"""
from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import itertools
import json
import os
import signal
import sys
from typing import Any, Iterator

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves

from .checkpoint_regions import find_checkpoint_regions
from .construction import construct
from .free_sizes import dimension_roles, find_ranges, name_symbols, pads_by_size, roles_of
from .graph_writer import GraphWriter
from .references import HEADS, Example, Options, Unsupported

WRAPPER = "model"
# Free sizes can make an export's conditions explode; it is then tried with fewer of them.
ATTEMPT_SECONDS = 120
# torch 2.7 made `export` keep the graph as the program calls it; before, another function does.
KEEPS_CALLS = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2]) >= (2, 7)


class Step(nn.Module):
    """The forward half of a training step: outputs and loss."""

    def __init__(self, example: Example) -> None:
        super().__init__()
        self.model = example.module
        self.loss = example.loss

    def forward(self, arguments: tuple[Any, ...], keywords: dict[str, Any], targets: tuple[Any, ...]) -> tuple[Any, ...]:
        output = self.model(*arguments, **keywords)
        loss = self.loss(output, *targets)
        held = [t for t in tree_leaves(dict(output) if isinstance(output, dict) else output) if isinstance(t, torch.Tensor)]
        return (loss, *[t for t in held if t is not loss])


def export(reference: str, options: Options, free: frozenset[str] = frozenset("BSHW")) -> dict[str, Any]:
    """The ModelGraph of a reference as plain data, with no more than `free` sizes free. Raises Unsupported with the reasons of every attempt."""
    example = construct(reference, options, torch.float32)
    roles = (roles_of(example) & free) - example.fixed
    if pads_by_size(example.module):
        roles -= {"H", "W"}
    del example
    attempts = [roles, {"B", "S"} & roles, {"B"}]
    reasons: list[str] = []
    too_slow: list[set[str]] = []
    for dynamic, marker in itertools.product([a for i, a in enumerate(attempts) if a not in attempts[:i]], (torch.bfloat16, torch.float32)):
        if dynamic in too_slow:
            continue
        example = construct(reference, options, marker)
        try:
            with _time_limit(ATTEMPT_SECONDS if dynamic != {"B"} else None):
                return _export(reference, example, dynamic, marker)
        except TimeoutError as reason:
            too_slow.append(dynamic)
            reasons.append(f"{'/'.join(sorted(dynamic))} free: {reason}")
        except Unsupported as reason:
            reasons.append(f"{'/'.join(sorted(dynamic))} free: {reason}")
        except Exception as error:
            line = next((line for line in str(error).split("\n") if line.strip()), type(error).__name__)
            reasons.append(f"{'/'.join(sorted(dynamic))} free, {str(marker)[6:]}: {type(error).__name__}: {line.strip()[:300]}")
        finally:
            del example
            gc.collect()
    raise Unsupported(f"{reference} cannot be exported: " + "; ".join(reasons))


def _export(reference: str, example: Example, dynamic: set[str], marker: torch.dtype) -> dict[str, Any]:
    module = example.module.train()
    checkpoints = find_checkpoint_regions(module, lambda: module(*example.arguments, **example.keywords))
    inputs = (example.arguments, example.keywords, example.targets)
    names, _ = tree_flatten(_input_names(example))
    auto = torch.export.Dim.AUTO

    def dims(tensor: torch.Tensor) -> dict[int, Any]:
        return {index: auto for index, role in enumerate(dimension_roles(tensor)) if role in dynamic}

    shapes = torch.utils._pytree.tree_map(dims, inputs)
    tracer = torch.export.export if KEEPS_CALLS else torch.export.export_for_training
    program = tracer(Step(example), inputs, dynamic_shapes=shapes, strict=False)
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    values = [placeholders[name].meta["val"] for name in program.graph_signature.user_inputs]
    symbols = name_symbols(values, dynamic)
    graph_names, buffers = _tensor_names(program, module, marker)
    graph_names |= dict(zip(program.graph_signature.user_inputs, names))
    writer = GraphWriter(marker, symbols, graph_names, WRAPPER)
    loss, *outputs = writer.write(program.graph_module)
    ranges = find_ranges(values, symbols, dynamic, example)
    roles = ["data"] * (len(names) - len(example.targets)) + ["target"] * len(example.targets)
    roles = ["target" if name == "labels" else role for name, role in zip(names, roles)]
    return {
        "format": "batchfit-graph@1",
        "name": example.name,
        "source": {"format": "torch-export", "reference": reference, "versions": [*example.versions, f"torch {torch.__version__}"]},
        "symbols": ranges,
        "parameters": _parameters(module, marker),
        "buffers": buffers,
        "inputs": [_input(writer, *each, example) for each in zip(names, values, roles)],
        "nodes": writer.nodes,
        "loss": loss,
        "outputs": outputs,
        "checkpoints": checkpoints,
    }


@contextlib.contextmanager
def _time_limit(seconds: int | None) -> Iterator[None]:
    """Ends an attempt that takes too long, where the system has alarms."""
    if seconds is None or not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeoutError(f"took longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def _input_names(example: Example) -> Any:
    positional = [n for n, p in inspect.signature(example.module.forward).parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = tuple(positional[i] if i < len(positional) else f"input_{i}" for i in range(len(example.arguments)))
    count = len(example.targets)
    return names, {name: name for name in example.keywords}, tuple("labels" if count == 1 else f"target_{i}" for i in range(count))


def _tensor_names(program: Any, module: nn.Module, marker: torch.dtype) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Names of the placeholders of parameters, buffers and constants; and the buffers."""
    signature = program.graph_signature
    first = {id(tensor): name for name, tensor in reversed(list(itertools.chain(module.named_parameters(), module.named_buffers())))}
    named = dict(itertools.chain(module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)))
    names: dict[str, str] = {}
    for placeholder, name in (signature.inputs_to_parameters | signature.inputs_to_buffers).items():
        name = name.removeprefix(WRAPPER + ".")
        names[placeholder] = first[id(named[name])]
    buffers = [_buffer(name, tensor, marker) for name, tensor in module.named_buffers()]
    for placeholder, name in signature.inputs_to_lifted_tensor_constants.items():
        names[placeholder] = name
        buffers.append(_buffer(name, program.constants[name], marker))
    return names, buffers


def _dtype(dtype: torch.dtype, marker: torch.dtype) -> str:
    return "model" if dtype == marker else str(dtype).removeprefix("torch.")


def _buffer(name: str, tensor: torch.Tensor, marker: torch.dtype) -> dict[str, Any]:
    return {"name": name, "shape": list(tensor.shape), "dtype": _dtype(tensor.dtype, marker)}


def _parameters(module: nn.Module, marker: torch.dtype) -> list[dict[str, Any]]:
    aliases: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(parameter), []).append(name)
    written = []
    for name, parameter in module.named_parameters():
        entry: dict[str, Any] = {"name": name, "shape": list(parameter.shape)}
        if parameter.dtype != marker:
            entry["dtype"] = _dtype(parameter.dtype, marker)
        if len(aliases[id(parameter)]) > 1:
            entry["aliases"] = aliases[id(parameter)][1:]
        if not parameter.requires_grad:
            entry["trainable"] = False
        written.append(entry)
    return written


def _input(writer: GraphWriter, name: str, value: torch.Tensor, role: str, example: Example) -> dict[str, Any]:
    shape = [size[1:] if isinstance(size := writer._size(s), str) else size for s in value.shape]
    entry: dict[str, Any] = {"name": name, "shape": shape, "dtype": _dtype(value.dtype, writer.marker), "role": role}
    if not value.is_floating_point():
        high = _highest(name, role, example)
        if high:
            entry["high"] = high
    return entry


def _highest(name: str, role: str, example: Example) -> int | None:
    """Integer inputs are indices: token ids below the embedding's rows, labels below the classes."""
    config = getattr(example.module, "config", None)
    if config is not None and hasattr(config, "vocab_size"):
        return config.num_labels if role == "target" and example.keywords["labels"].dim() == 1 else config.vocab_size
    if role == "target":
        return None
    table = next((m for m in example.module.modules() if isinstance(m, nn.Embedding)), None)
    return table.num_embeddings if table is not None else None


def write(graph: dict[str, Any], path: str) -> None:
    """One parameter, buffer, input or node a line."""
    lines = []
    for key, value in graph.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            text = "[\n  " + ",\n  ".join(json.dumps(item, allow_nan=False) for item in value) + "\n ]"
        else:
            text = json.dumps(value, allow_nan=False)
        lines.append(f' "{key}": {text}')
    with open(path, "w", encoding="utf8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("output")
    parser.add_argument("--image", type=lambda text: tuple(int(side) for side in (text.split("x") * 2)[:2]))
    parser.add_argument("--seq", type=int)
    parser.add_argument("--classes", type=int)
    parser.add_argument("--head", choices=sorted(HEADS))
    return parser.parse_args(arguments)


def options_of(given: argparse.Namespace) -> Options:
    return Options(image=given.image, seq=given.seq, classes=given.classes, head=given.head)


def main() -> int:
    given = parse(sys.argv[1:])
    try:
        write(export(given.reference, options_of(given)), given.output)
    except Unsupported as reason:
        print(f"unsupported: {reason}", file=sys.stderr)
        return 4
    except ImportError as reason:
        print(f"missing: {reason}", file=sys.stderr)
        return 3
    return 0
