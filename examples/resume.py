"""Kill a training in its midst, run it again, and lose nothing.

    python examples/resume.py

trains a small self-tuning network on a sample of Fashion-MNIST that ships
with the package: once undisturbed, and once in a process that kills itself in
the third epoch. The same script, run again, goes on at the last checkpoint.
It then compares the weights, the hyperparameters, the three optimizers and
the schedules of the two runs, bit for bit. It takes about a minute on two
cores and writes to `results/resume`.
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import keras_stn as stn
from keras_stn.datasets import fashion_mnist

EPOCHS = 4
BATCH_SIZE = 50


class Kill(keras.callbacks.Callback):
    """Kills the process in the midst of the third epoch."""

    def on_train_batch_end(self, batch, logs=None):
        # An epoch has 40 weight updates, two in each step.
        if int(self.model.optimizer.iterations) == 2 * 40 + 16:
            print("\nThe process is killed.", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)


def build_model():
    """A network with two tunable dropout rates, compiled."""
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            stn.layers.Dropout(stn.Float("dropout_in", 0.0, 0.9, default=0.1)),
            stn.layers.HyperDense(128, activation="relu"),
            keras.layers.BatchNormalization(),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.1)),
            stn.layers.HyperDense(10),
        ]
    )
    model = stn.SelfTuningModel(network)
    model.compile(
        keras.optimizers.SGD(0.02, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        hyper_optimizer=keras.optimizers.Adam(0.03),
    )
    return model


def train(folder, callbacks=()):
    """What a script does that can be killed and run again.

    Args:
        folder: Path, for the checkpoints, the schedule and the outcome.
        callbacks: Further callbacks.
    """
    # Before the data are made, so that they come in the same order again.
    keras.utils.set_random_seed(0)
    training, validation, _ = fashion_mnist.load_sample()
    model = build_model()
    history = model.fit(
        *training,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        validation_data=validation,
        verbose=2,
        callbacks=[
            stn.callbacks.BackupAndRestore(folder / "backup", save_freq=5),
            stn.callbacks.ScheduleLogger(folder / "schedule.csv"),
            *callbacks,
        ],
    )
    optimizers = (model.optimizer, model.hyper_optimizer, model.scale_optimizer)
    variables = [
        *model.variables,
        *(v for optimizer in optimizers for v in optimizer.variables),
    ]
    arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
    np.savez(folder / "outcome.npz", *arrays, **history.history)


def run(folder, *options):
    """Trains in a process of its own; returns its exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--train", folder, *options]
    return subprocess.run(command).returncode


def read(folder):
    """The outcome of a run, and its schedule without the times."""
    with np.load(folder / "outcome.npz") as file:
        outcome = {name: file[name].tobytes() for name in file}
    rows = [
        line.split(",")
        for line in (folder / "schedule.csv").read_text().splitlines()
    ]
    time = rows[0].index("wall_time")
    return outcome, [row[:time] + row[time + 1 :] for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="results/resume")
    parser.add_argument("--train", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--kill", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, [Kill()] if arguments.kill else [])
        return
    shutil.rmtree(arguments.output, ignore_errors=True)
    whole, killed = arguments.output / "whole", arguments.output / "killed"
    print("A run that nothing disturbs:", flush=True)
    run(whole)
    print("\nThe same run, which will be killed:", flush=True)
    run(killed, "--kill")
    print("\nThe same script again:", flush=True)
    run(killed)
    (outcome, schedule), (expected, expected_schedule) = map(
        read, (killed, whole)
    )
    if outcome != expected or schedule != expected_schedule:
        raise SystemExit("The two runs differ.")
    print(
        f"\nThe two runs are equal, bit for bit: {len(outcome)} arrays "
        "(weights, hyperparameters, seeds, optimizers and the history) and "
        f"{len(schedule)} lines of the schedule."
    )


if __name__ == "__main__":
    main()
