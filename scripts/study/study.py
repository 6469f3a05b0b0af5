"""
Does the plan's recommendation keep what a tuned small batch reaches? Needs torch, scikit-learn and a built batchfit.

    python3 scripts/study/study.py > study.md

For each task and optimizer: tunes the learning rate at batch 16 on a grid, asks `batchfit plan` for 8 and 16 times that batch, and
trains there with what it says, with the unscaled rate and (Adam) with the linearly scaled one; always the same epochs.
"""
import json
import math
import pathlib
import statistics
import subprocess
import sys

import torch
from train import EPOCHS, read_data, train

HERE = pathlib.Path(__file__).parent
BATCH, TIMES, TUNING_SEEDS, SEEDS = 16, (8, 16), range(100, 103), range(6)
RATES = {"momentum": [0.0025 * 2**k for k in range(8)], "adamw": [0.00025 * 2**k for k in range(8)]}


def plan(task, optimizer, batch, rate):
    """What `batchfit plan` recommends at this batch, from the tuned setting."""
    command = ["node", str(HERE.parents[1] / "bin" / "run.js"), "plan", str(HERE / f"{task}.yaml"), "--device", "cpu", "--memory", "8GiB"]
    data = ["--dataset-size", str(len(read_data(task)[1])), "--epochs", str(EPOCHS[task]), "--target-batch", str(batch)]
    known = ["--reference-batch", str(BATCH), "--reference-lr", str(rate), "--optimizer", optimizer, "--json"]
    answer = json.loads(subprocess.run([*command, *data, *known], check=True, capture_output=True, text=True).stdout)
    assert answer["batch"]["effective"] == batch, answer["batch"]
    return answer


def settings_of(answer):
    warmup, beta2 = answer["warmup"], answer["optimizer"]["beta2"]
    rest = {} if beta2 is None else {"beta2": beta2}
    return {"rate": answer["learningRate"]["value"], "warmup_steps": warmup["steps"], "warmup_from": warmup["fromFraction"], **rest}


def runs(task, optimizer, batch, settings, seeds=SEEDS):
    return [train(task, optimizer, batch, seed=seed, **settings) for seed in seeds]


def percent(values):
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"


def compare(base, values):
    """The loss against the tuned small batch in points, and whether it is within twice its standard error."""
    loss = 100 * (statistics.mean(base) - statistics.mean(values))
    noise = 200 * math.sqrt((statistics.variance(base) + statistics.variance(values)) / len(values))
    return f"{loss:+.2f}", "yes" if loss <= noise else f"no (noise {noise:.2f})"


def study(task, optimizer):
    own = settings_of(plan(task, optimizer, BATCH, RATES[optimizer][0]))
    tuned = {rate: statistics.mean(runs(task, optimizer, BATCH, {**own, "rate": rate}, TUNING_SEEDS)) for rate in RATES[optimizer]}
    rate = max(tuned, key=tuned.get)
    own["rate"] = rate
    base = runs(task, optimizer, BATCH, own)
    rows = [[f"{BATCH}", "tuned", f"{rate:g}", percent(base), "", ""]]
    warned = set()
    for times in TIMES:
        answer = plan(task, optimizer, BATCH * times, rate)
        warned |= {warning["code"] for warning in answer["warnings"]}
        recommended = settings_of(answer)
        unscaled = {**own, "warmup_steps": round(own["warmup_steps"] / times)}
        kinds = {f"recommended ({answer['learningRate']['rule']})": recommended, "unscaled": unscaled}
        if optimizer == "adamw":
            kinds["linear"] = {**recommended, "rate": rate * times}
        for kind, settings in kinds.items():
            values = runs(task, optimizer, BATCH * times, settings)
            rows.append([f"{BATCH * times}", kind, f"{settings['rate']:g}", percent(values), *compare(base, values)])
    print(f"\n**{task}, {optimizer}** (rates tried at batch {BATCH}: {min(RATES[optimizer]):g} to {max(RATES[optimizer]):g}; warnings: {', '.join(sorted(warned)) or 'none'})\n")
    print("| batch | rate | value | validation accuracy, % | loss, points | within noise |\n|---:|---|---:|---:|---:|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def main():
    torch.set_num_threads(1)
    for task in EPOCHS:
        for optimizer in RATES:
            study(task, optimizer)


if __name__ == "__main__":
    main()
