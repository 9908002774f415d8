import copy
import csv
import json
import math
import time

import keras
import numpy as np
import pytest

from keras_stn.callbacks import ScheduleLogger
from keras_stn.schedules.records import hyperparameter_names
from keras_stn.schedules.records import read_records
from tests.callbacks.tuned_model import CYCLES
from tests.callbacks.tuned_model import NAMES
from tests.callbacks.tuned_model import UPDATES
from tests.callbacks.tuned_model import X
from tests.callbacks.tuned_model import Y
from tests.callbacks.tuned_model import fit
from tests.callbacks.tuned_model import make_model

EPOCH = CYCLES * UPDATES


class Recorder(keras.callbacks.Callback):
    """Keeps what the model and the logs say at the start and after a step."""

    def on_train_begin(self, logs=None):
        self.logs, self.rows = [], []
        self.keep({})

    def on_train_batch_end(self, batch, logs=None):
        self.keep(logs)

    def on_epoch_end(self, epoch, logs=None):
        self.logs[-1] = dict(logs)

    def keep(self, logs):
        space = self.model.hyperparameters
        value, below, above = (
            space.sample(noise=np.full((1, len(space)), n, "float32"))
            for n in (0, -1, 1)
        )
        row = {"entropy": space.entropy()}
        for name, scale in zip(space.names, space.scale):
            ends = below[name][0], above[name][0]
            row[name] = value[name][0]
            row[f"{name}_scale"] = scale
            row[f"{name}_lower"] = min(ends)
            row[f"{name}_upper"] = max(ends)
        assert row.keys() >= self.model.hyperparameter_values().keys()
        for name, number in self.model.hyperparameter_values().items():
            assert row[name] == number
        self.rows.append({k: np.float32(v) for k, v in row.items()})
        self.logs.append(dict(logs))


def steps(path):
    return read_records(path)["step"].tolist()


def cells(path):
    """The rows as strings, without what differs between two runs."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["wall_time"]
    return rows


@pytest.fixture(scope="module")
def run_of_both(tmp_path_factory):
    """A run with a row a step, the first epoch of it a warm-up."""
    folder = tmp_path_factory.mktemp("run")
    paths = {kind: folder / f"schedule{kind}" for kind in (".csv", ".jsonl")}
    loggers = [ScheduleLogger(path, freq="batch") for path in paths.values()]
    model, recorder = make_model(run_eagerly=False), Recorder()
    start = time.time()
    fit(model, [*loggers, recorder], warmup_epochs=1)
    return paths, recorder, (start, time.time())


@pytest.fixture(params=[".csv", ".jsonl"])
def run(request, run_of_both):
    """What the run wrote of one kind, and when."""
    paths, recorder, times = run_of_both
    return paths[request.param], recorder, times


def test_a_row_a_step_tells_step_epoch_and_time(run):
    path, _, (start, end) = run
    records = read_records(path)
    expected = UPDATES * np.arange(2 * CYCLES + 1)
    np.testing.assert_array_equal(records["step"], expected)
    epochs = [0, *[0] * CYCLES, *[1] * CYCLES]
    np.testing.assert_array_equal(records["epoch"], epochs)
    assert (np.diff(records["wall_time"]) >= 0).all()
    assert start - 0.01 < records["wall_time"][0]
    assert records["wall_time"][-1] < end + 0.01


def test_columns_stand_in_order(run):
    path, _, _ = run
    records = read_records(path)
    assert hyperparameter_names(records) == NAMES
    endings = ("", "_scale", "_lower", "_upper")
    assert list(records) == [
        *("step", "epoch", "wall_time", "loss", "mae", "tuning_loss"),
        *("skipped_tuning_steps", "val_loss", "val_mae", "entropy"),
        *(f"{name}{ending}" for name in NAMES for ending in endings),
    ]


def test_values_are_those_of_the_model_bit_for_bit(run):
    path, recorder, _ = run
    records = read_records(path)
    assert recorder.rows[0]["rate"] != recorder.rows[-1]["rate"]
    for name in recorder.rows[0]:
        np.testing.assert_array_equal(
            records[name].astype("float32"),
            [row[name] for row in recorder.rows],
            err_msg=name,
        )


def test_the_band_lies_around_the_value(run):
    records = read_records(run[0])
    for name in NAMES:
        assert (records[f"{name}_lower"] <= records[name]).all()
        assert (records[name] <= records[f"{name}_upper"]).all()
        assert (records[f"{name}_lower"] < records[f"{name}_upper"]).all()


def test_losses_are_those_of_the_logs(run):
    path, recorder, _ = run
    records = read_records(path)
    for name in ("loss", "mae", "val_loss", "val_mae", "tuning_loss"):
        np.testing.assert_array_equal(
            records[name].astype("float32"),
            [np.float32(logs.get(name, np.nan)) for logs in recorder.logs],
            err_msg=name,
        )
    has_loss = np.isfinite(records["loss"])
    np.testing.assert_array_equal(has_loss, [False] + [True] * 2 * CYCLES)
    is_tuned = np.isfinite(records["tuning_loss"])
    warmup = 1 + CYCLES
    np.testing.assert_array_equal(is_tuned, [False] * warmup + [True] * CYCLES)
    validated = np.flatnonzero(np.isfinite(records["val_loss"]))
    np.testing.assert_array_equal(validated, [CYCLES, 2 * CYCLES])


def test_numbers_are_short_and_integers_are_integers(run):
    path, _, _ = run
    text = path.read_text()
    assert text.endswith("\n")
    if path.suffix == ".csv":
        row = next(csv.DictReader(text.splitlines()))
        assert row["loss"] == row["tuning_loss"] == ""
    else:
        row = json.loads(text.splitlines()[0], parse_float=str, parse_int=str)
        assert row["loss"] is row["tuning_loss"] is None
        assert "NaN" not in text
    assert row["step"] == row["epoch"] == "0"
    assert (row["count_lower"], row["count"], row["count_upper"]) == tuple(
        "024"
    )
    assert row["rate_scale"] == "1.5"


def test_epochs_have_a_row_each_and_what_callbacks_before_add(tmp_path):
    path = tmp_path / "schedule.csv"
    decay = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    logger = ScheduleLogger(path)
    assert logger.async_safe
    # An older file gives way to a model that has not been trained.
    path.write_text("something else\n1\n")
    history = fit(make_model(), [decay, logger], validation_freq=2).history
    records = read_records(path)
    np.testing.assert_array_equal(records["step"], [0, EPOCH, 2 * EPOCH])
    np.testing.assert_array_equal(records["epoch"], [0, 0, 1])
    for name in ("loss", "learning_rate"):
        np.testing.assert_array_equal(
            records[name].astype("float32"), [np.nan, *history[name]]
        )
    validated = np.isfinite(records["val_loss"])
    np.testing.assert_array_equal(validated, [False, False, True])
    assert [file.name for file in tmp_path.iterdir()] == ["schedule.csv"]


class Extra(keras.callbacks.Callback):
    """Adds to the logs what callbacks may add."""

    def on_epoch_end(self, epoch, logs=None):
        logs["tensor"] = keras.ops.convert_to_tensor(0.1)
        logs["exact"] = 0.1 + 0.2
        logs["integer"] = 3
        logs["infinite"] = math.inf
        logs.update(text="text", nothing=None, vector=np.ones(2), step=-1)


def test_entries_of_the_logs_that_are_no_number_are_left_out(tmp_path):
    path = tmp_path / "schedule.csv"
    fit(make_model(), [Extra(), ScheduleLogger(path)], epochs=1)
    records = read_records(path)
    assert np.float32(records["tensor"][1]) == np.float32(0.1)
    assert records["exact"][1] == 0.1 + 0.2
    assert records["integer"][1] == 3
    assert np.isnan(records["infinite"]).all()
    assert records["step"].tolist() == [0, EPOCH]
    assert not {"text", "nothing", "vector"} & records.keys()


def test_every_nth_step_counts_from_the_start_of_an_epoch(tmp_path):
    path = tmp_path / "schedule.csv"
    fit(
        make_model(),
        [ScheduleLogger(path, 2)],
        validation_data=None,
        tuning_data=(X, Y),
    )
    np.testing.assert_array_equal(
        read_records(path)["step"], [0, 4, 6, 6 + 4, 12]
    )
    assert "val_loss" not in read_records(path)


def test_executions_of_several_steps_have_one_row(tmp_path):
    path = tmp_path / "schedule.csv"
    model = make_model(steps_per_execution=2, run_eagerly=False)
    fit(model, [ScheduleLogger(path, freq="batch")])
    assert steps(path) == [0, 4, 6, 10, 12]


@pytest.fixture(scope="module")
def two_epochs(tmp_path_factory):
    """Weights after an epoch, and the file of two uninterrupted ones."""
    folder = tmp_path_factory.mktemp("two_epochs")
    path, weights = folder / "schedule.csv", folder / "model.weights.h5"
    save = keras.callbacks.ModelCheckpoint(
        folder / "{epoch}.weights.h5", save_weights_only=True
    )
    fit(make_model(), [ScheduleLogger(path, freq="batch"), save])
    (folder / "1.weights.h5").rename(weights)
    return path, weights


class Restore(keras.callbacks.Callback):
    """Restores weights when training begins, as `BackupAndRestore` does."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_train_begin(self, logs=None):
        self.model.optimizer.build(self.model.trainable_variables)
        self.model.load_weights(self.path)


def resume(two_epochs, path, model=None):
    callbacks = [ScheduleLogger(path, freq="batch"), Restore(two_epochs[1])]
    fit(model or make_model(), callbacks, initial_epoch=1)


def test_resuming_drops_later_rows_and_a_torn_one(two_epochs, tmp_path):
    path = tmp_path / "schedule.csv"
    text = two_epochs[0].read_text()
    lines = text.splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:17])
    resume(two_epochs, path)
    before, after = cells(two_epochs[0]), cells(path)
    assert steps(path) == steps(two_epochs[0])
    assert after[0].keys() == before[0].keys()
    # The first epoch's rows are untouched, the second's are new.
    assert after[: CYCLES + 1] == before[: CYCLES + 1]
    times = read_records(path)["wall_time"]
    old_times = read_records(two_epochs[0])["wall_time"]
    np.testing.assert_array_equal(times == old_times, [True] * 4 + [False] * 3)


def test_resuming_without_a_file_starts_at_the_step(two_epochs, tmp_path):
    path = tmp_path / "folder" / "schedule.jsonl"
    resume(two_epochs, path)
    assert steps(path) == [6, 8, 10, 12]
    records = read_records(path)
    old = read_records(two_epochs[0])
    assert np.isnan(records["loss"][0])
    assert records["rate"][0] == old["rate"][CYCLES]


def test_a_torn_row_of_the_step_is_written_anew(two_epochs, tmp_path):
    path = tmp_path / "schedule.csv"
    lines = two_epochs[0].read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: CYCLES + 1]) + "6,0,")
    resume(two_epochs, path)
    assert steps(path) == steps(two_epochs[0])
    records = read_records(path)
    assert np.isnan(records["loss"][CYCLES])
    assert np.isfinite(records["val_loss"][-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,epoch,other,other_scale\n0,0,0.5,0.5\n", "another model"),
        ("a,b\n1,2\n", "not a schedule"),
        ("step,b\n1,2,3\n", "not a schedule"),
    ],
)
def test_resuming_with_a_foreign_file_is_refused(
    two_epochs, tmp_path, text, message
):
    path = tmp_path / "schedule.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        resume(two_epochs, path)
    assert path.read_text() == text


def test_a_logger_is_copied_with_its_arguments(tmp_path):
    logger = ScheduleLogger(tmp_path / "schedule.csv", 7)
    copied = copy.deepcopy(logger)
    assert copied.path == logger.path
    assert copied.freq == 7
    fit(make_model(), [copied], epochs=1)
    assert steps(logger.path) == [0, EPOCH]
    copy.deepcopy(logger)


def test_a_full_disk_warns_once_and_later_rows_follow(tmp_path, monkeypatch):
    path = tmp_path / "schedule.csv"
    logger = ScheduleLogger(path, freq="batch")
    write = type(logger._file).write

    def fail_at_some(file, row):
        if row["step"] in (2, 4):
            with open(path, "ab") as stream:
                stream.write(b"half a r")
            raise OSError(28, "No space left on device")
        write(file, row)

    monkeypatch.setattr(type(logger._file), "write", fail_at_some)
    with pytest.warns(UserWarning, match="training goes on") as warned:
        fit(make_model(), [logger])
    assert len(warned) == 1
    assert steps(path) == [0, 6, 8, 10, 12]


def test_an_unknown_frequency_is_refused():
    with pytest.raises(ValueError, match="`freq`.*Received"):
        ScheduleLogger("schedule.csv", "step")


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'.csv' or '.jsonl'. Received"):
        ScheduleLogger("schedule.txt")
    (tmp_path / "file").write_text("")
    logger = ScheduleLogger(tmp_path / "file" / "schedule.csv")
    with pytest.raises(OSError, match="Received: path=.*schedule.csv"):
        fit(make_model(), [logger])


def test_a_model_without_hyperparameters_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="SelfTuningModel.*Received"):
        model.fit(X, Y, callbacks=[ScheduleLogger("a.csv")], verbose=0)


def test_a_metric_with_the_name_of_a_column_is_refused(tmp_path):
    metric = keras.metrics.MeanAbsoluteError(name="rate_lower")
    model = make_model(metrics=[metric])
    with pytest.raises(ValueError, match=r"Received twice: \['rate_lower'\]"):
        fit(model, [ScheduleLogger(tmp_path / "a.csv")])
