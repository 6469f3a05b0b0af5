"""One estimate of ResNet-50's memory as accelerate and torchinfo make it, for bench/startup.mjs to time.

`accelerate estimate-memory` builds the model on the meta device and adds up its parameters; its command line fetches the
model's class from a hub first, which is left out here. torchinfo runs a forward pass of the batch.
"""
import sys


def build():
    """ResNet-50 from whichever library is there; all three build the same layers."""
    try:
        from torchvision.models import resnet50

        return resnet50()
    except Exception:
        try:
            from timm import create_model

            return create_model("resnet50")
        except Exception:
            from transformers import ResNetConfig, ResNetForImageClassification

            return ResNetForImageClassification(ResNetConfig(num_labels=1000))


def accelerate():
    from accelerate import init_empty_weights
    from accelerate.utils import calculate_maximum_sizes

    with init_empty_weights():
        model = build()
    print(calculate_maximum_sizes(model))


def torchinfo():
    from torchinfo import summary

    print(summary(build(), input_size=(32, 3, 224, 224), verbose=0))


{"accelerate": accelerate, "torchinfo": torchinfo}[sys.argv[1]]()
