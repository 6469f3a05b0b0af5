"""
Trains a perceptron on scikit-learn's digits with three programs, and keeps the logs that each writes by itself:

    python3 scripts/logs/train.py digits.npz FOLDER [hf-trainer | keras-overfitting | ...]

digits.npz holds x (images, 0 to 1) and y (their digits). FOLDER gets hf-trainer-KIND/trainer_state.json,
lightning-KIND/metrics.csv with TensorBoard's event files where it is installed, and keras-KIND.csv; KIND is what the run is made
to be. Needs torch and requirements.txt beside this file.
"""
import os
import pathlib
import shutil
import sys

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")
HELD = 497  # images of the validation set, the same for every run


def read(path, count=None, wrong=0.0):
    """Training images with a share of their labels replaced by random ones, and validation images."""
    data, random = np.load(path), np.random.default_rng(0)
    order = random.permutation(len(data["y"]))
    x, y = data["x"].reshape(len(order), -1).astype("float32")[order], data["y"].astype("int64")[order]
    train = slice(HELD, None if count is None else HELD + count)
    labels = np.where(random.random(len(y[train])) < wrong, random.integers(0, 10, len(y[train])), y[train])
    return (x[train], labels), (x[:HELD], y[:HELD])


def chosen(program, kinds):
    """The runs that the command line names, by program or by program and kind; all where it names none."""
    names = sys.argv[3:] or [program]
    return [(kind, settings) for kind, settings in kinds.items() if program in names or f"{program}-{kind}" in names]


def hf_trainer(path, folder):
    import torch
    from transformers import Trainer, TrainingArguments, set_seed

    class Perceptron(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))

        def forward(self, pixels, labels):
            scores = self.body(pixels)
            return {"loss": torch.nn.functional.cross_entropy(scores, labels), "logits": scores}

    common = {"learning_rate": 1e-3, "per_device_train_batch_size": 32, "per_device_eval_batch_size": 500, "logging_steps": 10, "eval_steps": 25}
    constant = {"lr_scheduler_type": "constant"}
    quiet = {"eval_strategy": "steps", "save_strategy": "no", "report_to": [], "use_cpu": True, "disable_tqdm": True}
    kinds = {
        "healthy": ({}, {"num_train_epochs": 15}),
        "overfitting": ({"count": 120, "wrong": 0.3}, {"num_train_epochs": 60, "learning_rate": 1e-2, **constant}),
        "too-short": ({}, {"num_train_epochs": 3, "logging_steps": 5, "eval_steps": 10, **constant}),
        "diverging": (
            {},
            {"num_train_epochs": 6, "learning_rate": 60, "lr_scheduler_type": "constant_with_warmup", "warmup_steps": 150, "optim": "sgd", "max_grad_norm": 0},
        ),
    }
    for kind, (sampling, change) in chosen("hf-trainer", kinds):
        set_seed(0)
        sets = [[{"pixels": torch.tensor(a), "labels": int(b)} for a, b in zip(*part)] for part in read(path, **sampling)]
        arguments = TrainingArguments(output_dir=str(folder / "hf"), **{**common, **quiet, **change})
        trainer = Trainer(model=Perceptron(), args=arguments, train_dataset=sets[0], eval_dataset=sets[1])
        trainer.train()
        run = folder / f"hf-trainer-{kind}"
        run.mkdir(parents=True, exist_ok=True)
        trainer.state.save_to_json(str(run / "trainer_state.json"))
    shutil.rmtree(folder / "hf", ignore_errors=True)


def lightning(path, folder):
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
    from torch.utils.data import DataLoader, TensorDataset

    class Perceptron(pl.LightningModule):
        def __init__(self, rate):
            super().__init__()
            self.rate = rate
            self.body = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))

        def training_step(self, batch, index):
            loss = torch.nn.functional.cross_entropy(self.body(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=False)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", torch.nn.functional.cross_entropy(self.body(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=self.rate)

    kinds = {
        "healthy": ({}, {"epochs": 20, "rate": 1e-3, "shuffle": True}),
        "overfitting": ({"count": 120, "wrong": 0.3}, {"epochs": 60, "rate": 1e-2, "shuffle": True}),
        "periodic": ({}, {"epochs": 12, "rate": 1e-3, "shuffle": False}),
    }
    tensorboard = [] if shutil.which("tensorboard") is None else [TensorBoardLogger]
    for kind, (sampling, change) in chosen("lightning", kinds):
        pl.seed_everything(0, verbose=False)
        (x, y), held = read(path, **sampling)
        if not change["shuffle"]:
            by_class = np.argsort(y, kind="stable")
            x, y = x[by_class], y[by_class]
        batches = [DataLoader(TensorDataset(*map(torch.tensor, part)), batch_size=32, shuffle=one) for part, one in (((x, y), change["shuffle"]), (held, False))]
        loggers = [make(str(folder), name=f"lightning-{kind}", version="") for make in (CSVLogger, *tensorboard)]
        quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        trainer = pl.Trainer(max_epochs=change["epochs"], logger=loggers, log_every_n_steps=4, num_sanity_val_steps=0, **quiet)
        trainer.fit(Perceptron(change["rate"]), *batches)


def keras(path, folder):
    import keras as k

    kinds = {
        "healthy": ({}, {"epochs": 25, "optimizer": lambda: k.optimizers.Adam(1e-3)}),
        "overfitting": ({"count": 120, "wrong": 0.3}, {"epochs": 60, "optimizer": lambda: k.optimizers.Adam(1e-2)}),
        "too-short": ({}, {"epochs": 8, "optimizer": lambda: k.optimizers.SGD(0.02)}),
    }
    for kind, (sampling, change) in chosen("keras", kinds):
        k.utils.set_random_seed(0)
        train, held = read(path, **sampling)
        model = k.Sequential([k.Input((64,)), k.layers.Dense(64, activation="relu"), k.layers.Dense(10)])
        model.compile(optimizer=change["optimizer"](), loss=k.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        log = k.callbacks.CSVLogger(str(folder / f"keras-{kind}.csv"))
        model.fit(*train, validation_data=held, epochs=change["epochs"], batch_size=32, verbose=0, callbacks=[log])


def main():
    path, folder, *names = sys.argv[1:]
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    programs = {"hf-trainer": hf_trainer, "lightning": lightning, "keras": keras}
    for program, train in programs.items():
        if not names or any(name.startswith(program) for name in names):
            train(path, pathlib.Path(folder))


if __name__ == "__main__":
    main()
