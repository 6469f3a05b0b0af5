"""
One trial of the torch engine, in a process of its own: reads one request from standard input, trains, and reports on file
descriptor 3 as JSON lines ("batchfit/trial-report@1").
"""
from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

SCHEMA = "batchfit/trial-report@1"
# What a RuntimeError says when memory ran out; frameworks below PyTorch have no class of their own for it.
OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "CUDNN_STATUS_NOT_SUPPORTED",
    "std::bad_alloc", "Cannot allocate memory", "hipErrorOutOfMemory",
)  # fmt: skip


class Reporter:
    def __init__(self) -> None:
        self.known: dict[str, Any] = {}
        try:
            self.file: Any = os.fdopen(3, "w", encoding="utf8", buffering=1)
        except OSError:
            self.file = sys.stdout

    def send(self, status: str, **fields: Any) -> None:
        self.known |= fields
        self.line({"schema": SCHEMA, "status": status, **self.known})

    def line(self, fields: dict[str, Any]) -> None:
        print(json.dumps(fields), file=self.file, flush=True)


def die_with_parent() -> None:
    """A trial without a parent would hold the device's memory for nobody."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def run(request: dict[str, Any], reporter: Reporter) -> int:
    try:
        import torch
        from .device import Device, Unavailable
        from .interpreter import Unrunnable
        from .noise import measure
        from .references import Unsupported
        from .samples import BadData
        from .training import NotSupported, train
    except (ImportError, OSError) as error:
        reporter.send("error", error=f"torch cannot be imported: {error}")
        return 1
    refusals = (Unavailable, Unrunnable, Unsupported, NotSupported, BadData)
    device = None
    try:
        device = Device(request["device"])
        reporter.send("running", device=device.describe(), phase="build")
        if "noise" in request:
            measure(request, device, reporter.send, reporter.line)
            reporter.send("done", phase=None, **device.peaks())
            return 0
        seconds = train(request, device, lambda phase: reporter.send("running", phase=phase))
        spilled = device.spilled()
        if spilled:
            reporter.send("oom", error=spilled, **device.peaks())
            return 1
        reporter.send("done", phase=None, stepSeconds=seconds, **device.peaks())
        return 0
    except refusals as error:
        reporter.send("unsupported", error=str(error))
    except (RuntimeError, MemoryError, OSError, ImportError, TypeError, ValueError, NotImplementedError) as error:
        line = " ".join(str(error).split("\n")[:2]).strip()[:400]
        text = f"{type(error).__module__}.{type(error).__qualname__}: {line}".removeprefix("builtins.")
        is_memory = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)) or any(sign in str(error) for sign in OUT_OF_MEMORY)
        host = device is None or device.kind == "cpu" or isinstance(error, MemoryError) or "CPUAllocator" in str(error)
        peaks = {} if device is None else device.peaks()
        reporter.send("oom" if is_memory else "error", error=f"{'host' if host else 'device'} memory: {text}" if is_memory else text, **peaks)
        if not is_memory:
            import traceback

            traceback.print_exc()
    return 1


def main() -> int:
    die_with_parent()
    reporter = Reporter()
    reporter.send("running", phase="import")
    return run(json.load(sys.stdin), reporter)
