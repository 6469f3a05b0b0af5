"""Batches of real samples: from arrays in files, or from what a user's function returns."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, default_collate

from .user_code import NoSuchFunction, load_function


class BadData(Exception):
    """The data cannot be read, or does not go with the model."""


def open_samples(data: dict[str, Any], size: int, seed: int) -> Iterator[Any]:
    """Batches of `size` samples without end: a dict by input name, or a sequence in the order of the inputs."""
    if data["kind"] == "arrays":
        return _stored(data, size)
    path, _, function = data["reference"].rpartition(":")
    try:
        made = load_function(path, function, "batchfit_user_data")()
    except NoSuchFunction as error:
        raise BadData(str(error)) from None
    return _batches(made, size, torch.Generator().manual_seed(seed), data["reference"])


def _stored(data: dict[str, Any], size: int) -> Iterator[dict[str, torch.Tensor]]:
    def read(path: str, dtype: str, shape: list[int]) -> torch.Tensor:
        count = torch.Size(shape).numel()
        return torch.from_file(path, shared=False, size=count, dtype=getattr(torch, dtype)).reshape(shape)

    arrays = {array["name"]: read(array["path"], array["dtype"], array["shape"]) for array in data["arrays"]}
    with open(data["draws"], "rb") as file:
        draws = torch.frombuffer(bytearray(file.read()), dtype=torch.int32)
    for rows in draws.split(size):
        yield {name: array[rows.long()] for name, array in arrays.items()}


def _batches(made: Any, size: int, generator: torch.Generator, reference: str) -> Iterator[Any]:
    collate = default_collate
    if isinstance(made, DataLoader) and not isinstance(made.dataset, IterableDataset):
        collate, made = made.collate_fn, made.dataset
    elif isinstance(made, IterableDataset):
        made = DataLoader(made, batch_size=size)
    arrays = _as_arrays(made)
    if arrays is not None:
        length = _length(list(arrays.values()) if isinstance(arrays, dict) else arrays, reference)
        while True:
            yield _select(arrays, _draw(length, size, generator))
    elif hasattr(made, "__len__") and hasattr(made, "__getitem__") and not isinstance(made, dict):
        length = _length([made], reference)
        while True:
            yield collate([made[int(row)] for row in _draw(length, size, generator)])
    elif isinstance(made, Iterable):
        yield from _regroup(made, size, reference)
    raise BadData(f"{reference}: expected a Dataset, a DataLoader, arrays or batches, found {type(made).__name__}")


def _draw(length: int, size: int, generator: torch.Generator) -> torch.Tensor:
    """With replacement, so that the batches are independent of each other, as the estimator assumes."""
    return torch.randint(length, (size,), generator=generator)


def _length(parts: Sequence[Any], reference: str) -> int:
    lengths = {len(part) for part in parts}
    if len(lengths) != 1 or 0 in lengths:
        raise BadData(f"{reference}: expected samples, and as many in each array, found {sorted(lengths)}")
    return lengths.pop()


def _as_arrays(made: Any) -> Any:
    """A dict, tuple or list of tensors or NumPy arrays, as tensors; None for anything else."""
    values = list(made.values()) if isinstance(made, dict) else made if isinstance(made, (tuple, list)) else [made]
    if not values or not all(hasattr(value, "__array__") or isinstance(value, torch.Tensor) for value in values):
        return None
    tensors = [torch.as_tensor(value) for value in values]
    return dict(zip(made, tensors)) if isinstance(made, dict) else tensors


def _select(arrays: Any, rows: Any) -> Any:
    return {name: array[rows] for name, array in arrays.items()} if isinstance(arrays, dict) else [array[rows] for array in arrays]


def _regroup(batches: Iterable[Any], size: int, reference: str) -> Iterator[Any]:
    """Batches of another size, cut and joined; begun anew when they end."""
    held: Any = None
    restart = not isinstance(batches, Iterator)
    while True:
        seen = 0
        for batch in batches:
            seen += 1
            arrays = _as_arrays(batch)
            if arrays is None:
                raise BadData(f"{reference}: expected batches of tensors, found {type(batch).__name__}")
            held = arrays if held is None else _join(held, arrays)
            while _rows(held) >= size:
                yield _select(held, slice(None, size))
                held = _select(held, slice(size, None))
        if seen == 0 or not restart:
            raise BadData(f"{reference}: the batches ended too early; return a Dataset, or ask for fewer --updates")


def _rows(arrays: Any) -> int:
    return len(next(iter(arrays.values())) if isinstance(arrays, dict) else arrays[0])


def _join(first: Any, second: Any) -> Any:
    if isinstance(first, dict):
        return {name: torch.cat([array, second[name]]) for name, array in first.items()}
    return [torch.cat(pair) for pair in zip(first, second)]
