"""One training loop over a graph or a real module: forward, backward and optimizer steps as the setup says."""
from __future__ import annotations

import contextlib
import time
from typing import Any, Callable

import torch
from .device import Device
from .interpreter import GraphModule
from .references import Options, build
from torch import nn


class NotSupported(Exception):
    """A setup that this engine cannot run."""


WEIGHT_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
AUTOCAST_DTYPES = {"amp-bf16": torch.bfloat16, "amp-fp16": torch.float16}


class Trainee:
    """What is trained, behind one face: `batch()` makes inputs, `loss(batch)` runs forward."""

    def __init__(self, module: nn.Module, batch: Callable[[], Any], loss: Callable[[Any], tuple[torch.Tensor, Any]]) -> None:
        self.module, self.batch, self.loss = module, batch, loss
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]


def make_trainee(request: dict[str, Any], device: Device) -> Trainee:
    setup, model = request["setup"], request["model"]
    weights = WEIGHT_DTYPES.get(setup["precision"], torch.float32)
    full = setup["checkpointing"] == "full"
    if model["kind"] == "graph":
        if full and not model["graph"]["checkpoints"]:
            raise NotSupported("this graph names no regions for --checkpointing full")
        graph = GraphModule(model["graph"], request["sizes"], weights, device.device, full, setup["channelsLast"])
        return Trainee(graph, lambda: graph.batch(setup["batch"]), graph)
    return _from_code(request, weights, full, device)


def _from_code(request: dict[str, Any], weights: torch.dtype, full: bool, device: Device) -> Trainee:
    setup, sizes = request["setup"], request["sizes"]
    image = (sizes["H"], sizes["W"]) if "H" in sizes else None
    options = Options(setup["batch"], image, sizes.get("S"), request["model"].get("classes"), request["model"].get("head"), setup["attention"])
    example = build(request["model"]["reference"], options)
    module = example.module.to(device=device.device, dtype=weights).train()
    if setup["channelsLast"]:
        module = module.to(memory_format=torch.channels_last)
    if full:
        if hasattr(module, "set_grad_checkpointing"):
            module.set_grad_checkpointing(True)
        elif hasattr(module, "gradient_checkpointing_enable"):
            module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            raise NotSupported("this model has no switch for --checkpointing full")
    given = (example.arguments, example.keywords, example.targets)

    def fit(tensor: torch.Tensor) -> torch.Tensor:
        """The example's samples over and over, as many as the batch has."""
        rows = torch.arange(setup["batch"]) % tensor.shape[0] if tensor.dim() else ...
        sample = tensor[rows].to(device=device.device, dtype=weights if tensor.is_floating_point() else tensor.dtype)
        return sample.to(memory_format=torch.channels_last) if setup["channelsLast"] and sample.dim() == 4 else sample

    def loss(batch: Any) -> tuple[torch.Tensor, Any]:
        arguments, keywords, targets = batch
        output = module(*arguments, **keywords)
        return example.loss(output, *targets), output

    return Trainee(module, lambda: torch.utils._pytree.tree_map(fit, given), loss)


def make_optimizer(name: str, implementation: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    choice = {"default": {}, "foreach": {"foreach": True}, "fused": {"fused": True}, "single": {"foreach": False}}[implementation]
    optimizers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "sgd": lambda: torch.optim.SGD(parameters, lr=1e-3, **choice),
        "momentum": lambda: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, **choice),
        "nesterov": lambda: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, nesterov=True, **choice),
        "adam": lambda: torch.optim.Adam(parameters, lr=1e-4, **choice),
        "adamw": lambda: torch.optim.AdamW(parameters, lr=1e-4, **choice),
        "adagrad": lambda: torch.optim.Adagrad(parameters, lr=1e-3, **choice),
        "rmsprop": lambda: torch.optim.RMSprop(parameters, lr=1e-4, **choice),
        "adafactor": lambda: torch.optim.Adafactor(parameters, lr=1e-3, **choice),
    }
    if name not in optimizers:
        raise NotSupported(f"the torch engine has no optimizer {name} ({', '.join(optimizers)})")
    if implementation == "fused" and name in ("rmsprop", "adafactor"):
        raise NotSupported(f"{name} has no fused implementation")
    return optimizers[name]()


def attention_kernel(wanted: str) -> Any:
    if wanted == "auto":
        return contextlib.nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kernels = {"math": SDPBackend.MATH, "efficient": SDPBackend.EFFICIENT_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION}
    return sdpa_kernel(kernels[wanted])


def train(request: dict[str, Any], device: Device, say: Callable[[str], None]) -> list[float]:
    """Runs the steps; returns the seconds of each timed one."""
    setup = request["setup"]
    set_float32_products(setup["precision"] == "tf32")
    trainee = make_trainee(request, device)
    optimizer = make_optimizer(setup["optimizer"], setup["optimizerImplementation"], trainee.parameters)
    scaler = torch.amp.GradScaler(device.device.type, enabled=setup["precision"] == "amp-fp16")
    amp = AUTOCAST_DTYPES.get(setup["precision"])
    position, to_none = setup["zeroGradPosition"], setup["zeroGrad"] == "to-none"
    held: Any = None
    seconds: list[float] = []
    for step in range(request["warmupSteps"] + request["steps"]):
        phase = (lambda name: say(f"{name} of step {step + 1}")) if step < 2 else (lambda name: None)
        elapsed = 0.0
        for micro in range(setup["accumulation"]):
            batch = trainee.batch()
            device.synchronize()
            started = time.perf_counter()
            first = micro == 0
            phase("forward")
            if position == "before-forward" and first:
                optimizer.zero_grad(set_to_none=to_none)
            with attention_kernel(setup["attention"]), torch.autocast(device.device.type, amp or torch.bfloat16, enabled=amp is not None):
                loss, outputs = trainee.loss(batch)
            held = outputs if setup["keepOutputs"] else None
            del outputs
            device.sample()
            phase("backward")
            if position == "before-backward" and first:
                optimizer.zero_grad(set_to_none=to_none)
            scaler.scale(loss / setup["accumulation"] if setup["accumulation"] > 1 else loss).backward()
            if micro == setup["accumulation"] - 1:
                phase("optimizer")
                if setup["clipGradNorm"] is not None:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(trainee.parameters, setup["clipGradNorm"])
                scaler.step(optimizer)
                scaler.update()
                if position == "after-step":
                    optimizer.zero_grad(set_to_none=to_none)
            device.synchronize()
            elapsed += time.perf_counter() - started
            del batch, loss
        if step >= request["warmupSteps"]:
            seconds.append(elapsed)
    del held
    return seconds


def set_float32_products(tf32: bool) -> None:
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
