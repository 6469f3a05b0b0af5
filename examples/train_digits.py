"""
Trains a softmax classifier on 8x8 digits in plain Python, to show `batchfit probe` a training command of one's own:

    batchfit probe --memory-cap 512MiB -- python3 examples/train_digits.py --batch {batch}

Every digit is enlarged to 512x512 and the whole batch is held for the backward pass: 1 MiB a sample. The
digits are scikit-learn's where it is installed, else drawn from ten random prototypes.
"""
import argparse
import json
import math
import os
import random
import struct
import sys
import time
from operator import mul

SIDE, ENLARGED, CLASSES = 8, 512, 10
FACTOR = ENLARGED // SIDE
PIXELS = ENLARGED * ENLARGED


def load_digits(rng):
    """Images of 64 values from 0 to 1, and their classes."""
    try:
        from sklearn.datasets import load_digits as real
    except ImportError:
        prototypes = [[rng.random() for _ in range(SIDE * SIDE)] for _ in range(CLASSES)]
        labels = [rng.randrange(CLASSES) for _ in range(1797)]
        return [[min(1.0, max(0.0, value + rng.gauss(0, 0.1))) for value in prototypes[label]] for label in labels], labels
    images, labels = real(return_X_y=True)
    return [[float(value) / 16 for value in image] for image in images], [int(label) for label in labels]


def enlarge(image):
    """One digit as 512x512 float32 values."""
    rows = []
    for row in range(SIDE):
        line = b"".join(struct.pack("f", value) * FACTOR for value in image[row * SIDE : (row + 1) * SIDE])
        rows.append(line * FACTOR)
    return b"".join(rows)


def train_step(images, labels, weights, batch, rng, rate):
    """One step of stochastic gradient descent; returns the mean loss."""
    held = bytearray(batch * PIXELS * 4)
    chosen = [rng.randrange(len(images)) for _ in range(batch)]
    for index, which in enumerate(chosen):
        held[index * PIXELS * 4 : (index + 1) * PIXELS * 4] = enlarge(images[which])
    pixels = memoryview(held).cast("f")
    gradient = [[0.0] * (SIDE * SIDE) for _ in range(CLASSES)]
    loss = 0.0
    for index, which in enumerate(chosen):
        first = index * PIXELS
        features = [v for row in range(SIDE) for v in pixels[first + row * FACTOR * ENLARGED : first + (row * FACTOR + 1) * ENLARGED : FACTOR]]
        scores = [sum(map(mul, weight, features)) for weight in weights]
        highest = max(scores)
        exponentials = [math.exp(score - highest) for score in scores]
        total = sum(exponentials)
        loss -= math.log(exponentials[labels[which]] / total) / batch
        for label in range(CLASSES):
            error = (exponentials[label] / total - (label == labels[which])) / batch
            gradient[label] = [g + error * feature for g, feature in zip(gradient[label], features)]
    for weight, slope in zip(weights, gradient):
        weight[:] = [w - rate * g for w, g in zip(weight, slope)]
    return loss


def peak_bytes():
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=int(os.environ.get("BATCHFIT_BATCH", "32")))
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--lr", type=float, default=0.5)
    given = parser.parse_args()
    rng = random.Random(0)
    images, labels = load_digits(rng)
    weights = [[0.0] * (SIDE * SIDE) for _ in range(CLASSES)]
    started = time.perf_counter()
    for step in range(given.steps):
        loss = train_step(images, labels, weights, given.batch, rng, given.lr)
        print(f"step {step}: loss {loss:.4f}", flush=True)
    rate = given.batch * given.steps / (time.perf_counter() - started)
    print("BATCHFIT " + json.dumps({"peakBytes": peak_bytes(), "samplesPerSecond": rate}))


if __name__ == "__main__":
    main()
