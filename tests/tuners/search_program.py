"""Searches for hyperparameters, alone or as one of several workers.

    python -m tests.tuners.search_program FOLDER [EPOCH [REPLICAS]]

With an EPOCH above 0 the process dies in the second trial, when that epoch
begins. REPLICAS share each trial.
"""

import os
import pathlib
import sys

import keras
import tensorflow as tf

import keras_stn as stn
from tests.tuners import builds

EXIT_CODE = 9


class Die(keras.callbacks.Callback):
    def __init__(self, epoch, folder):
        super().__init__()
        self.epoch = epoch
        self.folder = folder

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch and len([*self.folder.glob("*/trial_*")]) == 2:
            os._exit(EXIT_CODE)


class Sign(keras.callbacks.Callback):
    """Notes which worker trained a network."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_end(self, logs=None):
        worker = os.environ.get("KERASTUNER_TUNER_ID", "alone")
        with open(self.folder / f"{worker}.txt", "a") as file:
            file.write("trained\n")


def make_strategy(replicas):
    """As many logical devices as replicas."""
    device = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * replicas
    tf.config.set_logical_device_configuration(device, devices)
    names = [f"CPU:{i}" for i in range(replicas)]
    return tf.distribute.MirroredStrategy(names)


def main(folder, epoch=0, replicas=0):
    folder, epoch, replicas = pathlib.Path(folder), int(epoch), int(replicas)
    tuner = stn.SelfTuner(
        builds.with_learning_rate,
        max_trials=2,
        train_steps=1,
        directory=folder,
        seed=1,
        distribution_strategy=make_strategy(replicas) if replicas else None,
    )
    data = builds.draw_data()
    callbacks = [Sign(folder)]
    if epoch:
        callbacks.append(Die(epoch, folder))
    tuner.search(
        *data,
        validation_data=data,
        batch_size=builds.BATCH,
        epochs=3,
        verbose=0,
        callbacks=callbacks,
    )
    if "tuner" in os.environ.get("KERASTUNER_TUNER_ID", ""):
        return
    for trial, hp in zip(
        tuner.oracle.get_best_trials(2), tuner.get_best_hyperparameters(2)
    ):
        values = {name: hp.get(name) for name in sorted(hp.values)}
        print(trial.trial_id, trial.status, trial.score, values)
    # Ordinary models, also of what replicas shared.
    tuner.get_best_models()[0].predict(data[0], verbose=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
