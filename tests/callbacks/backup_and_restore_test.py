import functools
import json
import os
import pathlib
import random
import resource
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
    "ignore:Your input ran out of data",
    # As in setup.cfg, where `pytest.warns` does not find it.
    "ignore:__array__ implementation:DeprecationWarning",
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
    "warm_up": lambda: {**arrays(), "warmup_epochs": 1},
    "later_start": lambda: {**arrays(), "initial_epoch": 1, "epochs": 3},
}


# Those of the ordinary suite.
QUICK = ("arrays", "py_dataset")


def make_tiny_model(stateful=False, preset="auto", **kwargs):
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
    model = stn.SelfTuningModel(network, groups=1, preset=preset)
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
        **kwargs,
        **data(),
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


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(kind, marks=[] if kind in QUICK else [pytest.mark.slow])
        for kind in DATA
    ],
)
def test_every_kind_of_data_is_resumed_within_an_epoch(tmp_path, data):
    assert_resumes(tmp_path, 1, 1, data=DATA[data], epochs=2, warmup_epochs=0)


# Without an optimizer of the user's the default plans its learning rate.
@pytest.mark.parametrize("preset", ["auto", "paper"])
@pytest.mark.parametrize("data", ["arrays", "dataset"])
def test_data_are_resumed_after_an_epoch(tmp_path, data, preset):
    make_model = functools.partial(
        make_tiny_model, preset=preset, hyper_optimizer=None
    )
    options = {"save_freq": "epoch"}
    assert_resumes(
        tmp_path, 1, 0, make_model=make_model, data=DATA[data], options=options
    )


def test_executions_of_several_steps_are_resumed(tmp_path):
    make_model = functools.partial(make_tiny_model, steps_per_execution=2)
    assert_resumes(
        tmp_path, 1, 3, make_model=make_model, data=lambda: arrays(30), epochs=2
    )


def test_carried_states_are_resumed(tmp_path):
    make_model = functools.partial(make_tiny_model, stateful=True)
    assert_resumes(
        tmp_path,
        *(1, 1),
        make_model=make_model,
        data=lambda: {**arrays(), "x": X[:15, :2]},
        validation_data=(X_VAL[:10, :2], Y_VAL[:10]),
        shuffle=False,
        epochs=2,
    )


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [True, False])
def test_compiled_steps_are_resumed(tmp_path, jit_compile):
    make_model = functools.partial(
        make_tiny_model, run_eagerly=False, jit_compile=jit_compile
    )
    assert_resumes(tmp_path, 2, 1, make_model=make_model)


@keras.saving.register_keras_serializable(package="backup_test")
class Unseeded(keras.layers.Layer):
    """Noise from Keras's global seed generator."""

    def call(self, inputs, training=False):
        noise = keras.random.normal(keras.ops.shape(inputs))
        return inputs + noise if training else inputs


def make_awkward_model():
    """Averages of weights, losses that are scaled, a global seed."""
    model = make_tiny_model()
    network = keras.Sequential([model.network, Unseeded()])
    model = stn.SelfTuningModel(network, groups=1)
    optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5)
    model.compile(
        keras.optimizers.LossScaleOptimizer(optimizer),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        hyper_optimizer=keras.optimizers.SGD(
            keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        ),
        run_eagerly=True,
    )
    return model


@pytest.mark.slow
def test_averages_loss_scale_and_global_seed_are_resumed(tmp_path):
    assert_resumes(tmp_path, 1, 0, make_model=make_awkward_model, epochs=2)


class Stop(keras.callbacks.Callback):
    """Ends the training within an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = True


class CrashAtTheEnd(keras.callbacks.Callback):
    def on_train_end(self, logs=None):
        raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("stop", [False, True])
def test_a_run_is_resumed_after_its_last_epoch(tmp_path, stop):
    def callbacks():
        best = keras.callbacks.EarlyStopping(
            "loss", patience=9, mode="max", restore_best_weights=True
        )
        return [best, Remember(), *([Stop()] if stop else [])]

    kwargs = {"options": {"save_freq": "epoch"}, "epochs": 2}
    with pytest.raises(InterruptedError):
        train(tmp_path, *callbacks(), CrashAtTheEnd(), **kwargs)
    run = train(tmp_path, *callbacks(), **kwargs)
    whole = train(tmp_path, *callbacks(), **kwargs)
    assert len(whole[1].epoch) == 2 - stop
    assert_equal(run, whole)
    # A further call of `fit` begins at its own first epoch.
    again = run[0].fit(**arrays(), verbose=0, validation_data=(X, Y))
    assert again.epoch == [0]


def test_callbacks_remember_what_they_saw(tmp_path):
    before, after, whole = Remember(), Remember(), Remember()
    options = {"save_freq": 2}
    interrupt(tmp_path, 1, 1, callbacks=[before], options=options)
    assert before.losses.keys() == {(0, 0), (0, 1), (1, 0)}
    resume(tmp_path, [after], options=options)
    train(tmp_path, whole)
    assert after.losses == whole.losses
    assert after.best == whole.best
    assert after.sums.dtype == "float32"
    np.testing.assert_array_equal(after.sums, whole.sums)


@pytest.mark.slow
def test_a_callback_that_is_missing_is_told_of(tmp_path):
    interrupt(tmp_path, 1, 1, callbacks=[Remember()])
    with pytest.warns(UserWarning, match="no .*Remember 1"):
        resume(tmp_path)


@pytest.mark.slow
def test_arguments_of_callbacks_may_be_changed(tmp_path):
    def stopping(patience):
        return keras.callbacks.EarlyStopping("loss", 0.1, patience)

    first, second = stopping(5), stopping(7)
    interrupt(tmp_path, 2, 0, callbacks=[first])
    resume(tmp_path, [second])
    assert second.patience == 7
    # Keras turns its sign once it knows that losses are to fall.
    assert second.min_delta == first.min_delta == -0.1


@pytest.mark.slow
def test_checkpoints_can_be_kept(tmp_path):
    options = {"delete_checkpoint": False, "save_freq": 2}
    first = train(tmp_path, options=options)
    second = train(tmp_path, Stop(), options=options)
    assert_equal(second, first)
    more = train(tmp_path, options=options, epochs=4)
    assert more[1].epoch == [0, 1, 2, 3]


def test_only_checkpoints_are_deleted(tmp_path):
    (tmp_path / "backup").mkdir()
    for name in ("notes.txt", "unfinished_1.npz"):
        (tmp_path / "backup" / name).touch()
    train(tmp_path, epochs=1)
    assert os.listdir(tmp_path / "backup") == ["notes.txt"]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("kwargs", "difference"),
    [
        (
            {"make_model": lambda: make_tiny_model(optimizer="adam")},
            "sgd/iteration.* in the checkpoint, 'adam",
        ),
        ({"warmup_epochs": 2}, "warmup_epochs=1 in the checkpoint, 2 now"),
        (
            {"data": lambda: arrays(30)},
            "steps_per_epoch=2 in the checkpoint, 3 now",
        ),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(
    tmp_path, kwargs, difference
):
    interrupt(tmp_path, 1, 1)
    before = contents(tmp_path / "backup")
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    with pytest.raises(ValueError, match=f"delete that one.*{difference}"):
        train(tmp_path, log, **kwargs)
    assert contents(tmp_path / "backup") == before
    assert not (tmp_path / "log.csv").exists()


def test_fewer_data_of_unknown_length_are_refused(tmp_path):
    def data(batches):
        unknown = dataset().take(batches).filter(lambda x, y: True)
        return lambda: {"x": unknown}

    interrupt(tmp_path, 2, 0, data=data(3))
    before = contents(tmp_path / "backup")
    with pytest.raises(
        ValueError, match=r"epochs of \[1\] steps .* of \[2\] steps"
    ):
        train(tmp_path, data=data(2))
    assert contents(tmp_path / "backup") == before


def test_another_order_of_the_data_is_told(tmp_path):
    interrupt(tmp_path, 1, 1)
    with pytest.warns(UserWarning, match="set_random_seed"):
        train(tmp_path, Crash(), data=lambda: {**arrays(), "x": X[15:30]})


@pytest.mark.slow
def test_an_interrupted_reading_leaves_nothing_behind(tmp_path, monkeypatch):
    interrupt(tmp_path, 2, 1)
    model = make_tiny_model()
    arguments = {**arrays(), "verbose": 0, "validation_data": (X, Y)}

    def fail(*args):
        raise InterruptedError

    monkeypatch.setattr("keras_stn.backend.read_out", fail)
    backup = stn.callbacks.BackupAndRestore(tmp_path / "backup", 1)
    with pytest.raises(InterruptedError):
        model.fit(**arguments, epochs=3, warmup_epochs=1, callbacks=[backup])
    assert model.fit(**arguments).history["loss"][0] > 0
    assert model.evaluate(X, Y, verbose=0)[0] > 0


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path):
    interrupt(tmp_path, 2, 1)
    latest = tmp_path / "backup" / "checkpoint.npz"
    os.truncate(latest, latest.stat().st_size // 2)
    with pytest.warns(UserWarning, match="The latest checkpoint is damaged"):
        run = resume(tmp_path)
    assert_equal(run, train(tmp_path))


def test_damaged_checkpoints_are_refused(tmp_path):
    interrupt(tmp_path, 1, 1)
    for path in (tmp_path / "backup").iterdir():
        content = bytearray(path.read_bytes())
        # More than there is between two arrays, where it would do no damage.
        for place in range(len(content) // 2, len(content) // 2 + 500):
            content[place] ^= 1
        path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged and there is no other"):
        train(tmp_path)


class Call(keras.callbacks.Callback):
    """Calls a function when an epoch begins."""

    def __init__(self, epoch, function):
        super().__init__()
        self.epoch, self.function = epoch, function

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.function()


def test_training_goes_on_when_no_more_can_be_written(tmp_path):
    whole = train(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    fill = Call(
        1,
        lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1])),
    )
    try:
        with pytest.warns(UserWarning, match="could not be saved") as warned:
            interrupt(tmp_path, 2, 1, callbacks=[fill])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # Each failure is told of.
    messages = {str(warning.message) for warning in warned}
    assert sum("could not be saved" in message for message in messages) == 3
    files = ["checkpoint.npz", "checkpoint_previous.npz"]
    assert sorted(os.listdir(tmp_path / "backup")) == files
    assert_equal(resume(tmp_path), whole)


def test_a_folder_that_cannot_be_made_is_refused_at_the_start(tmp_path):
    (tmp_path / "backup").touch()
    with pytest.raises(OSError, match="`backup_dir` cannot be written to"):
        train(tmp_path, Crash(0, 0))


def test_two_of_them_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Pass one `BackupAndRestore`"):
        train(tmp_path, stn.callbacks.BackupAndRestore(tmp_path))


def test_other_models_are_told_of_the_callback_of_keras(tmp_path):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    backup = stn.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(ValueError, match="keras.callbacks.BackupAndRestore"):
        model.fit(X[:, 0], Y, callbacks=[backup], verbose=0)


@pytest.mark.parametrize("save_freq", [0, -1, True, False, 1.5, "batch"])
def test_a_save_freq_that_is_no_number_of_steps_is_refused(save_freq):
    with pytest.raises(ValueError, match="`save_freq` must be"):
        stn.callbacks.BackupAndRestore("backup", save_freq)


def test_a_folder_without_name_is_refused():
    with pytest.raises(ValueError, match="`backup_dir` must name a folder"):
        stn.callbacks.BackupAndRestore("")


def run_killed(folder, save_freq, epochs, devices, kills):
    """Trains in processes that are killed; returns two runs' results."""
    arguments = [save_freq, epochs, devices]
    process = subprocess.run(
        [
            *(sys.executable, "-m", backup_program.__name__, folder),
            *map(json.dumps, arguments),
            *kills,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr[-3000:]
    runs = []
    for name in ("whole", "killed"):
        with np.load(folder / name / "results.npz") as file:
            runs.append(dict(file))
        assert not (folder / name / "backup").exists()
    return runs


def assert_same_files(folder):
    """Compares what the callbacks have written."""
    whole, killed = folder / "whole", folder / "killed"
    assert (whole / "log.csv").read_text() == (killed / "log.csv").read_text()
    assert backup_program.schedule(
        whole / "schedule.csv"
    ) == backup_program.schedule(killed / "schedule.csv")


def assert_killed_run_is_whole(folder, save_freq, epochs, kills, devices=1):
    whole, killed = run_killed(folder, save_freq, epochs, devices, kills)
    assert whole.keys() == killed.keys()
    for name, array in whole.items():
        assert array.tobytes() == killed[name].tobytes(), (name, kills)
    assert_same_files(folder)


KINDS = ["begin", "end", "test", "epoch", "write", "rename", "renamed", "after"]


def test_a_killed_process_goes_on_to_the_same_end(tmp_path):
    # Another one at every run; a failure tells it.
    rng = random.Random()
    kinds = ["write", rng.choice(KINDS)]
    kills = [f"{kind}:{rng.randint(1, 2)}" for kind in kinds]
    assert_killed_run_is_whole(tmp_path, 3, 8, kills)


@pytest.mark.slow
@pytest.mark.parametrize("save_freq", ["epoch", 1, 3])
def test_a_process_killed_anywhere_goes_on_to_the_same_end(tmp_path, save_freq):
    rng = random.Random(str(save_freq))
    kills = [f"{rng.choice(KINDS)}:{rng.randint(1, 3)}" for _ in range(8)]
    assert_killed_run_is_whole(tmp_path, save_freq, 30, kills)


@pytest.mark.slow
def test_a_process_killed_at_any_time_goes_on_to_the_same_end(tmp_path):
    rng = random.Random(0)
    kills = [f"time:{rng.uniform(1, 8):.3f}" for _ in range(8)]
    assert_killed_run_is_whole(tmp_path, 2, 400, kills)


@pytest.mark.slow
def test_two_devices_go_on_to_the_same_end(tmp_path):
    assert_killed_run_is_whole(tmp_path, 3, 3, ["end:5", "after:1"], devices=2)
