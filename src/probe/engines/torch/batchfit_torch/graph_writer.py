"""Writes an exported program as a ModelGraph: ATen calls with arguments in schema order, sizes over B, S, H and W."""
from __future__ import annotations

import math
import operator
from typing import Any

import torch
from .checkpoint_regions import CallPaths
from .expressions import NotExpressible, to_text
from torch import fx

# Left by the export itself; a training step does not run them.
NOISE = {
    "_assert_async", "_assert_scalar", "_assert_tensor_metadata", "sym_constrain_range", "sym_constrain_range_for_size",
    "sym_size", "sym_numel", "sym_stride", "sym_storage_offset", "_assert_sparse_tensor",
}
# Where a tensor is and how its memory is laid out is the training loop's business.
PLACEMENT = {"device", "layout", "pin_memory", "generator", "non_blocking"}
LONGEST = 2**63 - 1


class GraphWriter:
    """
    `marker` is the dtype that stands for "the dtype of the weights" in this export; `symbols` names the export's size
    symbols; `names` maps placeholders to the graph's own names.
    """

    def __init__(self, marker: torch.dtype, symbols: dict[Any, str], names: dict[str, str], wrapper: str) -> None:
        self.marker = marker
        self.symbols = symbols
        self.names = names
        self.wrapper = wrapper
        self.nodes: list[dict[str, Any]] = []
        self._values: dict[fx.Node, Any] = {}
        self._taken = set(names.values())
        self._paths = CallPaths()
        self._autocast = True

    def write(self, module: fx.GraphModule) -> list[str]:
        """Appends the graph's nodes; returns the names of its outputs."""
        return [value[1:] for value in self._walk(module, None) if isinstance(value, str)]

    def _walk(self, module: fx.GraphModule, arguments: list[Any] | None) -> list[Any]:
        given = iter(arguments or [])
        for node in module.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = next(given) if arguments is not None else "%" + self.names.get(node.name, node.name)
            elif node.op == "get_attr":
                self._values[node] = self._attribute(module, node)
            elif node.op == "output":
                return self._argument(list(node.args[0]) if isinstance(node.args[0], (list, tuple)) else [node.args[0]])
            elif node.op == "call_function":
                self._call(module, node)
        return []

    def _attribute(self, module: fx.GraphModule, node: fx.Node) -> Any:
        value = module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value

    def _call(self, module: fx.GraphModule, node: fx.Node) -> None:
        target = node.target
        if target is operator.getitem:
            self._values[node] = self._values[node.args[0]][node.args[1]]
        elif isinstance(target, torch._ops.HigherOrderOperator):
            self._inline(node)
        elif isinstance(target, torch._ops.OpOverload):
            if target._schema.name.partition("::")[2] not in NOISE and not self._counts_batches(node):
                self._operator(node, target)
        elif isinstance(node.meta.get("val"), torch.Tensor):
            raise NotExpressible(f"operator {target}")
        # What is left computes sizes: they are read from the values where they are used.

    def _inline(self, node: fx.Node) -> None:
        """A block without gradients or with an autocast setting of its own runs its operators in place."""
        name = node.target.name() if callable(node.target.name) else str(node.target)
        skipped = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}.get(name)
        if skipped is None:
            raise NotExpressible(f"higher-order operator {name}")
        body, *inputs = node.args[skipped:]
        outer = self._autocast
        if name == "wrap_with_autocast":
            self._autocast = bool(node.args[2])
        outputs = self._walk(self._values[body], [self._argument(value) for value in inputs])
        self._autocast = outer
        if name == "wrap_with_set_grad_enabled" and node.args[0] is False:
            outputs = [self._detach(value, node) for value in outputs]
        self._values[node] = outputs

    def _detach(self, value: Any, node: fx.Node) -> Any:
        name = self._name(f"{value[1:]}_detach")
        self.nodes.append({"op": "aten.detach", "args": [value], "outputs": [name], "module": self._module(node)})
        return "%" + name

    def _counts_batches(self, node: fx.Node) -> bool:
        first = node.args[0] if node.args else None
        return isinstance(first, fx.Node) and str(self._values.get(first)).endswith("num_batches_tracked")

    def _operator(self, node: fx.Node, target: torch._ops.OpOverload) -> None:
        if target._schema.name == "aten::to":
            return self._cast(node, target)
        args, kwargs = self._bind(node, target)
        value = node.meta.get("val")
        takes_tensors = any("Tensor" in str(argument.type) for argument in target._schema.arguments)
        if not takes_tensors and isinstance(value, torch.Tensor) and any(a.name == "dtype" for a in target._schema.arguments):
            kwargs["dtype"] = self._literal(value.dtype)
        namespace, _, name = target._schema.name.partition("::")
        if name == "lift_fresh_copy":
            name = "clone"
        overload = target._overloadname
        self._add(node, f"{namespace}.{name}" + (f".{overload}" if overload not in ("default", "") else ""), args, kwargs)

    def _cast(self, node: fx.Node, target: torch._ops.OpOverload) -> None:
        """Every `to` is a cast to a dtype (the device is the loop's business), or nothing at all."""
        given = {a.name: v for a, v in zip(target._schema.arguments, node.args)} | dict(node.kwargs)
        source = node.args[0]
        if given.get("dtype") is None and "other" not in given and not given.get("copy"):
            self._values[node] = self._values[source]
            return
        args = [self._argument(source), self._literal(node.meta["val"].dtype), False, bool(given.get("copy") or False)]
        while len(args) > 2 and args[-1] is False:
            args.pop()
        self._add(node, "aten.to.dtype", args, {})

    def _bind(self, node: fx.Node, target: torch._ops.OpOverload) -> tuple[list[Any], dict[str, Any]]:
        """Arguments in schema order without trailing defaults; keyword-only ones by name without defaults."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        defaults = 0
        for index, spec in enumerate(target._schema.arguments):
            given = index < len(node.args) or spec.name in node.kwargs
            value = node.args[index] if index < len(node.args) else node.kwargs.get(spec.name, spec.default_value)
            if spec.name in ("cudnn_enabled", "cudnn_enable"):
                value = True  # the export's own setting; a training loop leaves it on
            if spec.name == "end" and value == LONGEST:
                value, given = None, spec.default_value is not None
            is_default = not given or _same(value, spec.default_value)
            if spec.name in PLACEMENT and not spec.name == "generator" and spec.kwarg_only:
                continue
            if spec.kwarg_only:
                if not is_default and spec.name != "generator":
                    kwargs[spec.name] = self._argument(value)
                continue
            args.append(None if spec.name in PLACEMENT else self._argument(value))
            defaults = defaults + 1 if is_default and spec.has_default_value() else 0
        return args[: len(args) - defaults], kwargs

    def _add(self, node: fx.Node, op: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        value = node.meta.get("val")
        if isinstance(value, (list, tuple)):
            outputs = self._elements(node, len(value))
            self._values[node] = ["%" + name for name in outputs]
        else:
            outputs = [self._name(node.name)]
            self._values[node] = "%" + outputs[0]
        written: dict[str, Any] = {"op": op, "args": args}
        if not self._autocast:
            kwargs["autocast"] = False
        if kwargs:
            written["kwargs"] = kwargs
        self.nodes.append({**written, "outputs": outputs, "module": self._module(node)})

    def _elements(self, node: fx.Node, count: int) -> list[str]:
        """Names of a list's elements; one that nothing takes out has none, unless the list is used whole."""
        whole = any(user.target is not operator.getitem for user in node.users)
        taken = {user.args[1]: user.name for user in reversed(list(node.users)) if user.target is operator.getitem}
        return [self._name(taken.get(i) or f"{node.name}_{i}") if whole or i in taken else "" for i in range(count)]

    def _name(self, wanted: str) -> str:
        name, n = wanted, 0
        while name in self._taken:
            n += 1
            name = f"{wanted}__{n}"
        self._taken.add(name)
        return name

    def _argument(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            size = value.meta.get("val")
            return self._size(size) if isinstance(size, (int, float, torch.SymInt, torch.SymFloat, torch.SymBool)) else self._values[value]
        if isinstance(value, (list, tuple)):
            return [self._argument(item) for item in value]
        return self._literal(value)

    def _size(self, value: Any) -> Any:
        if isinstance(value, torch.SymInt):
            expression = value.node.expr
            return int(expression) if expression.is_Integer else "=" + to_text(expression, self.symbols)
        if isinstance(value, (torch.SymFloat, torch.SymBool)):
            raise NotExpressible(f"{value} is not an integer")
        return self._literal(value)

    def _literal(self, value: Any) -> Any:
        if isinstance(value, torch.dtype):
            return "model" if value == self.marker else str(value).removeprefix("torch.")
        if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            return self._size(value)
        if isinstance(value, torch.memory_format):
            return str(value).removeprefix("torch.")
        if isinstance(value, (torch.device, torch.layout)):
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
        if isinstance(value, str) and value.startswith("%"):
            return value
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise NotExpressible(f"argument {value!r}")

    def _module(self, node: fx.Node) -> str:
        parent, parent_name = "", ""
        for key, (name, _) in (node.meta.get("nn_module_stack") or {}).items():
            if name == "" or name == self.wrapper:
                continue
            name = name.removeprefix(self.wrapper + ".")
            parent, parent_name = self._paths.path(parent, parent_name, name, key), name
        return parent


def _same(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default or (value is None and default is None)
