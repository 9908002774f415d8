"""A training that is killed, for `backup_and_restore_test.py`.

    python -m tests.callbacks.backup_program FOLDER SAVE_FREQ EPOCHS [KILL_AT…]

trains a small self-tuning network, saves checkpoints in `FOLDER/backup` and
writes a schedule to `FOLDER/schedule.csv`; at the end it writes everything
that must equal another run's to `FOLDER/results.npz`. For each `KILL_AT` a
process runs that kills itself there, and then one that runs to the end.
`KILL_AT` is `KIND:N`, the N-th time that something happens, counted from 1.
`KIND` is one of `begin` and `end` (of a training step), `test` (a step of an
evaluation), `epoch` (its end, of which some callbacks have heard and some
not), `write` (half of a checkpoint is written), `rename` (it is written, but
not yet in its place), `renamed` and `after` (it is saved).
"""

import json
import os
import pathlib
import signal
import sys

import keras
import numpy as np

import keras_stn as stn
from keras_stn.callbacks import checkpoint_folder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(45, 6, 3)).astype("float32")
Y = RNG.integers(0, 3, size=45)
X_VAL = RNG.normal(size=(20, 6, 3)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=20)


def make_model(**kwargs):
    """A network with dropout, normalization and carried states."""
    network = keras.Sequential(
        [
            keras.Input((6, 3), batch_size=kwargs.pop("batch_size", None)),
            *kwargs.pop("layers", ()),
            keras.layers.Flatten(),
            stn.layers.HyperDense(6, activation="relu"),
            keras.layers.BatchNormalization(),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.3)),
            keras.layers.GaussianNoise(0.1),
            stn.layers.HyperDense(3),
        ]
    )
    model = stn.SelfTuningModel(network, groups=2)
    arguments = {
        "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
        "hyper_optimizer": keras.optimizers.Adam(0.1),
        "jit_compile": False,
    }
    model.compile(**{**arguments, **kwargs})
    return model


def make_callbacks(folder, save_freq, **kwargs):
    return [
        stn.callbacks.BackupAndRestore(
            folder / "backup", save_freq=save_freq, **kwargs
        ),
        keras.callbacks.EarlyStopping(
            patience=10, restore_best_weights=True, min_delta=0.01
        ),
        keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1),
        stn.callbacks.NonMonotonicDecay(patience=1, factor=2.0),
        keras.callbacks.CSVLogger(folder / "log.csv"),
        stn.callbacks.ScheduleLogger(folder / "schedule.csv", update_freq=3),
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


class Killer(keras.callbacks.Callback):
    """Kills the process when something happens for the N-th time."""

    def __init__(self, kill_at):
        super().__init__()
        self.kind, number = kill_at.split(":")
        self.left = int(number)

    def happens(self, kind):
        if kind == self.kind:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

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


def train(folder, save_freq, epochs, kill_at=None):
    """Trains to the end, or until it kills itself."""
    keras.utils.set_random_seed(1)
    model = make_model()
    callbacks = make_callbacks(folder, save_freq)
    if kill_at:
        killer = Killer(kill_at)
        killer.watch_files()
        callbacks.insert(3, killer)
    history = model.fit(
        X,
        Y,
        batch_size=5,
        epochs=epochs,
        validation_data=(X_VAL, Y_VAL),
        warmup_epochs=1,
        verbose=0,
        callbacks=callbacks,
    )
    np.savez(folder / "results.npz", **results(model, history))


def main(folder, save_freq, epochs, *kills):
    # TensorFlow may be forked as long as it has been imported only, which
    # takes longer than the training.
    for kill_at in (*kills, None):
        process = os.fork()
        if process == 0:
            train(
                pathlib.Path(folder),
                json.loads(save_freq),
                int(epochs),
                kill_at,
            )
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        print(kill_at, status, flush=True)
        if status != -signal.SIGKILL:
            sys.exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
