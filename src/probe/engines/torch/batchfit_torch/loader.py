"""One point of a loader measurement, in a process of its own: how fast a DataLoader is, and what its workers take."""
from __future__ import annotations

import inspect
import json
import sys
import time
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler

from .user_code import NoSuchFunction, load_function
from .worker import Reporter, die_with_parent

SCHEMA = "batchfit/loader-point@1"
MEMORY_EVERY = 0.25


class Refused(Exception):
    """What the function returned cannot be measured."""


class Synthetic(Dataset):  # type: ignore[type-arg]
    """Images of random bytes, turned to float32: the cost of making and moving a sample, without a disk or a decoder."""

    def __len__(self) -> int:
        return 100_000

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = torch.randint(256, (3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        return image.float().div_(255), index % 1000


def make_loader(request: dict[str, Any]) -> DataLoader:  # type: ignore[type-arg]
    workers, reference = request["workers"], request["reference"]
    pinned = torch.cuda.is_available() if request["pinMemory"] is None else request["pinMemory"]
    settings: dict[str, Any] = {"num_workers": workers, "pin_memory": pinned}
    if workers > 0:
        settings |= {"prefetch_factor": request["prefetch"], "persistent_workers": True}
    if reference is None:
        return DataLoader(Synthetic(), batch_size=request["batch"] or 32, shuffle=request["shuffle"], **settings)
    path, _, function = reference.rpartition(":")
    make = load_function(path, function, "batchfit_user_data")
    made = make(workers) if inspect.signature(make).parameters else make()
    if isinstance(made, DataLoader):
        if inspect.signature(make).parameters:
            return made
        return _again(made, request, settings)
    if not (hasattr(made, "__getitem__") and hasattr(made, "__len__") or isinstance(made, IterableDataset)):
        raise Refused(f"{reference}: expected a Dataset or a DataLoader, found {type(made).__name__}")
    shuffle = request["shuffle"] and not isinstance(made, IterableDataset)
    return DataLoader(made, batch_size=request["batch"] or 32, shuffle=shuffle, **settings)


def _again(made: DataLoader, request: dict[str, Any], settings: dict[str, Any]) -> DataLoader:  # type: ignore[type-arg]
    """The user's own loader with another number of workers."""
    settings |= {"collate_fn": made.collate_fn, "worker_init_fn": made.worker_init_fn}
    if isinstance(made.dataset, IterableDataset):
        return DataLoader(made.dataset, batch_size=request["batch"] or made.batch_size, drop_last=made.drop_last, **settings)
    if made.batch_size is None or (request["batch"] is None and type(made.batch_sampler).__name__ != "BatchSampler"):
        return DataLoader(made.dataset, batch_sampler=made.batch_sampler, **settings)
    sampler = made.sampler if request["shuffle"] else SequentialSampler(made.dataset)
    return DataLoader(made.dataset, batch_size=request["batch"] or made.batch_size, sampler=sampler, drop_last=made.drop_last, **settings)


def _shuffles(loader: Any) -> bool | None:
    """None for a sampler that is neither of PyTorch's two, and for data that decides by itself."""
    return {RandomSampler: True, SequentialSampler: False}.get(type(getattr(loader, "sampler", None)))


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Samples per second after the first batch of every worker; epochs follow each other while there is time."""
    loader = make_loader(request)
    started = time.perf_counter()
    iterator = iter(loader)
    first = next(iterator, None)
    if first is None:
        raise Refused("the loader has no batches")
    size, first_seconds = _samples(first), time.perf_counter() - started
    for _ in range(request["workers"]):
        # What the other workers made ahead while the first batch was waited for is no measure of their speed.
        iterator, _batch = _next(iterator, loader)
    samples, memory, looked = 0, 0, 0.0
    begun = time.perf_counter()
    while (now := time.perf_counter()) - begun < request["seconds"] or samples == 0:
        iterator, batch = _next(iterator, loader)
        samples += _samples(batch)
        if now - looked > MEMORY_EVERY:
            memory, looked = max(memory, _worker_bytes(iterator)), now
    return {
        "samples": samples,
        "seconds": time.perf_counter() - begun,
        "firstBatchSeconds": first_seconds,
        "batch": size,
        "workerBytes": memory if sys.platform == "linux" else None,
        "accelerator": torch.cuda.is_available(),
        "pinMemory": loader.pin_memory,
        "shuffles": _shuffles(loader),
    }


def _next(iterator: Any, loader: Any) -> tuple[Any, Any]:
    """The next batch, of the next epoch where this one has ended."""
    batch = next(iterator, None)
    if batch is None:
        iterator = iter(loader)
        batch = next(iterator)
    return iterator, batch


def _samples(batch: Any) -> int:
    """Rows of the first tensor in a batch."""
    tensors = [leaf for leaf in torch.utils._pytree.tree_leaves(batch) if isinstance(leaf, torch.Tensor) and leaf.dim() > 0]
    return int(tensors[0].shape[0]) if tensors else len(batch)


def _worker_bytes(iterator: Any) -> int:
    """Memory of the workers: pages that they share with others count in part (proportional set size)."""
    return sum(_proportional(worker.pid) for worker in getattr(iterator, "_workers", []))


def _proportional(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def main() -> int:
    die_with_parent()
    reporter = Reporter()
    reporter.send("running", phase="loader")
    try:
        point = measure(json.load(sys.stdin))
    except (Refused, NoSuchFunction) as error:
        reporter.send("unsupported", error=str(error))
        return 1
    except Exception as error:  # a user's data set may raise anything
        line = " ".join(str(error).split("\n")[-2:] if "Traceback" in str(error) else str(error).split("\n")[:1]).strip()[:400]
        is_memory = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        reporter.send("oom" if is_memory else "error", error=f"{type(error).__name__}: {line}")
        return 1
    reporter.line({"schema": SCHEMA, **point})
    reporter.send("done", phase=None)
    return 0
