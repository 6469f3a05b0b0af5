"""
A training step of torchvision's detection models with sizes that do not depend on values.

These models choose boxes by their values: the matcher, the sampler and non-maximum suppression decide which, and with
them how many. Here each choice takes as many as it may at most, which is what a run's peak comes to: the region
proposal network keeps post_nms_top_n boxes and samples batch_size_per_image anchors, the heads sample
batch_size_per_image boxes, and positive_fraction of them are positive. All layers and losses are torchvision's own;
what an image's choice costs for a moment (overlaps of anchors with an image's few objects) is left out.
"""
from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any, Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Objects in an image: COCO's train2017 has 860001 boxes in 117266 images with any.
OBJECTS = 7
KEYPOINTS = 17
# Anchors that one-stage detectors match with an image's objects: their number hardly shows in a step's memory.
MATCHED = 128


def targets_of(model: nn.Module, batch: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Boxes and labels of a batch, and its masks or keypoints where the model learns them."""
    boxes = torch.rand(batch, OBJECTS, 4)
    labels = torch.ones(batch, OBJECTS, dtype=torch.int64)
    heads = getattr(model, "roi_heads", None)
    if heads is not None and heads.has_mask():
        return boxes, labels, torch.ones(batch, OBJECTS, height, width, dtype=torch.uint8)
    if heads is not None and heads.has_keypoint():
        return boxes, labels, torch.rand(batch, OBJECTS, KEYPOINTS * 3)
    return boxes, labels


def with_fixed_choices(model: nn.Module) -> nn.Module:
    """The same module with a `forward(images, boxes, labels, ...)` that gives the sum of its losses."""
    detection = importlib.import_module("torchvision.models.detection")
    for kind, step in (
        (detection.FasterRCNN, _two_stages),
        (detection.RetinaNet, _retinanet),
        (detection.FCOS, _fcos),
        (importlib.import_module("torchvision.models.detection.ssd").SSD, _ssd),
    ):
        if isinstance(model, kind):
            model.forward = functools.partial(step, model)  # type: ignore[method-assign]
            return model
    raise TypeError(f"no training step for {type(model).__name__}")


@contextlib.contextmanager
def as_if_pretrained() -> Iterator[None]:
    """Weights decide which layers a constructor freezes; their values are not needed here, and not downloaded."""
    api = importlib.import_module("torchvision.models._api")
    patched = [(api.WeightsEnum, "get_state_dict"), (nn.Module, "load_state_dict")]
    before = [getattr(owner, name) for owner, name in patched]
    for owner, name in patched:
        setattr(owner, name, lambda *_, **__: None)
    try:
        yield
    finally:
        for (owner, name), function in zip(patched, before):
            setattr(owner, name, function)


def _two_stages(model: Any, images: Tensor, boxes: Tensor, labels: Tensor, shapes: Tensor | None = None) -> dict[str, Tensor]:
    """Faster, Mask and Keypoint R-CNN; `shapes` are the objects' masks or keypoints."""
    batch, _, height, width = images.shape
    boxes = _within(boxes, height, width)
    features, levels, anchors = _features(model, images, model.rpn.anchor_generator)
    rpn, heads = model.rpn, model.roi_heads
    objectness, deltas = rpn.head(levels)
    counts = [o.shape[1] * o.shape[2] * o.shape[3] for o in objectness]
    objectness, deltas = importlib.import_module("torchvision.models.detection.rpn").concat_box_prediction_layers(objectness, deltas)
    all_anchors = anchors.repeat(batch, 1)
    proposals = rpn.box_coder.decode(deltas.detach(), [all_anchors]).view(batch, -1, 4)
    proposals = _proposed(rpn, proposals, objectness, counts, height, width)

    regression = _encoded(rpn.box_coder, boxes, all_anchors)
    sampler = rpn.fg_bg_sampler
    sampled = torch.arange(batch * sampler.batch_size_per_image, device=images.device)
    positive = sampled[: batch * int(sampler.batch_size_per_image * sampler.positive_fraction)]
    wanted = torch.zeros_like(all_anchors[:, 0])
    box_loss = F.smooth_l1_loss(deltas[positive], regression[positive], beta=1 / 9, reduction="sum") / sampler.batch_size_per_image
    objectness_loss = F.binary_cross_entropy_with_logits(objectness.flatten()[sampled], wanted[sampled])

    sampler = heads.fg_bg_sampler
    chosen = torch.cat([proposals, boxes], dim=1)[:, : sampler.batch_size_per_image]
    positives = int(sampler.batch_size_per_image * sampler.positive_fraction)
    per_image = chosen.shape[1]
    chosen = chosen.reshape(-1, 4)
    classes = torch.ones_like(chosen[:, 0], dtype=torch.int64)
    regression = _encoded(heads.box_coder, boxes, chosen)
    pooled = _pooled(heads.box_roi_pool, features, _rois(chosen, batch, per_image), height)
    logits, offsets = heads.box_predictor(heads.box_head(pooled))
    found = torch.arange(batch * positives, device=images.device)
    offsets = offsets.reshape(logits.shape[0], -1, 4)
    loss = F.cross_entropy(logits, classes)
    loss = loss + F.smooth_l1_loss(offsets[found, classes[found]], regression[found], beta=1 / 9, reduction="sum") / logits.shape[0]
    loss = loss + objectness_loss + box_loss
    if shapes is not None:
        rois = _rois(chosen[found], batch, positives)
        part = _mask_loss if heads.has_mask() else _keypoint_loss
        loss = loss + part(heads, features, rois, classes[found], shapes, height)
    return {"loss": loss}


def _proposed(rpn: Any, proposals: Tensor, objectness: Tensor, counts: list[Any], height: Any, width: Any) -> Tensor:
    """The best of each level, then as many as non-maximum suppression may leave, by score."""
    batch = proposals.shape[0]
    scores = objectness.detach().reshape(batch, -1)
    best, offset = [], 0
    for level, count in zip(scores.split(counts, 1), counts):
        best.append(level.topk(torch.sym_min(rpn.pre_nms_top_n(), count), dim=1)[1] + offset)
        offset = offset + count
    image = torch.arange(batch, device=scores.device)[:, None]
    kept = torch.cat(best, dim=1)
    scores = torch.sigmoid(scores[image, kept])
    proposals = importlib.import_module("torchvision.ops.boxes").clip_boxes_to_image(proposals[image, kept], (height, width))
    last = scores.topk(torch.sym_min(rpn.post_nms_top_n(), scores.shape[1]), dim=1)[1]
    return proposals[image, last]


def _mask_loss(heads: Any, features: dict[str, Tensor], rois: Tensor, classes: Tensor, masks: Tensor, height: Any) -> Tensor:
    logits = heads.mask_predictor(heads.mask_head(_pooled(heads.mask_roi_pool, features, rois, height)))
    side = logits.shape[-1]
    # An image at a time becomes floating point: one is alive at once.
    own = masks[0][:, None].to(rois.dtype)
    first = torch.cat([torch.zeros_like(rois[:, :1]), rois[:, 1:]], dim=1)
    wanted = importlib.import_module("torchvision.ops").roi_align(own, first, (side, side), 1.0)[:, 0]
    return F.binary_cross_entropy_with_logits(logits[torch.arange(classes.shape[0], device=classes.device), classes], wanted)


def _keypoint_loss(heads: Any, features: dict[str, Tensor], rois: Tensor, classes: Tensor, keypoints: Tensor, height: Any) -> Tensor:
    """All of an object's keypoints are seen."""
    logits = heads.keypoint_predictor(heads.keypoint_head(_pooled(heads.keypoint_roi_pool, features, rois, height)))
    boxes, count, rows, columns = logits.shape
    logits = logits.view(boxes * count, rows * columns)
    seen = torch.arange(boxes * count, device=logits.device)
    return F.cross_entropy(logits[seen], torch.zeros_like(seen))


def _retinanet(model: Any, images: Tensor, boxes: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Its losses go image by image, and are of all images together here: what dies within an image's turn is larger."""
    batch, _, height, width = images.shape
    boxes = _within(boxes, height, width)
    _, levels, anchors = _features(model, images, model.anchor_generator)
    outputs = model.head(levels)
    logits, offsets = (outputs[name].reshape(-1, outputs[name].shape[-1]) for name in ("cls_logits", "bbox_regression"))
    every = torch.arange(logits.shape[0], device=logits.device)
    focal = importlib.import_module("torchvision.ops").sigmoid_focal_loss
    targets = _one_hot(logits)
    class_loss = focal(logits[every], targets[every], reduction="sum")
    foreground = torch.arange(batch * MATCHED, device=offsets.device)
    near = anchors[foreground % anchors.shape[0]]
    wanted = model.head.regression_head.box_coder.encode_single(_matched(boxes, near), near)
    loss = (class_loss + F.l1_loss(offsets[foreground], wanted, reduction="sum")) / batch
    return {"loss": _held_until(loss, targets, *outputs.values())}


def _fcos(model: Any, images: Tensor, boxes: Tensor, labels: Tensor) -> dict[str, Tensor]:
    batch, _, height, width = images.shape
    boxes = _within(boxes, height, width)
    _, levels, anchors = _features(model, images, model.anchor_generator)
    outputs = model.head(levels)
    logits = outputs["cls_logits"]
    all_anchors = anchors.repeat(batch, 1, 1)
    count = all_anchors.shape[1]
    wanted = _matched(boxes, all_anchors.view(-1, 4)).view(batch, count, 4)
    foreground = torch.arange(batch * MATCHED, device=images.device)
    ops = importlib.import_module("torchvision.ops")
    loss = ops.sigmoid_focal_loss(logits, _one_hot(logits.view(-1, logits.shape[-1])).view(logits.shape), reduction="sum")
    decoded = model.head.box_coder.decode(outputs["bbox_regression"], all_anchors)
    loss = loss + ops.generalized_box_iou_loss(decoded.view(-1, 4)[foreground], wanted.view(-1, 4)[foreground], reduction="sum")
    sides = model.head.box_coder.encode(all_anchors, wanted)
    across, down = sides[:, :, [0, 2]], sides[:, :, [1, 3]]
    centered = torch.sqrt((across.min(dim=-1)[0] / across.max(dim=-1)[0]) * (down.min(dim=-1)[0] / down.max(dim=-1)[0]))
    predicted = outputs["bbox_ctrness"].squeeze(dim=2)
    loss = loss + F.binary_cross_entropy_with_logits(predicted.flatten()[foreground], centered.flatten()[foreground].clamp(0, 1), reduction="sum")
    return {"loss": loss / (batch * MATCHED)}


def _ssd(model: Any, images: Tensor, boxes: Tensor, labels: Tensor) -> dict[str, Tensor]:
    batch, _, height, width = images.shape
    boxes = _within(boxes, height, width)
    _, levels, anchors = _features(model, images, model.anchor_generator)
    outputs = model.head(levels)
    logits, offsets = outputs["cls_logits"], outputs["bbox_regression"]
    count = logits.shape[1]
    foreground = torch.arange(batch * MATCHED, device=images.device)
    near = anchors[foreground % anchors.shape[0]]
    box_loss = F.smooth_l1_loss(offsets.reshape(-1, 4)[foreground], model.box_coder.encode_single(_matched(boxes, near), near), reduction="sum")
    wanted = torch.zeros((batch, count), dtype=torch.int64, device=images.device)
    # Cross entropy of each anchor, in parts that an export knows the sizes of.
    each = -F.log_softmax(logits.view(-1, logits.shape[-1]), -1).gather(1, wanted.view(-1, 1)).view(wanted.shape)
    ranked = each.clone().sort(1, descending=True)[1].sort(1)[1]
    negative = torch.arange(batch * MATCHED * 3, device=images.device) + 0 * ranked.flatten()[0]
    class_loss = each.flatten()[foreground].sum() + each.flatten()[negative].sum()
    return {"loss": (box_loss + class_loss) / (batch * MATCHED)}


def _features(model: Any, images: Tensor, generator: nn.Module) -> tuple[dict[str, Tensor], list[Tensor], Tensor]:
    """Feature maps of the images, and one image's anchors."""
    pixels = model.transform.normalize(images)
    features = model.backbone(pixels)
    features = {"0": features} if isinstance(features, Tensor) else features
    image_list = importlib.import_module("torchvision.models.detection.image_list").ImageList
    levels = list(features.values())
    return features, levels, generator(image_list(pixels, [tuple(pixels.shape[-2:])]), levels)[0]


def _within(numbers: Tensor, height: Any, width: Any) -> Tensor:
    """Any four numbers as corners of a box in the image, so that a run of the graph on random inputs goes well."""
    low, high = numbers.sigmoid().split(2, dim=-1)
    x, y = torch.cat([low * 0.5, high * 0.5 + 0.5], dim=-1)[..., 0::2] * width, torch.cat([low * 0.5, high * 0.5 + 0.5], dim=-1)[..., 1::2] * height
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def _matched(boxes: Tensor, anchors: Tensor) -> Tensor:
    """An object's box for each anchor."""
    return boxes.reshape(-1, 4)[torch.zeros_like(anchors[:, 0], dtype=torch.int64)]


def _encoded(coder: Any, boxes: Tensor, anchors: Tensor) -> Tensor:
    """What a coder's `encode` makes of all images: copies of both in one piece, then their offsets."""
    return coder.encode_single(torch.cat([_matched(boxes, anchors)]), torch.cat([anchors]))


def _held_until(loss: Tensor, *values: Tensor) -> Tensor:
    """The loss; callers' variables hold the values until it is there."""
    for value in values:
        loss = loss + 0 * value.detach().flatten()[0]
    return loss


def _one_hot(logits: Tensor) -> Tensor:
    """Targets of classes, one of them set for some rows."""
    wanted = torch.zeros_like(logits)
    rows = torch.arange(MATCHED, device=logits.device)
    wanted[rows, torch.zeros_like(rows)] = 1.0
    return wanted


def _rois(boxes: Tensor, batch: Any, per_image: Any) -> Tensor:
    image = torch.arange(batch, dtype=boxes.dtype, device=boxes.device)[:, None].expand(batch, per_image).reshape(-1, 1)
    return torch.cat([image, boxes], dim=1)


def _pooled(pool: Any, features: dict[str, Tensor], rois: Tensor, height: Any) -> Tensor:
    """MultiScaleRoIAlign with an equal share of the boxes on each level."""
    align = importlib.import_module("torchvision.ops").roi_align
    levels = [feature for name, feature in features.items() if name in pool.featmap_names]
    scales = [_as_int(feature.shape[-2]) / _as_int(height) for feature in levels]
    if len(levels) == 1:
        return align(levels[0], rois, pool.output_size, scales[0], pool.sampling_ratio)
    count = rois.shape[0]
    result = torch.zeros((count, levels[0].shape[1], *pool.output_size), dtype=rois.dtype, device=rois.device)
    places = torch.arange(count, device=rois.device)
    for index, (feature, scale) in enumerate(zip(levels, scales)):
        place = places[count * index // len(levels) : count * (index + 1) // len(levels)]
        result[place] = align(feature, rois[place], pool.output_size, scale, pool.sampling_ratio).to(result.dtype)
    return result


def _as_int(size: Any) -> int:
    return size.node.hint if isinstance(size, torch.SymInt) else size
