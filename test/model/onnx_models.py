"""
Writes the ONNX files of test/model/onnx.test.ts and what PyTorch counts of the same models.

    python test/model/onnx_models.py [NAME ...]      (needs torch, torchvision, onnx and onnxscript)

The weights are left out: each file keeps the names, types and shapes of its initializers, and the numbers of small ones.
"""
import gzip
import json
import sys
from pathlib import Path

import onnx
import torch
import torchvision
from torch import nn

FOLDER = Path(__file__).parent / "fixtures" / "onnx"
SMALL = 64


class Encoder(nn.Module):
    """Embedded tokens with learned positions through a transformer encoder, and a head for classes."""

    def __init__(self, norm_first=False):
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.positions = nn.Parameter(torch.zeros(1, 48, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 10)

    def forward(self, ids):
        x = self.embedding(ids) + self.positions
        return self.head(self.encoder(x)[:, 0])


class Tagger(nn.Module):
    """A recurrent network over tokens."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(500, 32)
        self.lstm = nn.LSTM(32, 24, batch_first=True, bidirectional=True)
        self.gru = nn.GRU(48, 16, batch_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, ids):
        x, _ = self.lstm(self.embedding(ids))
        x, _ = self.gru(x)
        return self.head(x.mean(1))


def strip(path):
    """Large initializers lose their numbers."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.ByteSize() > SMALL * 8:
            for field in ("raw_data", "float_data", "int64_data"):
                tensor.ClearField(field)
    model.graph.ClearField("value_info")
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    return model.SerializeToString()


def export(name, module, example, dynamo=False, dynamic=True):
    module.train()
    path = FOLDER / f"{name}.onnx"
    batch = {0: "batch"}
    if dynamo:
        shapes = ({0: torch.export.Dim("batch", min=2)},)
        torch.onnx.export(module, (example,), path, dynamo=True, dynamic_shapes=shapes, external_data=False)
    else:
        torch.onnx.export(
            module, (example,), path, dynamo=False, opset_version=17, training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=False, input_names=["input"], output_names=["output"],
            dynamic_axes={"input": batch, "output": batch} if dynamic else None,
        )
    data = strip(path)
    path.unlink()
    (FOLDER / f"{name}.onnx.gz").write_bytes(gzip.compress(data, mtime=0))
    return {"parameters": sum(parameter.numel() for parameter in module.parameters())}


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    image, ids = torch.zeros(2, 3, 224, 224), torch.zeros(2, 48, dtype=torch.int64)
    vision = torchvision.models
    makers = {
        "encoder": lambda name: export(name, Encoder(), ids),
        "resnet18": lambda name: export(name, vision.resnet18(), image),
        "mobilenet_v2": lambda name: export(name, vision.mobilenet_v2(), image),
        "tagger": lambda name: export(name, Tagger(), ids),
        "resnet18-fixed": lambda name: export(name, vision.resnet18(), image, dynamic=False),
        "encoder-dynamo": lambda name: export(name, Encoder(), ids, dynamo=True),
        "resnet18-dynamo": lambda name: export(name, vision.resnet18(), image, dynamo=True),
    }
    path = FOLDER / "cases.json"
    cases = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or makers:
        cases[name] = {"versions": f"torch {torch.__version__.split('+')[0]}, onnx {onnx.__version__}", **makers[name](name)}
        path.write_text(json.dumps(cases, indent=1) + "\n")
        print(name, cases[name], flush=True)


if __name__ == "__main__":
    main()
