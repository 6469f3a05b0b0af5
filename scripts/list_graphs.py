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


def main() -> None:
    print(f"# Made by list_graphs.py with torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}.")
    # Deprecated names stand for an architecture and a tag, "convnext_tiny.fb_in22k_ft_in1k", which may set classes and size.
    renamed = {name: new.partition(".")[0] for name, new in _registry._deprecated_models.items()}
    for name in sorted({*timm.list_models(), *renamed}):
        print(f"timm:{name}  # {timm.models.model_entrypoint(renamed.get(name, name)).__module__.rpartition('.')[2]}")
    for name in sorted(models.list_models()):
        parts = models.get_model_builder(name).__module__.split(".")[2:]
        reason = LEFT_OUT.get(parts[0])
        print(f"torchvision:{name}  # {parts[-1]}" + (f": {reason}" if reason else ""))


if __name__ == "__main__":
    main()
