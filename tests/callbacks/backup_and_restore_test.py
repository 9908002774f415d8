import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.callbacks import backup_program
from tests.callbacks.backup_program import X_VAL
from tests.callbacks.backup_program import Y_VAL
from tests.callbacks.backup_program import X
from tests.callbacks.backup_program import Y

pytestmark = pytest.mark.filterwarnings(
    # Keras says so at the end of data of unknown length.
    "ignore:Your input ran out of data"
)


class Crash(keras.callbacks.Callback):
    """Raises an error at the end of a step, or of an epoch."""

    def __init__(self, epoch, batch=None, kind="train"):
        super().__init__()
        self.place = epoch, batch
        self.kind = kind

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def _crash_at(self, batch, kind):
        if (self.epoch, batch, kind) == (*self.place, self.kind):
            raise InterruptedError

    def on_train_batch_end(self, batch, logs=None):
        self._crash_at(batch, "train")

    def on_test_batch_end(self, batch, logs=None):
        self._crash_at(batch, "test")

    def on_epoch_end(self, epoch, logs=None):
        self._crash_at(None, "train")


class Remember(keras.callbacks.Callback):
    """A user's callback, which counts what it sees."""

    def on_train_begin(self, logs=None):
        self.losses = {}
        self.steps = np.zeros(3, int)

    def on_train_batch_end(self, batch, logs=None):
        self.losses[self.epoch, batch] = logs["loss"]
        self.steps[self.epoch % 3] += 1

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


class Shuffled(keras.utils.PyDataset):
    """Batches in an order of its own in every epoch."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(3)
        self.order = np.arange(len(X))

    def __len__(self):
        return 9

    def __getitem__(self, index):
        chosen = self.order[5 * index : 5 * index + 5]
        return X[chosen], Y[chosen]

    def on_epoch_end(self):
        self.rng.shuffle(self.order)


def dataset():
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(45).batch(5)


def generator():
    rng = np.random.default_rng(4)
    while True:
        chosen = rng.integers(0, len(X), 5)
        yield X[chosen], Y[chosen]


def arrays():
    return {"x": X, "y": Y, "batch_size": 5}


DATA = {
    "arrays": arrays,
    "dataset": lambda: {"x": dataset()},
    "unknown_length": lambda: {"x": dataset().filter(lambda x, y: True)},
    "py_dataset": lambda: {"x": Shuffled()},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 7},
    "some_steps": lambda: {"x": dataset().repeat(), "steps_per_epoch": 5},
    "shuffled_validation_data": lambda: {
        **arrays(),
        "validation_data": tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL))
        .shuffle(20)
        .batch(6),
    },
    "tuning_data": lambda: {**arrays(), "tuning_data": dataset().take(4)},
    "later_start": lambda: {**arrays(), "initial_epoch": 1},
}


def train(folder, save_freq, *crash, data=arrays, callbacks=(), **kwargs):
    """Trains; returns the model, its history and the callbacks."""
    keras.utils.set_random_seed(1)
    delete = kwargs.pop("delete_checkpoint", True)
    backup = kwargs.pop("backup", True)
    arguments = {
        "epochs": kwargs.pop("epochs", 3),
        "warmup_epochs": kwargs.pop("warmup_epochs", 1),
        "verbose": 0,
        "validation_data": (X_VAL, Y_VAL),
        **data(),
    }
    # Step by step, since tracing takes longer than training.
    kwargs.setdefault("run_eagerly", True)
    model = backup_program.make_model(**kwargs)
    callbacks = [
        *(Crash(*place) for place in crash),
        *backup_program.make_callbacks(
            folder, save_freq, delete_checkpoint=delete
        )[0 if backup else 1 :],
        *callbacks,
    ]
    history = model.fit(callbacks=callbacks, **arguments)
    return model, history, callbacks


def assert_equal(run, other):
    (model, history, _), (other_model, other_history, _) = run, other
    found = backup_program.results(model, history)
    expected = backup_program.results(other_model, other_history)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert array.tobytes() == found[name].tobytes(), name


def assert_resumes(tmp_path, save_freq, place, **kwargs):
    """Compares a run that crashed with one that did not."""
    whole, crashed = tmp_path / "whole", tmp_path / "crashed"
    for folder in (whole, crashed):
        folder.mkdir()
    # Checkpoints change nothing by themselves.
    expected = train(whole, save_freq, backup=False, **kwargs)
    with pytest.raises(InterruptedError):
        train(crashed, save_freq, place, **kwargs)
    assert (crashed / "backup" / "checkpoint.npz").exists()
    run = train(crashed, save_freq, **kwargs)
    assert_equal(run, expected)
    assert not (crashed / "backup").exists()
    log = (whole / "log.csv").read_text()
    assert (crashed / "log.csv").read_text() == log
    schedules = [
        backup_program.schedule(folder / "schedule.csv")
        for folder in (whole, crashed)
    ]
    assert schedules[0] == schedules[1]
    return run, expected


@pytest.mark.parametrize("data", DATA)
def test_a_run_goes_on_within_an_epoch(tmp_path, data):
    assert_resumes(tmp_path, 2, (2, 2), data=DATA[data])


@pytest.mark.parametrize("data", ["arrays", "unknown_length", "py_dataset"])
def test_a_run_goes_on_after_an_epoch(tmp_path, data):
    assert_resumes(tmp_path, "epoch", (2, 1), data=DATA[data])
