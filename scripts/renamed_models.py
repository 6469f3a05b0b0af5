"""Names of timm that stand for another model with other weights: their graph is the other's under a new name."""
from __future__ import annotations

import json

from batchfit_torch.references import import_timm

# What of a name's configuration shapes the module; the rest is where weights are from and how images are prepared for them.
SHAPES = ("num_classes", "input_size", "fixed_input_size", "pool_size", "first_conv", "classifier")


def twin_of(reference: str) -> str | None:
    """The reference with the same graph, or None: "timm:tf_efficientnet_b0_ns" is "timm:tf_efficientnet_b0" with other weights."""
    library, _, name = reference.partition(":")
    if library != "timm":
        return None
    import_timm()
    from timm.models import _registry

    current = _registry._deprecated_models.get(name)
    if current is None:
        return None
    base = current.partition(".")[0]
    try:
        own, other = (_registry.get_pretrained_cfg(each) for each in (current, base))
    except RuntimeError:  # a tag that the release has no configuration for
        return None
    same = own is not None and other is not None and all(getattr(own, key) == getattr(other, key) for key in SHAPES)
    return f"timm:{base}" if same else None


def copy_renamed(path: str, reference: str, new_path: str) -> None:
    with open(path, encoding="utf8") as file:
        graph = json.load(file)
    graph["name"] = reference.partition(":")[2]
    graph["source"]["reference"] = reference
    with open(new_path, "w", encoding="utf8") as file:
        json.dump(graph, file)
