"""KerasTuner's searches in the race of `compare_tuners.py`."""

import random

import keras_tuner
from race_problems import MONITOR
from race_recorder import train

# More than any budget allows.
MAX_TRIALS = 9999
LEVELS = (0.05, 0.5, 0.95)


class BudgetSpent(keras_tuner.errors.FatalError):
    """Ends a search of KerasTuner, which takes other errors for a trial's."""


class RacingModel(keras_tuner.HyperModel):
    """The problem's `build(hp)`, trained under the recorder's eyes.

    Args:
        problem: The `Problem`.
        recorder: The `Recorder`.
        data: Three pairs of arrays.
    """

    def __init__(self, problem, recorder, data):
        super().__init__()
        self.problem = problem
        self.recorder = recorder
        self.data = data

    def build(self, hp):
        return self.problem.build(hp)

    def train(self, model, values, options):
        """Trains a network by what KerasTuner passes to `fit`."""
        options.pop("verbose", None)
        options.setdefault("epochs", self.problem.epochs)
        return train(model, values, self.recorder, self.data, **options)

    def fit(self, hp, model, **options):
        history = self.train(model, dict(hp.values), options)
        if self.recorder.clock.is_over:
            raise BudgetSpent("The budget is spent.")
        return history


class GridOracle(keras_tuner.Oracle):
    """All combinations of three values each, in random order.

    KerasTuner's own order goes through all values of the last
    hyperparameters before the first ones change, so that a budget that does
    not hold the whole grid would see nothing of most of them. And it forgets
    its place when a search is interrupted.

    Args:
        ranges: Dictionary from names to `Range`.
        **kwargs: Arguments of `keras_tuner.Oracle`.
    """

    def __init__(self, ranges, **kwargs):
        super().__init__(**kwargs)
        self.ranges = ranges
        size = len(LEVELS) ** len(ranges)
        self.order = random.Random(self.seed).sample(
            range(size), min(size, MAX_TRIALS)
        )

    def populate_space(self, trial_id):
        place = int(trial_id)
        if place >= len(self.order):
            status = keras_tuner.engine.trial.TrialStatus.STOPPED
            return {"status": status, "values": None}
        values, place = {}, self.order[place]
        for name, one in self.ranges.items():
            place, level = divmod(place, len(LEVELS))
            values[name] = one.from_unit(LEVELS[level])
        status = keras_tuner.engine.trial.TrialStatus.RUNNING
        return {"status": status, "values": values}


def search(method, problem, recorder, data, seed, folder):
    """Runs a search of KerasTuner until the budget is spent.

    Args:
        method: `"grid"`, `"random"`, `"bayesian"` or `"hyperband"`.
        problem: The `Problem`.
        recorder: The `Recorder`, its clock running.
        data: Three pairs of arrays.
        seed: Integer.
        folder: Path of the folder for KerasTuner's files, by which it goes on
            after an interruption.
    """
    model = RacingModel(problem, recorder, data)
    common = {
        "objective": keras_tuner.Objective(MONITOR, "min"),
        "seed": seed,
    }
    files = {"directory": str(folder), "project_name": f"{method}-{seed}"}
    oracles = keras_tuner.oracles
    if method == "hyperband":
        tuner = keras_tuner.Hyperband(
            model,
            max_epochs=problem.epochs,
            factor=3,
            hyperband_iterations=100,
            **common,
            **files,
        )
    else:
        common["max_trials"] = MAX_TRIALS
        oracle = {
            "grid": lambda: GridOracle(problem.ranges, **common),
            "random": lambda: oracles.RandomSearchOracle(**common),
            "bayesian": lambda: oracles.BayesianOptimizationOracle(**common),
        }[method]()
        tuner = keras_tuner.Tuner(oracle, model, **files)
    try:
        tuner.search(verbose=0)
    except BudgetSpent:
        pass
