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
from .checkpoint_regions import find_checkpoint_regions
from .expressions import compile_condition, fit_range
from .graph_writer import GraphWriter
from .references import HEADS, Example, Options, Unsupported, build
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves

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


def export(reference: str, options: Options) -> dict[str, Any]:
    """The ModelGraph of a reference as plain data. Raises Unsupported with the reasons of every attempt."""
    roles = _roles_of(_construct(reference, options, torch.float32))
    attempts = [roles, {"B", "S"} & roles, {"B"}]
    reasons: list[str] = []
    for dynamic, marker in itertools.product([a for i, a in enumerate(attempts) if a not in attempts[:i]], (torch.bfloat16, torch.float32)):
        example = _construct(reference, options, marker)
        try:
            with _time_limit(ATTEMPT_SECONDS if dynamic != {"B"} else None):
                return _export(reference, example, dynamic, marker)
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
        return {index: auto for index, role in enumerate(_roles(tensor)) if role in dynamic}

    shapes = torch.utils._pytree.tree_map(dims, inputs)
    tracer = torch.export.export if KEEPS_CALLS else torch.export.export_for_training
    program = tracer(Step(example), inputs, dynamic_shapes=shapes, strict=False)
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    values = [placeholders[name].meta["val"] for name in program.graph_signature.user_inputs]
    symbols = _name_symbols(values, dynamic)
    graph_names, buffers = _tensor_names(program, module, marker)
    graph_names |= dict(zip(program.graph_signature.user_inputs, names))
    writer = GraphWriter(marker, symbols, graph_names, WRAPPER)
    loss, *outputs = writer.write(program.graph_module)
    ranges = _ranges(values, symbols, dynamic, example)
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
        raise Unsupported(f"took longer than {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


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


def _construct(reference: str, options: Options, dtype: torch.dtype) -> Example:
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


def _roles(tensor: torch.Tensor) -> list[str]:
    """Which symbol each dimension of an input may be: images and videos have H and W last, sequences S second."""
    roles = [""] * tensor.dim()
    if roles:
        roles[0] = "B"
    floating = tensor.is_floating_point()
    if tensor.dim() >= 4 or (tensor.dim() == 3 and not floating):
        roles[-2:] = ["H", "W"]
    elif tensor.dim() == 3 or (tensor.dim() == 2 and not floating):
        roles[1] = "S"
    return roles


def _roles_of(example: Example) -> set[str]:
    tensors = tree_leaves((example.arguments, example.keywords, example.targets))
    return {role for tensor in tensors for role in _roles(tensor) if role}


def _input_names(example: Example) -> Any:
    positional = [n for n, p in inspect.signature(example.module.forward).parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = tuple(positional[i] if i < len(positional) else f"input_{i}" for i in range(len(example.arguments)))
    count = len(example.targets)
    return names, {name: name for name in example.keywords}, tuple("labels" if count == 1 else f"target_{i}" for i in range(count))


def _name_symbols(values: list[torch.Tensor], dynamic: set[str]) -> dict[Any, str]:
    """Names the export's symbols by the inputs they are sizes of; "14*s" in the place of H makes s "(H//14)"."""
    names: dict[Any, str] = {}
    found: set[str] = set()
    fixed: set[str] = set()
    for value in values:
        for size, role in zip(value.shape, _roles(value)):
            if role not in dynamic:
                continue
            expression = getattr(getattr(size, "node", None), "expr", None)
            free = sorted(expression.free_symbols, key=str) if expression is not None else []
            if not free:
                fixed.add(role)
                continue
            found.add(role)
            if free[0] in names:
                continue
            step = expression.coeff(free[0])
            if len(free) > 1 or step == 0 or (expression - step * free[0]).free_symbols:
                raise Unsupported(f"{role} has the size {expression}")
            rest = expression - step * free[0]
            shifted = f"({role}-{rest})" if rest else role
            names[free[0]] = f"({shifted}//{step})" if step != 1 else shifted
    if "B" in fixed or "B" not in found:
        raise Unsupported("the model fixes its batch size at the example's")
    if found & fixed:
        raise Unsupported(f"{', '.join(sorted(found & fixed))} is fixed in one input and free in another")
    return names


def _ranges(values: list[torch.Tensor], symbols: dict[Any, str], dynamic: set[str], example: Example) -> dict[str, dict[str, int]]:
    """What the export assumed about each symbol, as its range. Raises Unsupported when no range says it."""
    environment = next(size.node.shape_env for value in values for size in value.shape if isinstance(size, torch.SymInt))
    conditions = [guard.expr for guard in environment.guards]
    conditions += [check.expr for checks in environment.deferred_runtime_asserts.values() for check in checks]
    # A symbol that turned out to be a constant, or equal to another one, is replaced; what it was compared with is then trivial.
    conditions = [condition.xreplace(environment.replacements) for condition in conditions]
    compiled = [compile_condition(condition, symbols) for condition in conditions if condition.free_symbols]
    defaults = {role: int(size.node.hint) for v in values for size, role in zip(v.shape, _roles(v)) if isinstance(size, torch.SymInt)}
    ranges: dict[str, dict[str, int]] = {}
    for role in sorted({role for role in defaults if any(role in text for text in symbols.values())}):
        own = [condition for condition, used in compiled if used == {role}]
        fitted = fit_range(lambda value: all(condition(**{role: value}) for condition in own), defaults[role])
        if fitted is None or (role == "B" and (fitted.get("min", 1) > 2 or "max" in fitted or "multipleOf" in fitted)):
            raise Unsupported(f"the model allows only some values of {role}: {fitted or 'no range holds them'}")
        if role == "S" and example.longest:
            fitted["max"] = min(example.longest, fitted.get("max", example.longest))
        if role != "B":
            ranges[role] = {"default": defaults[role], **fitted}
    _check_joint(compiled, ranges, defaults)
    return ranges


def _check_joint(compiled: list[Any], ranges: dict[str, dict[str, int]], defaults: dict[str, int]) -> None:
    """A condition over two symbols must hold on all of a grid of allowed values."""
    def tried(role: str) -> list[int]:
        limits = ranges.get(role, {})
        step = limits.get("multipleOf", 1)
        low = max(limits.get("min", 2), 2)
        values = {-(-value // step) * step for value in (low, low + 1, 7, 32, 100, 224, 513, 1024)} | {defaults[role]}
        return sorted(v for v in values if low <= v <= limits.get("max", v))

    for condition, used in compiled:
        if len(used) < 2:
            continue
        roles = sorted(used)
        for values in itertools.product(*(tried(role) for role in roles)):
            if not condition(**dict(zip(roles, values))):
                raise Unsupported(f"the model's path depends on {' and '.join(roles)} together")


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
