"""
Does the plan's recommendation keep what a tuned small batch reaches? Needs scikit-learn, scipy and a built batchfit with its torch engine.

    python3 scripts/study/study.py [TASK ...] > study.md

For each task and optimizer: tunes the learning rate at a small batch on a grid, measures the noise scale there with `batchfit
noise`, asks `batchfit plan` for 8, 16 and 32 times that batch, and trains with what it says, with the unscaled rate and with
the other rule; always the same epochs, and last with as many as the noise scale asks for.
"""
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy
from train import EPOCHS, read_data, train

HERE = pathlib.Path(__file__).parent
BATCH = {"digits-mlp": 8, "text": 16}
TIMES, TUNING_SEEDS, SEEDS = (8, 16, 32), range(100, 105), range(20)
RATES = {"momentum": [0.005 * 2**k for k in range(8)], "adamw": [0.0005 * 2**k for k in range(8)]}


def batchfit(*words):
    program = os.environ.get("BATCHFIT_PROGRAM", str(HERE.parents[1] / "bin" / "run.js"))
    ran = subprocess.run(["node", program, *map(str, words), "--json"], capture_output=True, text=True)
    return json.loads(ran.stdout)


def plan(task, optimizer, batch, rate, noise=None, epochs=None):
    """What `batchfit plan` recommends at this batch, from the tuned setting."""
    data = ["--dataset-size", len(read_data(task)[1]), "--epochs", epochs or EPOCHS[task], "--target-batch", batch]
    known = ["--reference-batch", BATCH[task], "--reference-lr", rate, "--optimizer", optimizer]
    scale = [] if noise is None else ["--noise-scale", noise]
    answer = batchfit("plan", HERE / f"{task}.yaml", "--device", "cpu", "--memory", "8GiB", *data, *known, *scale)
    assert answer["batch"]["effective"] == batch, answer["batch"]
    return answer


def noise_scale(task, optimizer, rate):
    """Measured by `batchfit noise` on the training samples after half of the tuned run's steps."""
    inputs, labels, _, _ = read_data(task)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "data.npz"
        numpy.savez(path, features=inputs, labels=labels)
        small, steps = BATCH[task], EPOCHS[task] * len(labels) // BATCH[task] // 2
        sizes = ["--small-batch", small, "--big-batch", 8 * small, "--updates", 100, "--train-steps", steps]
        return batchfit(
            "noise", HERE / f"{task}.yaml", "--data", path, "--engine", "torch", "--optimizer", optimizer, "--learning-rate", rate, *sizes
        )


def settings_of(answer):
    warmup, beta2 = answer["warmup"], answer["optimizer"]["beta2"]
    rest = {} if beta2 is None else {"beta2": beta2}
    return {"rate": answer["learningRate"]["value"], "warmup_steps": warmup["steps"], "warmup_from": warmup["fromFraction"], **rest}


def runs(task, optimizer, batch, settings, seeds=SEEDS):
    return [100 * train(task, optimizer, batch, seed=seed, **settings) for seed in seeds]


def codes(answer):
    return ", ".join(warning["code"] for warning in answer["warnings"]) or "none"


class Table:
    """Rows against the tuned small batch, whose runs are the base."""

    def __init__(self, task, optimizer):
        self.task, self.optimizer, self.base = task, optimizer, None

    def add(self, batch, kind, settings, warnings=""):
        values = runs(self.task, self.optimizer, batch, settings)
        self.base = self.base or values
        loss = statistics.mean(self.base) - statistics.mean(values)
        noise = 2 * math.sqrt((statistics.variance(self.base) + statistics.variance(values)) / len(values))
        verdict = "" if values is self.base else f"{loss:+.2f} | {'yes' if loss <= noise else 'no'} ({noise:.2f})"
        accuracy = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
        print(f"| {batch} | {kind} | {settings['rate']:.4g} | {accuracy} | {verdict or ' | '} | {warnings} |", flush=True)


def study(task, optimizer):
    small, epochs = BATCH[task], EPOCHS[task]
    own = settings_of(plan(task, optimizer, small, RATES[optimizer][0]))
    tuned = {rate: statistics.mean(runs(task, optimizer, small, {**own, "rate": rate}, TUNING_SEEDS)) for rate in RATES[optimizer]}
    rate = max(tuned, key=tuned.get)
    own["rate"] = rate
    measured = noise_scale(task, optimizer, rate)
    scale = measured["noiseScale"]
    said = "not enough samples" if scale is None else f"{scale['value']:.0f} samples ({scale['low']:.0f} to {scale['high']:.0f})"
    print(f"\n**{task}, {optimizer}**, {epochs} epochs of {len(read_data(task)[1])} samples; noise scale {said}")
    print("rates tried at the small batch: " + ", ".join(f"{each:g}: {value:.2f}" for each, value in tuned.items()) + "\n")
    print("| batch | learning rate | value | validation accuracy, % | loss, points | within noise | warnings of the plan |")
    print("| ---: | --- | ---: | ---: | ---: | --- | --- |")
    table = Table(task, optimizer)
    table.add(small, "tuned", own)
    for times in TIMES:
        batch = small * times
        answer = plan(task, optimizer, batch, rate)
        recommended = settings_of(answer)
        table.add(batch, f"recommended ({answer['learningRate']['rule']})", recommended, codes(answer))
        table.add(batch, "unscaled", {**own, "warmup_steps": round(own["warmup_steps"] / times)})
        other, factor = ("square root", math.sqrt(times)) if optimizer == "momentum" else ("linear", times)
        table.add(batch, other, {**recommended, "rate": rate * factor})
        if scale is not None:
            # Samples to the same loss: 1 + B / noise scale over the same at the small batch.
            longer = math.ceil(epochs * (1 + batch / scale["value"]) / (1 + small / scale["value"]))
            answer = plan(task, optimizer, batch, rate, scale["value"], longer)
            table.add(batch, f"recommended with the noise scale, {longer} epochs", {**settings_of(answer), "epochs": longer}, codes(answer))


def main():
    for task in sys.argv[1:] or BATCH:
        for optimizer in RATES:
            study(task, optimizer)


if __name__ == "__main__":
    sys.exit(main())
