"""Self-tuning in the race of `compare_tuners.py`."""

import keras
import keras_tuner
from race_keras_tuner import RacingModel
from race_problems import BATCH_SIZE
from race_problems import MONITOR

import keras_stn as stn
from keras_stn.hyperparameters.transforms import inverse_softplus

SCALE = 0.5
# How far a hyperparameter could move before the map to its range.
REACH = 60.0


class SelfTuningRacer(RacingModel):
    """The same `build(hp)`, whose values are known after the training."""

    def fit(self, hp, model, **options):
        raw_scale = model.hyperparameters.raw_scale
        raw_scale.assign(
            keras.ops.full_like(raw_scale, inverse_softplus(SCALE))
        )
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
    if rate is None:
        examples = len(data[0][0])
        cycles = -(-examples // (BATCH_SIZE * arguments.train_steps))
        rate = REACH / (cycles * problem.epochs)
        rate = min(max(rate, 0.003), 0.1)
    tuner = stn.SelfTuner(
        SelfTuningRacer(problem, recorder, data),
        objective=keras_tuner.Objective(MONITOR, "min"),
        hyper_optimizer=keras.optimizers.Adam(rate),
        train_steps=arguments.train_steps,
        groups=arguments.groups,
        preset="paper",
        hyperparameters=declared,
        seed=seed,
        directory=str(folder.parent),
        project_name=folder.name,
        overwrite=True,
    )
    tuner.search(verbose=0, warmup_epochs=arguments.warmup_epochs)
