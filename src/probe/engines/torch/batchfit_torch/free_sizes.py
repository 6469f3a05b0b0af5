"""Which sizes of a model's inputs are free, what the export called them, and the values that it allows."""
from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from .expressions import compile_condition, fit_range
from .references import Example, Unsupported


def dimension_roles(tensor: torch.Tensor) -> list[str]:
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


def roles_of(example: Example) -> set[str]:
    tensors = tree_leaves((example.arguments, example.keywords, example.targets))
    return {role for tensor in tensors for role in dimension_roles(tensor) if role}


def pads_by_size(module: nn.Module) -> bool:
    """Whether layers pad as TensorFlow does, by what the image's size leaves over: with a free size their conditions explode."""
    return any(type(layer).__name__.endswith("Same") for layer in module.modules())


def name_symbols(values: list[torch.Tensor], dynamic: set[str]) -> dict[Any, str]:
    """Names the export's symbols by the inputs they are sizes of; "14*s" in the place of H makes s "(H//14)"."""
    names: dict[Any, str] = {}
    found: set[str] = set()
    fixed: set[str] = set()
    for value in values:
        for size, role in zip(value.shape, dimension_roles(value)):
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


def find_ranges(values: list[torch.Tensor], symbols: dict[Any, str], dynamic: set[str], example: Example) -> dict[str, dict[str, int]]:
    """What the export assumed about each symbol, as its range. Raises Unsupported when no range says it."""
    environment = next(size.node.shape_env for value in values for size in value.shape if isinstance(size, torch.SymInt))
    conditions = [guard.expr for guard in environment.guards]
    conditions += [check.expr for checks in environment.deferred_runtime_asserts.values() for check in checks]
    # A symbol that turned out to be a constant, or equal to another one, is replaced; what it was compared with is then trivial.
    conditions = [condition.xreplace(environment.replacements) for condition in conditions]
    compiled = [compile_condition(condition, symbols) for condition in conditions if condition.free_symbols]
    defaults = {role: int(size.node.hint) for v in values for size, role in zip(v.shape, dimension_roles(v)) if isinstance(size, torch.SymInt)}
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
