"""A training that is killed, for `backup_and_restore_test.py`.

    python -m tests.callbacks.backup_program FOLDER SAVE_FREQ EPOCHS DEVICES
        [KILL_AT…]

trains a small self-tuning network twice: undisturbed in `FOLDER/whole`, and
in `FOLDER/killed` in one process for each `KILL_AT`, which kills itself there,
and one that runs to the end. In each folder is a schedule, `schedule.csv`, and
at the end everything that must be equal in `results.npz`.

`KILL_AT` is `KIND:N`, the N-th time that something happens, counted from 1.
`KIND` is one of `begin` and `end` (of a training step), `test` (a step of an
evaluation), `epoch` (its end, of which some callbacks have heard and some
not), `write` (half of a checkpoint is written), `rename` (it is written, but
not yet in its place), `renamed` and `after` (it is saved). `time:S` is after
S seconds.
"""

import json
import os
import pathlib
import signal
import sys
import threading

import keras
import numpy as np
import tensorflow as tf

import keras_stn as stn
from keras_stn.callbacks import checkpoint_folder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6, 3)).astype("float32")
Y = RNG.integers(0, 3, size=40)
X_VAL = RNG.normal(size=(20, 6, 3)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=20)


def make_model():
    """A network with dropout, noise and normalization."""
    network = keras.Sequential(
        [
            keras.Input((6, 3)),
            keras.layers.Flatten(),
            stn.layers.HyperDense(6, activation="relu"),
            keras.layers.BatchNormalization(),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.3)),
            keras.layers.GaussianNoise(0.1),
            stn.layers.HyperDense(3),
        ]
    )
    model = stn.SelfTuningModel(network, groups=2)
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        hyper_optimizer=keras.optimizers.Adam(0.1),
        jit_compile=False,
    )
    return model


def make_callbacks(folder, save_freq):
    return [
        stn.callbacks.BackupAndRestore(folder / "backup", save_freq),
        keras.callbacks.EarlyStopping(
            patience=10, restore_best_weights=True, min_delta=0.01
        ),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1),
        stn.callbacks.NonMonotonicDecay(patience=1, factor=2.0),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        stn.callbacks.ScheduleLogger(folder / "schedule.csv", freq=3),
    ]


def results(model, history):
    """All that must be equal, as a dictionary of arrays."""
    optimizers = model._optimizers()
    variables = [
        *model.variables,
        *(v for optimizer in optimizers for v in optimizer.variables),
        *model.streams.variables,
    ]
    found = {
        f"variable/{i}": keras.ops.convert_to_numpy(variable)
        for i, variable in enumerate(variables)
    }
    found |= {
        f"history/{name}": np.array(values, "float64")
        for name, values in history.history.items()
    }
    return {**found, "epochs": np.array(history.epoch)}


def schedule(path):
    """The text of a schedule, without the column of the time."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    place = rows[0].index("wall_time")
    return [row[:place] + row[place + 1 :] for row in rows]


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


class Killer(keras.callbacks.Callback):
    """Kills the process when something happens for the N-th time."""

    def __init__(self, kill_at):
        super().__init__()
        self.kind, number = kill_at.split(":")
        self.left = 0 if self.kind == "time" else int(number)
        if self.kind == "time":
            timer = threading.Timer(float(number), kill)
            timer.daemon = True
            timer.start()

    def happens(self, kind):
        if kind == self.kind:
            self.left -= 1
            if self.left == 0:
                kill()

    def on_train_batch_begin(self, batch, logs=None):
        self.happens("begin")

    def on_train_batch_end(self, batch, logs=None):
        self.happens("end")

    def on_test_batch_end(self, batch, logs=None):
        self.happens("test")

    def on_epoch_end(self, epoch, logs=None):
        self.happens("epoch")

    def watch_files(self):
        """Wraps what a checkpoint is written with."""
        savez, replace = np.savez, os.replace
        write = checkpoint_folder.CheckpointFolder.write

        def half(file, **arrays):
            if self.kind == "write" and self.left == 1:
                part = dict(list(arrays.items())[: len(arrays) // 2])
                savez(file, **part)
                file.flush()
            self.happens("write")
            savez(file, **arrays)

        def rename(source, target):
            is_ours = "checkpoint" in str(target)
            if is_ours:
                self.happens("rename")
            replace(source, target)
            if is_ours:
                self.happens("renamed")

        def write_all(*args):
            write(*args)
            self.happens("after")

        np.savez, os.replace = half, rename
        checkpoint_folder.CheckpointFolder.write = write_all


def make_strategy(devices):
    if devices == 1:
        return tf.distribute.get_strategy()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * devices,
    )
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])


def train(folder, save_freq, epochs, devices, kill_at):
    """Trains to the end, or until it kills itself."""
    keras.utils.set_random_seed(1)
    with make_strategy(devices).scope():
        model = make_model()
    callbacks = make_callbacks(folder, save_freq)
    if kill_at:
        killer = Killer(kill_at)
        killer.watch_files()
        callbacks.insert(3, killer)
    history = model.fit(
        X,
        Y,
        batch_size=10,
        epochs=epochs,
        validation_data=(X_VAL, Y_VAL),
        warmup_epochs=1,
        verbose=0,
        callbacks=callbacks,
    )
    np.savez(folder / "results.npz", **results(model, history))


def main(folder, save_freq, epochs, devices, *kills):
    runs = [("whole", None), *(("killed", kill) for kill in (*kills, None))]
    for name, kill_at in runs:
        run_folder = pathlib.Path(folder) / name
        run_folder.mkdir(exist_ok=True)
        # TensorFlow may be forked as long as it has been imported only, which
        # takes longer than the training.
        process = os.fork()
        if process == 0:
            train(
                run_folder,
                json.loads(save_freq),
                int(epochs),
                int(devices),
                kill_at,
            )
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(kill_at, status, flush=True)
        if status != (-signal.SIGKILL if kill_at else 0):
            sys.exit(f"Received: exit status {status} with {kill_at}")


if __name__ == "__main__":
    main(*sys.argv[1:])
