"""Builds what a reference names: a real PyTorch module, example inputs and the loss. Used to export and to train."""
from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
import types
from dataclasses import dataclass, field
from typing import Any, Callable

import torch
import torch.nn.functional as F
from torch import nn

from . import detection
from .user_code import NoSuchFunction, load_function


class Unsupported(Exception):
    """The reference is understood, but this model cannot be built or trained this way."""


@dataclass
class Options:
    """What the user may set about a named model."""

    batch: int = 4
    image: tuple[int, int] | None = None
    seq: int | None = None
    classes: int | None = None
    head: str | None = None
    attention: str | None = None


@dataclass
class Example:
    """A module with example inputs, and how its loss follows from its output and the targets."""

    name: str
    module: nn.Module
    arguments: tuple[torch.Tensor, ...]
    keywords: dict[str, torch.Tensor] = field(default_factory=dict)
    targets: tuple[torch.Tensor, ...] = ()
    loss: Callable[..., torch.Tensor] | None = None
    versions: list[str] = field(default_factory=list)
    # Highest sequence length that the module's position table has rows for.
    longest: int | None = None
    # Sizes that are not free even where a dimension looks like one.
    fixed: frozenset[str] = frozenset()


def build(reference: str, options: Options) -> Example:
    """Builds on the current default device and dtype. Raises Unsupported, ImportError or the model's own error."""
    kind, _, name = reference.partition(":")
    if kind == "timm":
        return _timm(name, options)
    if kind == "torchvision":
        return _torchvision(name, options)
    if kind == "hf":
        return _hugging_face(name, options)
    path, separator, function = reference.rpartition(":")
    if separator and path.endswith(".py"):
        return _python_file(path, function, options)
    raise Unsupported(f'unknown reference "{reference}": expected timm:NAME, torchvision:NAME, hf:PATH or file.py:function')


def class_loss(output: Any, *labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the logits; auxiliary heads are added, as the training scripts of those models do."""
    named = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if isinstance(named, torch.Tensor):
        return named
    tensors = list(output.values()) if isinstance(output, dict) else list(output) if isinstance(output, (tuple, list)) else [output]
    if len(tensors) == 1 and tensors[0].dim() == 0:
        return tensors[0]
    losses = [F.cross_entropy(tensor, labels[0]) for tensor in tensors if tensor is not None]
    return sum(losses[1:], losses[0])


def version_of(*packages: str) -> list[str]:
    return [f"{name} {importlib.import_module(name).__version__}" for name in packages]


def import_timm() -> types.ModuleType:
    """timm needs torchvision, whose import fails beside a torch of another build while it registers its operators."""
    try:
        import torchvision  # noqa: F401
    except ModuleNotFoundError:
        pass
    except Exception:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
            sys.modules[name] = types.ModuleType(name)
    return importlib.import_module("timm")


def _turn_autocast_off(module: nn.Module) -> None:
    """timm's LiteMLA runs its attention without autocast, but on the meta device, which has none to turn off."""

    def without(attend: Callable[..., torch.Tensor], *tensors: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return attend(*tensors)

    for part in module.modules():
        if type(part).__name__ == "LiteMLA":
            part._attn = functools.partial(without, part._attn)


def _timm(name: str, options: Options) -> Example:
    timm = import_timm()
    if not timm.is_model(name):
        raise Unsupported(f'timm {timm.__version__} has no model "{name}"')
    settings: dict[str, Any] = {"pretrained": False}
    if options.classes is not None:
        settings["num_classes"] = options.classes
    try:
        module = timm.create_model(name, **settings, **({"img_size": options.image} if options.image else {}))
    except TypeError:
        if not options.image:
            raise
        module = timm.create_model(name, **settings)  # no size of its own: it takes any
    _turn_autocast_off(module)
    channels, height, width = module.pretrained_cfg.get("input_size", (3, 224, 224))
    height, width = options.image or (height, width)
    image = torch.rand(options.batch, channels, height, width)
    return Example(name, module, (image,), targets=(torch.zeros(options.batch, dtype=torch.int64),), loss=class_loss, versions=version_of("timm"))


def _torchvision(name: str, options: Options) -> Example:
    models = importlib.import_module("torchvision.models")
    if name not in models.list_models():
        raise Unsupported(f'torchvision {importlib.import_module("torchvision").__version__} has no model "{name}"')
    builder = models.get_model_builder(name)
    if ".detection." in builder.__module__:
        return _detection(name, builder, models.get_model_weights(name).DEFAULT, options)
    segmentation, video = ".segmentation." in builder.__module__, ".video." in builder.__module__
    settings: dict[str, Any] = {"weights": None}
    if segmentation:
        settings["weights_backbone"] = None
    if options.classes is not None:
        settings["num_classes"] = options.classes
    transform = models.get_model_weights(name).DEFAULT.transforms()
    size = list(getattr(transform, "crop_size", None) or transform.resize_size)
    height, width = options.image or (size if len(size) == 2 else size * 2)
    with_size = "image_size" in inspect.signature(builder).parameters or name.startswith("vit_")
    module = builder(**settings, **({"image_size": height} if options.image and with_size else {}))
    shape = (options.batch, 3, *((16,) if video else ()), height, width)
    labels = torch.zeros((options.batch, *((height, width) if segmentation else ())), dtype=torch.int64)
    return Example(name, module, (torch.rand(shape),), targets=(labels,), loss=class_loss, versions=version_of("torchvision"))


def _detection(name: str, builder: Callable[..., nn.Module], weights: Any, options: Options) -> Example:
    """With the layers frozen that a start from trained weights freezes; images of the size that they are scaled to."""
    with detection.as_if_pretrained():
        if options.classes is None:
            module = builder(weights=weights)
        else:
            module = builder(weights=None, num_classes=options.classes)
    fixed, sides = module.transform.fixed_size, (module.transform.min_size[-1], module.transform.max_size)
    # Padded to whole strides of the coarsest feature map.
    height, width = options.image or fixed or tuple(-(-side // 32) * 32 for side in sides)
    targets = detection.targets_of(module, options.batch, height, width)
    arguments = (torch.rand(options.batch, 3, height, width), *targets)
    free = frozenset("SHW") if fixed else frozenset("S")
    return Example(name, detection.with_fixed_choices(module), arguments, loss=class_loss, versions=version_of("torchvision"), fixed=free)


HEADS = {
    "causal-lm": "AutoModelForCausalLM",
    "masked-lm": "AutoModelForMaskedLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "image-classification": "AutoModelForImageClassification",
}


def _hugging_face(name: str, options: Options) -> Example:
    transformers = importlib.import_module("transformers")
    if os.path.isfile(name):
        with open(name, encoding="utf8") as file:
            values = json.load(file)
        config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    else:
        config = transformers.AutoConfig.from_pretrained(name)
    if options.classes is not None:
        config.num_labels = options.classes
    if hasattr(config, "use_cache"):
        config.use_cache = False
    _take_the_eager_path()
    attention = {"attn_implementation": "eager"} if options.attention == "math" else {}
    architecture = (config.architectures or [None])[0]
    if options.head:
        module = getattr(transformers, HEADS[options.head]).from_config(config, **attention)
    elif architecture:
        module = getattr(transformers, architecture)._from_config(config, **attention)
    else:
        raise Unsupported(f"{name}: its configuration names no architecture; name the head with --head")
    return _hugging_face_inputs(config.model_type, module, config, options)


def _hugging_face_inputs(name: str, module: nn.Module, config: Any, options: Options) -> Example:
    accepted = inspect.signature(module.forward).parameters
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    longest = getattr(text, "max_position_embeddings", None)
    learned = any("position" in key or "wpe" in key for key, _ in module.named_parameters())
    keywords: dict[str, torch.Tensor] = {}
    if "pixel_values" in accepted and "input_ids" not in accepted:
        side = options.image or ((config.image_size,) * 2 if isinstance(config.image_size, int) else tuple(config.image_size))
        keywords["pixel_values"] = torch.rand(options.batch, config.num_channels, *side)
        keywords["labels"] = torch.zeros(options.batch, dtype=torch.int64)
    else:
        seq = options.seq or min(longest or 512, 512)
        keywords["input_ids"] = torch.zeros(options.batch, seq, dtype=torch.int64)
        per_sample = "SequenceClassification" in type(module).__name__
        keywords["labels"] = torch.zeros((options.batch,) if per_sample else (options.batch, seq), dtype=torch.int64)
        if per_sample:
            config.problem_type = "single_label_classification"
    return Example(name, module, (), keywords, loss=class_loss, versions=version_of("transformers"), longest=longest if learned else None)


def _take_the_eager_path() -> None:
    """Under a trace the library builds attention masks that a training loop never makes; take the path of a training loop."""
    try:
        masking = importlib.import_module("transformers.masking_utils")
    except ImportError:
        return
    if hasattr(masking, "is_tracing"):
        masking.is_tracing = lambda *_: False
    if hasattr(masking, "find_packed_sequence_indices"):
        # Looks into the positions for several texts in one row; in an ordinary batch there are none.
        masking.find_packed_sequence_indices = lambda *_, **__: None


def _python_file(path: str, function: str, options: Options) -> Example:
    try:
        make = load_function(path, function, "batchfit_user_model")
    except NoSuchFunction as error:
        raise Unsupported(str(error)) from None
    made = make()
    if isinstance(made, nn.Module) or not isinstance(made, (tuple, list)) or not 2 <= len(made) <= 4 or not isinstance(made[0], nn.Module):
        raise Unsupported(f"{path}:{function}: expected (module, example inputs[, loss[, example targets]]), found {type(made).__name__}")
    module, inputs, loss, targets = (*made, *(None,) * (4 - len(made)))
    arguments = () if isinstance(inputs, dict) else (inputs,) if isinstance(inputs, torch.Tensor) else tuple(inputs)
    keywords = dict(inputs) if isinstance(inputs, dict) else {}
    targets = () if targets is None else (targets,) if isinstance(targets, torch.Tensor) else tuple(targets)
    for tensor in (*arguments, *keywords.values(), *targets):
        if not isinstance(tensor, torch.Tensor):
            raise Unsupported(f"{path}:{function}: example inputs must be tensors, found {type(tensor).__name__}")
    needs_labels = loss is None or len(inspect.signature(loss).parameters) > 1
    if not targets and needs_labels:
        targets = _labels_for(module, arguments, keywords)
    return Example(function, module, arguments, keywords, targets, loss or class_loss)


def _labels_for(module: nn.Module, arguments: tuple[torch.Tensor, ...], keywords: dict[str, torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Class labels that go with the shape of the output, where it is logits; none where the module gives its own loss."""
    with torch.no_grad():
        output = module(*arguments, **keywords)
    if isinstance(output, dict) and "loss" in output or getattr(output, "loss", None) is not None:
        return ()
    first = output if isinstance(output, torch.Tensor) else list(output.values())[0] if isinstance(output, dict) else output[0]
    if first.dim() == 0:
        return ()
    return (torch.zeros((first.shape[0], *first.shape[2:]), dtype=torch.int64, device=first.device),)
