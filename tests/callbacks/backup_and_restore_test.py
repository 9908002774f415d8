import functools
import os
import pathlib
import random
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from tests.callbacks import backup_program
from tests.callbacks.backup_program import X_VAL
from tests.callbacks.backup_program import Y_VAL
from tests.callbacks.backup_program import X
from tests.callbacks.backup_program import Y

ROOT = pathlib.Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings(
    # Keras says so at the end of data of unknown length.
    "ignore:Your input ran out of data"
)


class Crash(keras.callbacks.Callback):
    """Raises an error at the end of a step, or of an epoch."""

    def __init__(self, epoch=None, batch=None):
        super().__init__()
        self.place = epoch, batch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise InterruptedError

    def on_epoch_end(self, epoch, logs=None):
        self.on_train_batch_end(None)


class Remember(keras.callbacks.Callback):
    """A user's callback, which remembers what it sees."""

    def on_train_begin(self, logs=None):
        self.losses = {}
        self.sums = np.zeros(2, "float32")
        self.best = (None, {"a"})

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.losses[self.epoch, batch] = np.float32(logs["loss"])
        self.sums[self.epoch % 2] += logs["loss"]
        self.best = (min(self.losses.values()), {"b"})


class Shuffled(keras.utils.PyDataset):
    """Batches in an order of its own in every epoch."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(3)
        self.order = np.arange(15)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        chosen = self.order[5 * index : 5 * index + 5]
        return X[chosen], Y[chosen]

    def on_epoch_end(self):
        self.rng.shuffle(self.order)


def arrays(examples=15):
    return {"x": X[:examples], "y": Y[:examples], "batch_size": 5}


def dataset():
    data = tf.data.Dataset.from_tensor_slices((X[:15], Y[:15]))
    return data.shuffle(15).batch(5)


def validation_dataset():
    data = tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL))
    return data.shuffle(20).batch(6)


def generator():
    rng = np.random.default_rng(4)
    while True:
        chosen = rng.integers(0, len(X), 5)
        yield X[chosen], Y[chosen]


DATA = {
    "arrays": arrays,
    "dataset": lambda: {"x": dataset()},
    "unknown_length": lambda: {"x": dataset().filter(lambda x, y: True)},
    "py_dataset": lambda: {"x": Shuffled()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 3},
    "some_steps": lambda: {"x": dataset().repeat(), "steps_per_epoch": 4},
    "shuffled_validation_data": lambda: {
        **arrays(),
        "validation_data": validation_dataset(),
    },
    "tuning_data": lambda: {**arrays(), "tuning_data": validation_dataset()},
    "later_start": lambda: {**arrays(), "initial_epoch": 1},
}


def make_tiny_model(stateful=False, **kwargs):
    """A network that takes little time, and steps that are not traced."""
    network = keras.Sequential(
        [
            keras.Input((6, 3), batch_size=5 if stateful else None),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.3)),
            stn.layers.HyperLSTM(2, stateful=True)
            if stateful
            else keras.layers.Flatten(),
            stn.layers.HyperDense(3),
        ]
    )
    model = stn.SelfTuningModel(network, groups=1)
    arguments = {
        "optimizer": keras.optimizers.SGD(0.1, momentum=0.9),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
        "hyper_optimizer": keras.optimizers.Adam(0.1),
        "run_eagerly": True,
    }
    model.compile(**{**arguments, **kwargs})
    return model


def train(folder, *callbacks, make_model=make_tiny_model, **kwargs):
    """Trains with checkpoints at every step, if not told otherwise."""
    keras.utils.set_random_seed(1)
    model = make_model()
    data = kwargs.pop("data", arrays)
    options = {"save_freq": 1, **kwargs.pop("options", {})}
    backup = stn.callbacks.BackupAndRestore(folder / "backup", **options)
    arguments = {
        "epochs": 3,
        "warmup_epochs": 1,
        "verbose": 0,
        "validation_data": (X_VAL[:10], Y_VAL[:10]),
        **data(),
        **kwargs,
    }
    history = model.fit(callbacks=[backup, *callbacks], **arguments)
    return model, history


def interrupt(folder, *place, callbacks=(), **kwargs):
    """A run that ends with an error at a place."""
    with pytest.raises(InterruptedError):
        train(folder, Crash(*place), *callbacks, **kwargs)


def resume(folder, callbacks=(), **kwargs):
    return train(folder, Crash(), *callbacks, **kwargs)


def assert_equal(run, other):
    found = backup_program.results(*run)
    expected = backup_program.results(*other)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert array.tobytes() == found[name].tobytes(), name


def assert_resumes(folder, *place, **kwargs):
    """Compares a run that was interrupted with one that was not."""
    interrupt(folder, *place, **kwargs)
    assert (folder / "backup" / "checkpoint.npz").exists()
    run = resume(folder, **kwargs)
    assert not (folder / "backup").exists()
    assert_equal(run, train(folder, **kwargs))


@pytest.mark.parametrize("data", DATA)
def test_every_kind_of_data_is_resumed_within_an_epoch(tmp_path, data):
    assert_resumes(tmp_path, 2, 1, data=DATA[data])


@pytest.mark.parametrize("data", ["dataset", "py_dataset"])
def test_data_are_resumed_after_an_epoch(tmp_path, data):
    options = {"save_freq": "epoch"}
    assert_resumes(tmp_path, 2, 0, data=DATA[data], options=options)


def test_executions_of_several_steps_are_resumed(tmp_path):
    make_model = functools.partial(make_tiny_model, steps_per_execution=2)
    assert_resumes(
        tmp_path, 1, 3, make_model=make_model, data=lambda: arrays(30), epochs=2
    )


def test_carried_states_are_resumed(tmp_path):
    make_model = functools.partial(make_tiny_model, stateful=True)
    assert_resumes(
        tmp_path, 1, 1, make_model=make_model, shuffle=False, epochs=2
    )


