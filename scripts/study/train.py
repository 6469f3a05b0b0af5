"""
Trains one of the study's perceptrons in NumPy, and tells `batchfit tune` its validation error after every epoch:

    batchfit tune --reference-batch 16 --reference-lr 0.02 --optimizer momentum -- \\
        python3 scripts/study/train.py --task digits-mlp --optimizer momentum --batch {batch} --lr {lr}

Needs scikit-learn and scipy. The text task is made of what SciPy ships: which of six of its modules is a docstring's sentence from?
"""
import argparse
import functools
import importlib
import inspect
import json
import math
import re

import numpy as np

EPOCHS = {"digits-mlp": 20, "text": 10}
HIDDEN = {"digits-mlp": 128, "text": 32}
MODULES = ["linalg", "ndimage", "optimize", "signal", "special", "stats"]
SENTENCES, WORDS, LEAST_WORDS = 700, 1000, 8
VALIDATION = 0.25
MOMENTUM, BETA1, EPS, WEIGHT_DECAY = 0.9, 0.9, 1e-8, 0.01


def read_digits():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images / 16, labels


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
    chooser = np.random.default_rng(0)
    for label, name in enumerate(MODULES):
        found = sentences_of(importlib.import_module(f"scipy.{name}"))
        chosen = chooser.permutation(len(found))[:SENTENCES]
        texts += [found[index] for index in chosen]
        labels += [label] * len(chosen)
    return TfidfVectorizer(max_features=WORDS).fit_transform(texts).toarray(), np.array(labels)


@functools.cache
def read_data(task):
    """Training and validation samples, split the same way for every seed."""
    inputs, labels = read_text() if task == "text" else read_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    held = int(VALIDATION * len(labels))
    inputs, labels = inputs[order].astype("float32"), labels[order].astype("int64")
    return inputs[held:], labels[held:], inputs[:held], labels[:held]


class Perceptron:
    """Inputs, a hidden layer with ReLU, scores. Parameters and gradients lie in one vector each, with a view for every matrix."""

    def __init__(self, sizes, random):
        features, hidden, classes = sizes
        shapes = [(features, hidden), (hidden,), (hidden, classes), (classes,)]
        bounds = [features**-0.5] * 2 + [hidden**-0.5] * 2  # as torch.nn.Linear draws them
        self.theta = np.concatenate([random.uniform(-b, b, math.prod(s)).astype("float32") for s, b in zip(shapes, bounds)])
        self.gradient = np.zeros_like(self.theta)
        edges = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
        self.weights, self.slopes = ([part.reshape(s) for part, s in zip(np.split(v, edges), shapes)] for v in (self.theta, self.gradient))

    def scores(self, x):
        w1, b1, w2, b2 = self.weights
        hidden = np.maximum(x @ w1 + b1, 0)
        return hidden, hidden @ w2 + b2

    def differentiate(self, x, y):
        """Fills `gradient` with that of the mean cross entropy."""
        hidden, scores = self.scores(x)
        error = np.exp(scores - scores.max(1, keepdims=True))
        error /= error.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
        error /= len(y)
        below = (error @ self.weights[2].T) * (hidden > 0)
        np.matmul(x.T, below, out=self.slopes[0])
        below.sum(0, out=self.slopes[1])
        np.matmul(hidden.T, error, out=self.slopes[2])
        error.sum(0, out=self.slopes[3])


def sgd_step(model, state, rate, _beta2, _step):
    """torch.optim.SGD with momentum."""
    speed = state.setdefault("speed", np.zeros_like(model.theta))
    speed *= MOMENTUM
    speed += model.gradient
    model.theta -= np.float32(rate) * speed


def adamw_step(model, state, rate, beta2, step):
    """torch.optim.AdamW."""
    first, second = (state.setdefault(name, np.zeros_like(model.theta)) for name in ("first", "second"))
    first += np.float32(1 - BETA1) * (model.gradient - first)
    second += np.float32(1 - beta2) * (model.gradient**2 - second)
    model.theta *= np.float32(1 - rate * WEIGHT_DECAY)
    scale = np.sqrt(second) / np.float32(math.sqrt(1 - beta2**step)) + np.float32(EPS)
    model.theta -= np.float32(rate / (1 - BETA1**step)) * first / scale


def train(task, optimizer, batch, rate, seed, epochs=None, warmup_steps=0, warmup_from=0.0, beta2=0.999, on_epoch=None):
    """Validation accuracy after training with a linear warm-up and a cosine to zero. A run that diverges ends with what it has."""
    inputs, labels, held_inputs, held_labels = read_data(task)
    epochs = epochs or EPOCHS[task]
    random = np.random.default_rng(seed)
    model = Perceptron((inputs.shape[1], HIDDEN[task], int(labels.max()) + 1), random)
    update, state = {"momentum": sgd_step, "adamw": adamw_step}[optimizer], {}
    total = epochs * math.ceil(len(labels) / batch)
    step, accuracy = 0, 0.0
    with np.errstate(all="ignore"):
        for epoch in range(epochs):
            order = random.permutation(len(labels))
            for start in range(0, len(labels), batch):
                chosen = order[start : start + batch]
                warm = warmup_from + (1 - warmup_from) * (step + 1) / warmup_steps if step < warmup_steps else 1.0
                decay = 0.5 * (1 + math.cos(math.pi * step / total))
                model.differentiate(inputs[chosen], labels[chosen])
                step += 1
                update(model, state, rate * min(warm, 1.0) * decay, beta2, step)
            if on_epoch or epoch == epochs - 1:
                accuracy = float((model.scores(held_inputs)[1].argmax(1) == held_labels).mean())
            if on_epoch:
                on_epoch(epoch + 1, accuracy)
            if not np.isfinite(model.theta).all():
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
    curves = []
    for seed in range(given.seeds):
        curve = []
        train(given.task, given.optimizer, given.batch, given.lr, seed, given.epochs, on_epoch=lambda _, accuracy: curve.append(1 - accuracy))
        curves.append(curve)
    for epoch, errors in enumerate(zip(*curves)):
        print("BATCHFIT " + json.dumps({"metric": sum(errors) / len(errors), "step": epoch + 1}), flush=True)


if __name__ == "__main__":
    main()
