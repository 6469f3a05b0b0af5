"""Writes fixtures/flops.json: what torch.utils.flop_counter counts in a training step of each model profile.

usage: python test/speed/flops.py   (needs torch, torchvision, timm, transformers, pyyaml)

Forward, cross entropy and backward on the meta device, batch 2, language models at 128 tokens with attention written
out ("eager"), once more with the fused kernel that PyTorch's meta device picks. Counted by operator.
"""
import json
import pathlib

import torch
import torch.nn.functional as F
import yaml
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

BATCH, LENGTH = 2, 128
HERE = pathlib.Path(__file__).parent
PROFILES = HERE.parent.parent / 'profiles' / 'models'


class Bottleneck(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width // 4, 1, bias=False), nn.BatchNorm2d(width // 4), nn.ReLU(inplace=True),
            nn.Conv2d(width // 4, width // 4, 3, padding=1, bias=False), nn.BatchNorm2d(width // 4), nn.ReLU(inplace=True),
            nn.Conv2d(width // 4, width, 1, bias=False), nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return F.relu_(self.body(x).add_(x))


def digits_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128), nn.ReLU(inplace=True),
        *[Bottleneck(128) for _ in range(6)], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10),
    )


def vision(name):
    if name in ('efficientnet_b0', 'convnext_tiny', 'vit_base_patch16_224'):
        import timm
        import timm.layers
        timm.layers.set_fused_attn(False)
        return timm.create_model(name)
    import torchvision
    return getattr(torchvision.models, name)()


def count(step):
    with FlopCounterMode(display=False) as mode:
        step().backward()
    return {str(op): flops for op, flops in mode.get_flop_counts()['Global'].items()} | {'total': mode.get_total_flops()}


def steps(name, profile):
    """Pairs of attention and a training step."""
    if 'config' in profile:
        import transformers
        import transformers.masking_utils as masks
        # A check of values, which meta tensors don't have: are the positions packed? They are not.
        masks.find_packed_sequence_indices = lambda *a, **k: None
        for attention in ('eager', 'sdpa'):
            settings = {k: float(v) if k.endswith('_eps') else v for k, v in profile['config'].items()}  # YAML 1.1 reads 1e-5 as text
            config = transformers.AutoConfig.for_model(**settings)
            config.use_cache = False
            module = getattr(transformers, profile['config']['architectures'][0])._from_config(config, attn_implementation=attention).train()
            ids = torch.zeros(BATCH, LENGTH, dtype=torch.long)
            yield attention, lambda: module(input_ids=ids, labels=ids).loss
        return
    if name == 'digits-mlp':
        module, image, classes = nn.Sequential(nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), (64,), 10
    else:
        image, classes = profile['input']['image'], profile['classes']
        module = digits_cnn() if name == 'digits-cnn' else vision(name)
    x, y = torch.zeros(BATCH, *image), torch.zeros(BATCH, dtype=torch.long)
    yield 'eager', lambda: F.cross_entropy(module.train()(x), y)


def main():
    torch.set_default_device('meta')
    found = {'torch': torch.__version__, 'batch': BATCH, 'length': LENGTH, 'models': {}}
    for path in sorted(PROFILES.glob('*.yaml')):
        profile = yaml.safe_load(path.read_text())
        found['models'][path.stem] = {attention: count(step) for attention, step in steps(path.stem, profile)}
        print(path.stem, {k: v['total'] for k, v in found['models'][path.stem].items()}, flush=True)
    (HERE / 'fixtures' / 'flops.json').write_text(json.dumps(found, indent=1) + '\n')


main()
