"""The device that a trial runs on, and what it says about memory."""
from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import torch


class Unavailable(Exception):
    """The device that was asked for is not here."""


class Device:
    """One device; `kind` is "cuda", "rocm", "mps" or "cpu"."""

    def __init__(self, wanted: str | None) -> None:
        kind, _, index = (wanted or self._best()).partition(":")
        self.kind = kind
        if kind in ("cuda", "rocm"):
            if not torch.cuda.is_available() or (kind == "rocm") != bool(torch.version.hip):
                raise Unavailable(f"this torch {torch.__version__} has no {kind} device")
            if int(index or 0) >= torch.cuda.device_count():
                raise Unavailable(f"{kind}:{index} is not here: torch sees {torch.cuda.device_count()}")
            self.device = torch.device("cuda", int(index or 0))
            torch.cuda.set_device(self.device)
        elif kind == "mps":
            if not torch.backends.mps.is_available():
                raise Unavailable(f"this torch {torch.__version__} has no mps device")
            self.device = torch.device("mps")
        elif kind == "cpu":
            self.device = torch.device("cpu")
        else:
            raise Unavailable(f'the torch engine has no device "{kind}" (cuda, rocm, mps, cpu)')
        self._mps_peak = 0

    @staticmethod
    def _best() -> str:
        if torch.cuda.is_available():
            return "rocm" if torch.version.hip else "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def describe(self) -> dict[str, Any]:
        total = None
        if self.is_cuda:
            total = torch.cuda.get_device_properties(self.device).total_memory
        elif self.kind == "mps" and hasattr(torch.mps, "recommended_max_memory"):
            total = torch.mps.recommended_max_memory()
        name = torch.cuda.get_device_name(self.device) if self.is_cuda else None
        return {"kind": self.kind, "name": name, "backend": f"torch {torch.__version__}", "totalBytes": total}

    def synchronize(self) -> None:
        """Waits for the device, so that a clock read afterwards means something."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)
        elif self.kind == "mps":
            torch.mps.synchronize()
            self.sample()

    def sample(self) -> None:
        """MPS keeps no peak of its own."""
        if self.kind == "mps":
            self._mps_peak = max(self._mps_peak, torch.mps.current_allocated_memory())

    def peaks(self) -> dict[str, int | None]:
        peak = reserved = taken = None
        if self.is_cuda:
            peak, reserved = torch.cuda.max_memory_allocated(self.device), torch.cuda.max_memory_reserved(self.device)
            taken = taken_by_this_process()
        elif self.kind == "mps":
            peak, reserved = self._mps_peak, torch.mps.driver_allocated_memory()
        return {"peakBytes": peak, "reservedBytes": reserved, "deviceBytes": taken, "processPeakBytes": process_peak()}

    def spilled(self) -> str | None:
        """On Windows and WSL2 the driver moves memory to the host instead of failing: a peak above the card did not fit."""
        if not self.is_cuda:
            return None
        reserved, total = torch.cuda.max_memory_reserved(self.device), torch.cuda.get_device_properties(self.device).total_memory
        return f"device memory: {reserved} bytes were reserved on a device of {total}: the driver spilled to host memory" if reserved > total else None


def taken_by_this_process() -> int | None:
    """What the driver says that this process holds; None where it does not tell (containers, WSL2)."""
    try:
        query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
        listed = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
        return sum(int(line.split(",")[1]) for line in listed.splitlines() if int(line.split(",")[0]) == os.getpid()) * 2**20 or None
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None


def process_peak() -> int | None:
    """Highest resident memory of this process, in bytes."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
