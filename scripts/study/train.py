"""
Trains one of the study's models, and tells `batchfit tune` its validation error after every epoch:

    batchfit tune --reference-batch 16 --reference-lr 0.02 --optimizer momentum -- \\
        python3 scripts/study/train.py --task digits-mlp --optimizer momentum --batch {batch} --lr {lr}

Needs torch and scikit-learn. The text task is made of what SciPy ships: which of six of its modules is a docstring's sentence from?
"""
import argparse
import functools
import importlib
import inspect
import json
import math
import re

import torch
from torch import nn

EPOCHS = {"digits-mlp": 20, "digits-cnn": 20, "text": 10}
MODULES = ["linalg", "ndimage", "optimize", "signal", "special", "stats"]
SENTENCES, WORDS, LEAST_WORDS = 700, 2000, 8
VALIDATION = 0.25


def read_digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)


def sentences_of(module):
    """Sentences that no other function of the module has, in the order of names."""
    seen = {}
    for name in sorted(dir(module)):
        text = getattr(getattr(module, name), "__doc__", None)
        if not callable(getattr(module, name)) or not isinstance(text, str):
            continue
        for sentence in re.split(r"(?<=[.])\s|\n\s*\n", inspect.cleandoc(text)):
            words = re.findall(r"[a-z]+", sentence.lower())
            if len(words) >= LEAST_WORDS:
                seen.setdefault(" ".join(words), None)
    return list(seen)


def read_text():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, labels = [], []
    chooser = torch.Generator().manual_seed(0)
    for label, name in enumerate(MODULES):
        found = sentences_of(importlib.import_module(f"scipy.{name}"))
        chosen = torch.randperm(len(found), generator=chooser)[:SENTENCES].tolist()
        texts += [found[index] for index in chosen]
        labels += [label] * len(chosen)
    bags = TfidfVectorizer(max_features=WORDS).fit_transform(texts).toarray()
    return torch.tensor(bags, dtype=torch.float32), torch.tensor(labels)


@functools.cache
def read_data(task):
    """Training and validation samples, split the same way for every seed."""
    inputs, labels = read_text() if task == "text" else read_digits()
    if task == "digits-cnn":
        inputs = inputs.reshape(-1, 1, 8, 8)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held = int(VALIDATION * len(labels))
    return inputs[order[held:]], labels[order[held:]], inputs[order[:held]], labels[order[:held]]


def build(task):
    if task == "digits-cnn":
        first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*first, nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10))
    features, hidden, classes = (64, 128, 10) if task == "digits-mlp" else (WORDS, 64, len(MODULES))
    return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def make_optimizer(name, parameters, rate, beta2):
    if name == "momentum":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9)
    return torch.optim.AdamW(parameters, lr=rate, betas=(0.9, beta2))


def train(task, optimizer, batch, rate, seed, epochs=None, warmup_steps=0, warmup_from=0.0, beta2=0.999, on_epoch=None):
    """Validation accuracy after training with a linear warm-up and a cosine to zero. A run that diverges ends with what it has."""
    inputs, labels, held_inputs, held_labels = read_data(task)
    epochs = epochs or EPOCHS[task]
    torch.manual_seed(seed)
    model = build(task)
    stepper = make_optimizer(optimizer, model.parameters(), rate, beta2)
    total = epochs * math.ceil(len(labels) / batch)
    step, accuracy = 0, 0.0
    for epoch in range(epochs):
        for chosen in torch.randperm(len(labels)).split(batch):
            warm = warmup_from + (1 - warmup_from) * (step + 1) / warmup_steps if step < warmup_steps else 1.0
            decay = 0.5 * (1 + math.cos(math.pi * step / total))
            for group in stepper.param_groups:
                group["lr"] = rate * min(warm, 1.0) * decay
            loss = nn.functional.cross_entropy(model(inputs[chosen]), labels[chosen])
            stepper.zero_grad()
            loss.backward()
            stepper.step()
            step += 1
        with torch.no_grad():
            scores = model(held_inputs)
            error = nn.functional.cross_entropy(scores, held_labels).item()
            accuracy = (scores.argmax(1) == held_labels).float().mean().item()
        if on_epoch:
            on_epoch(epoch + 1, accuracy, error)
        if not math.isfinite(error):
            break
    return accuracy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(EPOCHS), default="digits-mlp")
    parser.add_argument("--optimizer", choices=["momentum", "adamw"], default="momentum")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seeds", type=int, default=1, help="runs whose mean counts")
    given = parser.parse_args()
    torch.set_num_threads(1)
    curves = []
    for seed in range(given.seeds):
        curve = []
        train(given.task, given.optimizer, given.batch, given.lr, seed, given.epochs, on_epoch=lambda _, accuracy, __: curve.append(1 - accuracy))
        curves.append(curve)
    for epoch, errors in enumerate(zip(*curves)):
        print("BATCHFIT " + json.dumps({"metric": sum(errors) / len(errors), "step": epoch + 1}), flush=True)


if __name__ == "__main__":
    main()
