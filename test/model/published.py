"""Counts the parameters of published sizes with the real classes: writes `parameters` into fixtures/published.json.

usage: python test/model/published.py (needs torch and transformers)
"""
import json
import pathlib

import torch
import transformers
from transformers import AutoConfig

PATH = pathlib.Path(__file__).parent / 'fixtures' / 'published.json'
models = json.loads(PATH.read_text())
for model in models:
    config = AutoConfig.for_model(model['model_type'], **model['config'])
    with torch.device('meta'):
        module = getattr(transformers, model['architecture'])(config)
    model['parameters'] = sum(parameter.numel() for parameter in module.parameters())
    print(model['name'], model['parameters'])
PATH.write_text('[\n' + ',\n'.join('  ' + json.dumps(model) for model in models) + '\n]\n')
