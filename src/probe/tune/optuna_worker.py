"""
Keeps a study in Optuna for `batchfit tune`: JSON lines on standard input, one answer a line on file descriptor 3.

The budget is counted in the storage. Who makes the study puts its trials there as WAITING, each with a slot; a process takes
one, which Optuna does atomically, so that many processes share one study and no setting is run twice.
"""
import json
import os
import random
import sys
import time
import warnings

import optuna
from optuna.trial import TrialState

PROTOCOL = "batchfit/tune@1"
SPACE, READY, SLOT, TRIAL, HOST, VOID = (f"batchfit:{name}" for name in ("space", "ready", "slot", "trial", "host", "void"))
PATIENCE_SECONDS = 20
ATTEMPTS = 5
WITHDRAWN = "abandoned"
DUPLICATE = "duplicate"


class Refused(Exception):
    """What the user can cure; its code goes to the caller."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def open_storage(where):
    if where is None:
        return optuna.storages.InMemoryStorage()
    if "://" not in where or where.startswith("journal:"):
        path = where.removeprefix("journal:").removeprefix("//")
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
    wait = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else None
    for attempt in range(ATTEMPTS):
        try:
            return optuna.storages.RDBStorage(where, engine_kwargs=wait)
        except ImportError:
            raise
        except Exception:  # Two processes that make the tables of a fresh database at once: one of them fails.
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(0.3)


class NewPlaces(optuna.samplers.TPESampler):
    """Without a spread around the rule a batch has one setting, so one that was taken gives way to its nearest neighbour."""

    def sample_independent(self, study, trial, name, distribution):
        value = super().sample_independent(study, trial, name, distribution)
        if name != "batch_index":
            return value
        others = study.get_trials(deepcopy=False)
        taken = {each.params["batch_index"] for each in others if each.number != trial.number and "batch_index" in each.params}
        free = [index for index in range(distribution.low, distribution.high + 1) if index not in taken]
        return min(free, key=lambda index: abs(index - value)) if free else value


class Study:
    def __init__(self, request):
        self.batches = request["batches"]
        self.spread = request["spread"]
        self.host = request["host"]
        self.kind = request["sampler"]
        self.seed = request["seed"]
        self.budget = request["budget"]
        self.points = request["points"]
        self.prunes = request["pruner"] == "median"
        self.asked = {}
        pruner = optuna.pruners.MedianPruner(n_startup_trials=request["startupTrials"]) if self.prunes else optuna.pruners.NopPruner()
        storage = open_storage(request["storage"])
        direction = "minimize" if request["direction"] == "min" else "maximize"
        signature = json.dumps({name: request[name] for name in ("direction", "sampler", "batches", "rates", "spread")})
        try:
            self.study = optuna.create_study(storage=storage, study_name=request["study"], direction=direction, pruner=pruner)
            self.study.set_user_attr(SPACE, signature)
            self.fill(range(self.budget))
        except optuna.exceptions.DuplicatedStudyError:
            self.study = optuna.load_study(storage=storage, study_name=request["study"], pruner=pruner)
            self.join(signature)

    def fill(self, slots):
        for slot in slots:
            point = self.points[slot] if slot < len(self.points) else {}
            self.study.enqueue_trial(point, user_attrs={SLOT: slot})
        self.study.set_user_attr(READY, self.budget)

    def join(self, signature):
        """Waits until its maker has filled the study, and adds the slots that are missing: of a larger budget, or broken off."""
        self.await_attribute(SPACE)
        there = self.study.user_attrs.get(SPACE)
        if there is None:
            raise Refused("STUDY_FOREIGN", "this study was not made by batchfit tune")
        if there != signature:
            ours, theirs = json.loads(signature), json.loads(there)
            name = next(key for key in ours if ours[key] != theirs.get(key))
            raise Refused("STUDY_DIFFERS", f"this study was made with other settings: {name} {theirs.get(name)}, here {ours[name]}")
        self.await_attribute(READY)
        taken = {trial.user_attrs[SLOT] for trial in self.slots()}
        missing = [slot for slot in range(self.budget) if slot not in taken]
        if missing:
            self.fill(missing)

    def await_attribute(self, name):
        until = time.monotonic() + PATIENCE_SECONDS
        while self.study.user_attrs.get(name) is None and time.monotonic() < until:
            time.sleep(0.1)

    def slots(self):
        """The trials that count: one for each slot, the first of it, without those that were broken off."""
        first = {}
        for trial in self.study.get_trials(deepcopy=False):
            if SLOT in trial.user_attrs and VOID not in trial.user_attrs:
                first.setdefault(trial.user_attrs[SLOT], trial)
        return list(first.values())

    def ceiling(self):
        """The smallest batch that this machine ran out of memory with."""
        records = [trial.user_attrs.get(TRIAL) for trial in self.study.get_trials(deepcopy=False)]
        failed = [each["batch"] for each in records if each and each["ran"] and each["outcome"] == "oom" and each["host"] == self.host]
        return min(failed, default=None)

    def ask(self, _):
        while (trial_id := self.study._pop_waiting_trial_id()) is not None:
            trial = optuna.trial.Trial(self.study, trial_id)
            if all(trial.number != each.number for each in self.slots()):
                self.void(trial, DUPLICATE)
                continue
            self.asked[trial.number] = trial
            trial.set_user_attr(HOST, self.host)
            return self.suggest(trial)
        return None

    def suggest(self, trial):
        ceiling = self.ceiling()
        below = sum(ceiling is None or batch < ceiling for batch in self.batches)
        # A grid's points are fixed; where a sampler's first ones are out of reach, it samples others.
        allowed = len(self.batches) if self.kind == "grid" else below
        self.study.sampler = self.sampler(trial.number)
        index = trial.suggest_int("batch_index", 0, max(allowed, 1) - 1)
        factor = trial.suggest_float("lr_factor", 1 / self.spread, self.spread, log=True) if self.spread > 1 else 1.0
        exceeds = ceiling if ceiling is not None and self.batches[index] >= ceiling else None
        return {"number": trial.number, "index": index, "factor": factor, "exceeds": exceeds}

    def sampler(self, number):
        """One for each trial, so that a study has the same trials whoever takes them."""
        seed = None if self.seed is None else random.Random(f"{self.seed} {number}").getrandbits(32)
        if self.kind != "bayesian":
            return optuna.samplers.RandomSampler(seed=seed)
        # The best rate depends on the batch, so both are drawn together: TPE over their joint density (Falkner et al. 2018, BOHB).
        joint = self.spread > 1
        kind = optuna.samplers.TPESampler if joint else NewPlaces
        return kind(seed=seed, n_startup_trials=len(self.points), multivariate=joint, constant_liar=True)

    def report(self, request):
        trial = self.asked[request["number"]]
        trial.report(request["metric"], request["step"])
        return self.prunes and bool(trial.should_prune())

    def tell(self, request):
        record = request["trial"]
        trial = self.asked.pop(record["number"])
        trial.set_user_attr(TRIAL, record)
        if record["outcome"] == "done":
            self.study.tell(trial, record["metric"])
        else:
            self.study.tell(trial, state=TrialState.FAIL if record["outcome"] == "crash" else TrialState.PRUNED)

    def abandon(self, request):
        trial = self.asked.pop(request["number"], None)
        if trial is not None:
            self.void(trial, WITHDRAWN)

    def void(self, trial, why):
        trial.set_user_attr(VOID, why)
        self.study.tell(trial, state=TrialState.FAIL)

    def trials(self, _):
        slots = self.slots()
        records = [{**trial.user_attrs[TRIAL], "number": trial.number} for trial in slots if TRIAL in trial.user_attrs]
        return {"trials": records, "running": sum(trial.state == TrialState.RUNNING for trial in slots)}

    def end(self):
        for number in list(self.asked):
            self.abandon({"number": number})


def answer(study, request):
    operation = request["operation"]
    if operation not in ("ask", "report", "tell", "abandon", "trials"):
        raise ValueError(f"no operation {operation}")
    return getattr(study, operation)(request)


def main():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    out = os.fdopen(3, "w", buffering=1)
    study = None
    for line in sys.stdin:
        request = json.loads(line)
        reply = {"protocol": PROTOCOL, "id": request["id"]}
        try:
            if request["operation"] == "start":
                study = Study(request)
                reply["result"] = {"optuna": optuna.__version__}
            else:
                reply["result"] = answer(study, request)
        except Exception as error:
            code = error.code if isinstance(error, Refused) else type(error).__name__
            reply["error"] = {"code": code, "message": " ".join(str(error).split())[:400]}
        print(json.dumps(reply), file=out, flush=True)
    if study is not None:
        study.end()


if __name__ == "__main__":
    # Ctrl-C is the parent's to handle: it tells what became of the trials, then closes the input.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
