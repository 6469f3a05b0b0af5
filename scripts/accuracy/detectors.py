"""
Exports the detectors whose memory others published, as detectron2 and MMDetection build them, from torchvision's parts.
usage: detectors.py OUTDIR [NAME]...   (then: npm run accuracy -- TRUTH_DIR --graphs OUTDIR)

The peak of a whole run is that of its fullest images: of COCO's, one has 93 objects, and every anchor's overlap with each
is on the device for a moment. The same as those models up to boxes spread evenly over the pyramid's levels; MMDetection's own
kernel of the focal loss, which keeps its input, is one softplus, and what its overlaps and its masks' targets hold is added.
"""
from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "probe", "engines", "torch"))

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
import torchvision  # noqa: E402
from batchfit_torch import construction, export  # noqa: E402
from batchfit_torch import detection as choices  # noqa: E402
from batchfit_torch.references import Example, Options, class_loss, version_of  # noqa: E402
from torch import nn  # noqa: E402
from torchvision.models import detection, resnet  # noqa: E402
from torchvision.models.detection import backbone_utils, retinanet  # noqa: E402
from torchvision.ops import FrozenBatchNorm2d, feature_pyramid_network  # noqa: E402

# The short side of 800 and the long one of 1333, padded to whole strides.
HEIGHT, WIDTH = 800, 1344
CLASSES = 81
BODIES = {
    "r50": resnet.resnet50,
    "r101": resnet.resnet101,
    "x101-32x4d": lambda **settings: resnet._resnet(resnet.Bottleneck, [3, 4, 23, 3], None, False, groups=32, width_per_group=4, **settings),
    "x101-64x4d": lambda **settings: resnet._resnet(resnet.Bottleneck, [3, 4, 23, 3], None, False, groups=64, width_per_group=4, **settings),
    "x101-32x8d": lambda **settings: resnet._resnet(resnet.Bottleneck, [3, 4, 23, 3], None, False, groups=32, width_per_group=8, **settings),
}


def matched(boxes: torch.Tensor, anchors: torch.Tensor) -> torch.Tensor:
    """An object's box for each anchor, by the overlaps of one image's, as matchers find it."""
    batch = boxes.shape[0]
    overlaps = torchvision.ops.box_iou(boxes[0], anchors[: anchors.shape[0] // batch])
    best = overlaps.max(dim=0)[1]
    low = (overlaps == overlaps.max(dim=1, keepdim=True)[0]).any(dim=0)
    return boxes.reshape(-1, 4)[torch.where(low, best, best).repeat(batch)]


choices.OBJECTS = 93
choices._matched = matched


class EvalBatchNorm(nn.BatchNorm2d):
    """MMDetection's norm_eval: running statistics, and learned weights all the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


class FrozenEvalBatchNorm(EvalBatchNorm):
    """MMDetection's caffe-style bodies: the same operator, with nothing to learn."""

    def __init__(self, *arguments: object, **settings: object) -> None:
        super().__init__(*arguments, **settings)
        self.requires_grad_(False)


def body(name: str, norm: type[nn.Module], strides_first: bool) -> nn.Module:
    made = BODIES[name](norm_layer=norm)
    for layer in (made.layer2, made.layer3, made.layer4) if strides_first else ():
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    for part in (made.conv1, made.bn1, made.layer1):
        part.requires_grad_(False)
    return made


def detector(kind: str, name: str, norm: type[nn.Module], strides_first: bool) -> nn.Module:
    if kind == "retinanet":
        last = feature_pyramid_network.LastLevelP6P7(2048, 256)
        pyramid = backbone_utils._resnet_fpn_extractor(body(name, norm, strides_first), 5, returned_layers=[2, 3, 4], extra_blocks=last)
        pyramid.body.requires_grad_(True)
        freeze(pyramid.body)
        return detection.RetinaNet(pyramid, CLASSES - 1, anchor_generator=retinanet._default_anchorgen())
    pyramid = backbone_utils._resnet_fpn_extractor(body(name, norm, strides_first), 5)
    freeze(pyramid.body)
    settings = {"rpn_post_nms_top_n_train": 1000, "num_classes": 2 if kind == "keypoint-rcnn" else CLASSES}
    made = {"faster-rcnn": detection.FasterRCNN, "mask-rcnn": detection.MaskRCNN, "keypoint-rcnn": detection.KeypointRCNN}[kind]
    return made(pyramid, **settings)


def freeze(pyramid_body: nn.Module) -> None:
    for name, parameter in pyramid_body.named_parameters():
        module = pyramid_body.get_submodule(name.rpartition(".")[0])
        parameter.requires_grad_(not name.startswith(("conv1", "bn1", "layer1")) and not isinstance(module, FrozenEvalBatchNorm))


def example(name: str) -> Example:
    library, kind, body_name = name.split("_")
    norm = {"detectron2": FrozenBatchNorm2d, "mmdet": EvalBatchNorm, "mmdet-caffe": FrozenEvalBatchNorm}[library]
    strides_first = library == "mmdet-caffe" or (library == "detectron2" and not body_name.startswith("x"))
    module = detector(kind, body_name, norm, strides_first)
    if library == "detectron2":
        # Its heads' relus make a tensor of their own, its body's work in place.
        for path, part in module.named_modules():
            if isinstance(part, nn.ReLU) and ".body." not in path:
                part.inplace = False
    targets = choices.targets_of(module, 4, 28, 28)
    if library.startswith("mmdet"):
        torchvision.ops.sigmoid_focal_loss = lambda logits, wanted, reduction: F.softplus(logits).sum()
    module = choices.with_fixed_choices(module)
    return Example(name, module, (torch.rand(4, 3, HEIGHT, WIDTH), *targets), loss=class_loss, versions=version_of("torchvision"))


def hold_corners(graph: dict) -> dict:
    """MMDetection's bbox_overlaps holds its corners and sides in variables until it returns: each is read once more there."""
    nodes, held = [], []
    for node in graph["nodes"]:
        nodes.append(node)
        if node["op"] == "aten.max.other" or (held and node["op"] in ("aten.min.other", "aten.clamp")):
            held += node["outputs"]
        elif held and node["op"] == "aten.div.Tensor":
            nodes += [{"op": "aten.detach", "args": [f"%{name}"], "outputs": [""], "module": node["module"]} for name in held]
            held = []
    return {**graph, "nodes": nodes}


def crop_masks(graph: dict) -> dict:
    """MMDetection's BitmapMasks.crop_and_resize: a mask of the whole image for each of 128 samples, in bytes and then in floats."""
    nodes = graph["nodes"]
    at = max(i for i, node in enumerate(nodes) if node["op"] == "aten.binary_cross_entropy_with_logits")
    where = {"module": nodes[at]["module"]}
    masks = {"op": "aten.zeros", "args": [[128, HEIGHT, WIDTH]], "kwargs": {"dtype": "uint8"}, "outputs": ["mask_bytes"], **where}
    floats = {"op": "aten.to.dtype", "args": ["%mask_bytes", "float32"], "outputs": ["mask_floats"], **where}
    return {**graph, "nodes": [*nodes[:at], masks, floats, *nodes[at:]]}


NAMES = [
    *(f"detectron2_{name}" for name in ("faster-rcnn_r50", "faster-rcnn_r101", "mask-rcnn_r50", "mask-rcnn_x101-32x8d")),
    *(f"detectron2_{name}" for name in ("keypoint-rcnn_r50", "keypoint-rcnn_x101-32x8d", "retinanet_r101")),
    *(f"mmdet_faster-rcnn_{name}" for name in BODIES),
    *(f"mmdet_mask-rcnn_{name}" for name in BODIES),
    *(f"mmdet_retinanet_{name}" for name in ("r101", "x101-32x4d")),
    *(f"mmdet-caffe_{kind}_{name}" for kind in ("faster-rcnn", "mask-rcnn") for name in ("r50", "r101")),
    "mmdet-caffe_retinanet_r101",
]


def main() -> int:
    folder, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    plain = torchvision.ops.sigmoid_focal_loss
    for name in names or NAMES:
        torchvision.ops.sigmoid_focal_loss = plain
        with construction._construction("meta", torch.bfloat16):
            made = construction._example_batch(example(name), Options().batch)
        graph = export._export(name, made, {"B"}, torch.bfloat16)
        if name.startswith("mmdet"):
            graph = hold_corners(graph)
            graph = crop_masks(graph) if "mask-rcnn" in name else graph
        export.write(graph, os.path.join(folder, f"{name}.graph.json"))
        print(name, sum(p.numel() for p in made.module.parameters()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
