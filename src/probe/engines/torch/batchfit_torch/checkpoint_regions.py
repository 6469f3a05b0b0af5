"""Finds which module calls a model recomputes when its own activation checkpointing is switched on."""
from __future__ import annotations

import sys
from typing import Any, Callable

import torch
import torch.utils.checkpoint
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode


class CallPaths:
    """
    Names module calls: "encoder.layer.0.attention", and for the n-th further call of one module within one call of its
    parent "@n" behind the component: "encoder.layer@1.attention". `key` tells calls of one module apart.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[Any]] = {}

    def path(self, parent: str, parent_name: str, name: str, key: Any) -> str:
        relative = name[len(parent_name) + 1 :] if parent_name and name.startswith(parent_name + ".") else name
        calls = self._seen.setdefault((parent, relative), [])
        if key not in calls:
            calls.append(key)
        nth = calls.index(key)
        component = relative + (f"@{nth}" if nth else "")
        return f"{parent}.{component}" if parent else component


def find_checkpoint_regions(module: nn.Module, run: Callable[[], Any]) -> list[str]:
    """
    Runs the model once (on the meta device) with its checkpointing on, and returns the outermost module calls inside
    each checkpointed function. Models without a switch of their own have none.
    """
    switch = _switch_of(module)
    if switch is None:
        return []
    original = torch.utils.checkpoint.checkpoint
    names = {id(child): name for name, child in reversed(list(module.named_modules()))}
    recorder = _Recorder(names)

    def record(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for setting in ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop"):
            kwargs.pop(setting, None)
        with recorder.region():
            return function(*args, **kwargs)

    _replace(original, record)
    hooks = [register_module_forward_pre_hook(recorder.enter), register_module_forward_hook(recorder.leave, always_call=True)]
    try:
        switch(True)
        with torch.no_grad(), _Values():
            run()
    finally:
        for hook in hooks:
            hook.remove()
        _replace(record, original)
        switch(False)
    return recorder.regions


class _Values(TorchDispatchMode):
    """A value read back from a tensor without values (`if mask.all()`) is 1 or True, as in a batch without padding."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten._local_scalar_dense.default:
            dtype = args[0].dtype
            return True if dtype == torch.bool else 1.0 if dtype.is_floating_point else 1
        return function(*args, **(kwargs or {}))


class _Recorder:
    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.regions: list[str] = []
        self._stack: list[tuple[str, str]] = []
        self._paths = CallPaths()
        self._calls = 0
        self._region_depth: int | None = None

    def region(self) -> "_Recorder":
        return self

    def __enter__(self) -> None:
        if self._region_depth is None:
            self._region_depth = len(self._stack)

    def __exit__(self, *_: Any) -> None:
        if self._region_depth == len(self._stack):
            self._region_depth = None

    def enter(self, module: nn.Module, _: Any) -> None:
        name = self.names.get(id(module))
        if name is None:
            return
        self._calls += 1
        parent, parent_name = self._stack[-1] if self._stack else ("", "")
        path = self._paths.path(parent, parent_name, name, self._calls) if name else ""
        if self._region_depth == len(self._stack):
            self.regions.append(path)
        self._stack.append((path, name))

    def leave(self, module: nn.Module, *_: Any) -> None:
        if id(module) in self.names:
            self._stack.pop()


def _switch_of(module: nn.Module) -> Callable[[bool], Any] | None:
    if hasattr(module, "set_grad_checkpointing"):
        return lambda on: _quietly(module.set_grad_checkpointing, on)
    if getattr(module, "supports_gradient_checkpointing", False):
        return lambda on: module.gradient_checkpointing_enable() if on else module.gradient_checkpointing_disable()
    return None


def _quietly(switch: Callable[[bool], Any], on: bool) -> None:
    try:
        switch(on)
    except AssertionError:  # timm's way to say "not supported"
        pass


def _replace(old: Any, new: Any) -> None:
    """Models import the function by name, so that every module that holds it must be told."""
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None) or {}
        for name in [name for name, value in list(held.items()) if value is old]:
            held[name] = new
