"""Self-tuning in the race of `compare_tuners.py`."""

import keras
from race_problems import Values
from race_recorder import train

import keras_stn as stn


def make_self_tuning(problem, arguments):
    """The self-tuning model of the problem's `build(hp)`.

    Args:
        problem: The `Problem`.
        arguments: The command line's arguments.

    Returns:
        A compiled `SelfTuningModel`.
    """
    declarations = {
        name: stn.Float(
            name,
            one.low,
            one.high,
            default=min(one.default * arguments.start, one.high),
            sampling=one.sampling,
            per_example=one.sampling != "log",
        )
        for name, one in problem.ranges.items()
    }
    starts = {name: one.default for name, one in declarations.items()}
    ranges = {
        place: declarations[name]
        for name, one in problem.ranges.items()
        for place in one.places
    }
    model = stn.SelfTuningModel.from_keras(
        problem.build(Values(starts)),
        tune=list(ranges),
        ranges=ranges,
        train_steps=arguments.train_steps,
        groups=arguments.groups,
    )
    model.compile(
        hyper_optimizer=keras.optimizers.Adam(arguments.hyper_learning_rate),
        **problem.compile_arguments(),
    )
    return model


def run_self_tuning(problem, recorder, data, schedule, arguments):
    """Trains once, while the hyperparameters tune themselves.

    Args:
        problem: The `Problem`.
        recorder: The `Recorder`, its clock running.
        data: Three pairs of arrays.
        schedule: Path of a CSV file for the hyperparameters of every epoch.
        arguments: The command line's arguments.
    """
    model = make_self_tuning(problem, arguments)
    train(
        model,
        model.hyperparameter_values,
        recorder,
        data,
        problem.epochs,
        [keras.callbacks.CSVLogger(schedule)],
        warmup_epochs=arguments.warmup_epochs,
    )
