"""Self-tuning in the race of `compare_tuners.py`."""

import keras
import keras_tuner
from race_keras_tuner import RacingModel
from race_problems import MONITOR

import keras_stn as stn


class SelfTuningRacer(RacingModel):
    """The same `build(hp)`, whose values are known after the training."""

    def fit(self, hp, model, **options):
        return self.train(model, model.hyperparameter_values, options)


def run_self_tuning(problem, recorder, data, seed, folder, arguments):
    """Trains once, while the hyperparameters tune themselves.

    Args:
        problem: The `Problem`.
        recorder: The `Recorder`, its clock running.
        data: Three pairs of arrays.
        seed: Integer.
        folder: Path of the folder for the tuner's files; the schedule is
            among them.
        arguments: The command line's arguments.
    """
    declared = keras_tuner.HyperParameters()
    for name, one in problem.ranges.items():
        start = min(one.default * arguments.start, one.high)
        one._replace(default=start).declare(declared, name)
    rate = arguments.hyper_learning_rate
    tuner = stn.SelfTuner(
        SelfTuningRacer(problem, recorder, data),
        objective=keras_tuner.Objective(MONITOR, "min"),
        hyper_optimizer=rate and keras.optimizers.Adam(rate),
        train_steps=arguments.train_steps,
        groups=arguments.groups,
        hyperparameters=declared,
        seed=seed,
        directory=str(folder.parent),
        project_name=folder.name,
        overwrite=True,
    )
    tuner.search(verbose=0, warmup_epochs=arguments.warmup_epochs)
