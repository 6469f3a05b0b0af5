"""
Lists the models whose graphs are shipped, each with the module that holds its architecture: the input of export_graphs.py and pack-graphs.mjs.
usage: list_graphs.py > graph-names.txt
What stands behind a colon is why a name has no graph.
"""
from __future__ import annotations

import timm
import torch
import torchvision
from timm.models import _registry
from torchvision import models

# Models that are not trained as they are, or take more than images.
LEFT_OUT = {
    "quantization": "quantized models are not trained",
    "optical_flow": "optical flow models take two images and a field",
}
# Why a name of timm has no graph, by how it ends.
TIMM_LEFT_OUT = {
    "_enc": "an encoder of a larger model, without a head to train",
    "_patch16_224_sam": "timm 1.0 has no such weights, and makes no such model",
    "_patch32_224_sam": "timm 1.0 has no such weights, and makes no such model",
}


def main() -> None:
    print(f"# Made by list_graphs.py with torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}.")
    # Deprecated names stand for an architecture and a tag, "convnext_tiny.fb_in22k_ft_in1k", which may set classes and size.
    renamed = {name: new.partition(".")[0] for name, new in _registry._deprecated_models.items()}
    for name in sorted({*timm.list_models(), *renamed}):
        reason = next((reason for end, reason in TIMM_LEFT_OUT.items() if name.endswith(end)), None)
        architecture = timm.models.model_entrypoint(renamed.get(name, name)).__module__.rpartition(".")[2]
        print(f"timm:{name}  # {architecture}" + (f": {reason}" if reason else ""))
    for name in sorted(models.list_models()):
        parts = models.get_model_builder(name).__module__.split(".")[2:]
        reason = LEFT_OUT.get(parts[0])
        print(f"torchvision:{name}  # {parts[-1]}" + (f": {reason}" if reason else ""))


if __name__ == "__main__":
    main()
