"""
Exports many models in one process, each on its own: one that fails is named and the rest go on.
usage: export_graphs.py LIST OUTDIR [--force]
LIST has one reference a line (a bare name is timm's) and may add options: "resnet50", "torchvision:vgg16", "timm:vit_tiny_patch16_224 --image 256".
A name that is another model with other weights gets a copy of that one's graph, where OUTDIR has it.
"--fixed" leaves only the batch free: for architectures whose image sizes are known not to come free.
"""
from __future__ import annotations

import os
import sys
import time
import traceback
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "probe", "engines", "torch"))

from batchfit_torch import export as exporter  # noqa: E402
from batchfit_torch.references import Options, Unsupported  # noqa: E402
from renamed_models import copy_renamed, twin_of  # noqa: E402


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    warnings.filterwarnings("ignore")
    listing, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    failed = 0

    def path_of(reference: str, options: list[str]) -> str:
        name = reference.partition(":")[2] + "".join(option.replace("--", "-") for option in options)
        return os.path.join(folder, name.replace("/", "_") + ".graph.json")

    with open(listing, encoding="utf8") as file:
        lines = [line.split("#")[0].split() for line in file]
    for reference, *options in (line for line in lines if line):
        free = frozenset("B" if "--fixed" in options else "BSHW")
        options = [option for option in options if option != "--fixed"]
        reference = reference if ":" in reference else f"timm:{reference}"
        path = path_of(reference, options)
        if os.path.exists(path) and "--force" not in sys.argv:
            continue
        twin = None if options else twin_of(reference)
        if twin is not None and os.path.exists(path_of(twin, [])):
            copy_renamed(path_of(twin, []), reference, path)
            print(f"{reference} is {twin} with other weights", flush=True)
            continue
        started = time.time()
        try:
            given = exporter.options_of(exporter.parse([reference, path, *options]))
            exporter.write(exporter.export(reference, given, free), path)
            print(f"{reference} {os.path.getsize(path)} B, {time.time() - started:.1f} s", flush=True)
        except Unsupported as reason:
            failed += 1
            print(f"{reference} UNSUPPORTED {reason}", flush=True)
        except Exception:
            failed += 1
            print(f"{reference} FAILED {traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
