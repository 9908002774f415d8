"""What the callbacks that log a schedule cost, beside `fit` without them.

    python examples/benchmarks/callbacks.py

trains one network with fifteen hyperparameters on random images, in turn
without a callback and with each of them writing after every step. A step of
`fit` is two weight updates and one hyperparameter update. For each setting it
prints the time of a step divided by the time without, as the median of the
rounds and their quartiles; and the milliseconds that a call of the callback
itself takes. A round is an epoch of each, in changing order. "none again"
tells how much of a difference is chance.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_stn as stn

HYPERPARAMETERS = 15


class StepTimes(keras.callbacks.Callback):
    """Measures the time from the end of an epoch's first step to its last.

    Stands in front of the callback that is measured.

    Args:
        steps: Integer, the steps of an epoch.
    """

    def __init__(self, steps):
        super().__init__()
        self._steps = steps
        self.inside = []

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if batch == 0:
            self._start = now
        self.seconds = (now - self._start) / (self._steps - 1)
        self._entered = time.perf_counter()

    def after(self):
        """A callback to stand behind the one that is measured."""
        return keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: self.inside.append(
                time.perf_counter() - self._entered
            )
        )


def small_cnn():
    """The quickstart's network, with five dropout layers at each place."""

    def dropouts(place):
        return [
            stn.layers.Dropout(
                stn.Float(f"dropout_{i}", 0.0, 0.9, default=0.02)
            )
            for i in range(place * 5, place * 5 + 5)
        ]

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            stn.layers.HyperConv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            *dropouts(0),
            stn.layers.HyperConv2D(64, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            *dropouts(1),
            keras.layers.Flatten(),
            stn.layers.HyperDense(128, activation="relu"),
            *dropouts(2),
            stn.layers.HyperDense(10),
        ]
    )


def build():
    keras.utils.set_random_seed(0)
    model = stn.SelfTuningModel(small_cnn())
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def make_callbacks(folder):
    """What is compared: the name of each setting and its callbacks."""
    return {
        "none": [],
        "none again": [],
        "ScheduleLogger, csv": [
            stn.callbacks.ScheduleLogger(folder / "a.csv", "batch")
        ],
        "ScheduleLogger, jsonl": [
            stn.callbacks.ScheduleLogger(folder / "a.jsonl", "batch")
        ],
        "TensorBoardSchedule": [
            stn.callbacks.TensorBoardSchedule(folder / "ours", "batch")
        ],
        "keras TensorBoard": [
            keras.callbacks.TensorBoard(folder / "keras", update_freq="batch")
        ],
    }


def measure(folder, batch_size, steps, rounds):
    """Measures each setting.

    Returns:
        Pair of dictionaries from the settings' names to lists: the seconds of
        a step, one a round, and the seconds inside the callback, one a step.
    """
    model = build()
    rng = np.random.default_rng(0)
    size = steps * batch_size * model.train_steps
    x = rng.random((size, 28, 28, 1), "float32")
    y = rng.integers(0, 10, size)
    tuning_data = x[: 4 * batch_size], y[: 4 * batch_size]
    settings = make_callbacks(folder)
    times = {name: [] for name in settings}
    inside = {name: [] for name in settings}
    names = list(settings)
    for round_ in range(-1, rounds):
        for name in names:
            watch = StepTimes(steps)
            model.fit(
                x,
                y,
                batch_size=batch_size,
                tuning_data=tuning_data,
                callbacks=[watch, *settings[name], watch.after()],
                verbose=0,
            )
            if round_ >= 0:  # The first one compiles.
                times[name].append(watch.seconds)
                inside[name] += watch.inside[1:]
        names.append(names.pop(0))
    return times, inside


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=12, help="of an epoch")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times, inside = measure(
            pathlib.Path(folder),
            arguments.batch_size,
            arguments.steps,
            arguments.rounds,
        )
    base = times["none"]
    print(
        f"{HYPERPARAMETERS} hyperparameters, batch {arguments.batch_size}: "
        f"a step without callbacks {1e3 * statistics.median(base):.1f} ms"
    )
    print(f"{'':>22} {'ratio':>7} {'quartiles':>13} {'ms inside':>10}")
    for name, seconds in times.items():
        ratios = [a / b for a, b in zip(seconds, base)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:>22} {middle:>7.3f} {low:>6.3f} {high:>6.3f} "
            f"{1e3 * statistics.median(inside[name]):>10.2f}"
        )


if __name__ == "__main__":
    main()
