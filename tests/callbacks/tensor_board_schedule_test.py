import builtins
import copy

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import (
    EventAccumulator,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util import tensor_util

from keras_stn.callbacks import ScheduleLogger
from keras_stn.callbacks import TensorBoardSchedule
from keras_stn.callbacks import tensor_board_schedule
from keras_stn.schedules.records import read_records
from tests.callbacks.tuned_model import NAMES
from tests.callbacks.tuned_model import X
from tests.callbacks.tuned_model import Y
from tests.callbacks.tuned_model import fit
from tests.callbacks.tuned_model import make_model

TAGS = {
    *("tuning_loss", "entropy"),
    *(f"hyperparameters/{name}" for name in NAMES),
    *(f"scales/{name}" for name in NAMES),
}


def read_events(folder):
    accumulator = EventAccumulator(str(folder), {"tensors": 0})
    accumulator.Reload()
    return accumulator


def read_scalars(folder):
    """For each tag its steps and its values."""
    accumulator = read_events(folder)
    scalars = {}
    for tag in accumulator.Tags()["tensors"]:
        metadata = accumulator.SummaryMetadata(tag)
        if metadata.plugin_data.plugin_name == "scalars":
            events = accumulator.Tensors(tag)
            scalars[tag] = (
                [event.step for event in events],
                [
                    tensor_util.make_ndarray(event.tensor_proto).item()
                    for event in events
                ],
            )
    return scalars


def read_hparams(folder):
    """The HParams page's data, by their tag."""
    accumulator = read_events(folder)
    content = accumulator.PluginTagToContent("hparams")
    return {
        tag.removeprefix("_hparams_/"): HParamsPluginData.FromString(data)
        for tag, data in content.items()
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder, and the records of the run of which it shows a row a step."""
    folder = tmp_path_factory.mktemp("run")
    callbacks = [
        ScheduleLogger(folder / "schedule.csv", "batch"),
        TensorBoardSchedule(folder / "logs", "batch"),
        keras.callbacks.ModelCheckpoint(folder / "{epoch}.keras"),
    ]
    fit(make_model(), callbacks, warmup_epochs=1)
    return folder, read_records(folder / "schedule.csv")


def assert_shows(folder, records):
    """Asserts that the scalars in a folder are those of a schedule."""
    scalars = read_scalars(folder)
    assert scalars.keys() == TAGS
    for tag, (steps, values) in scalars.items():
        name = tag.removeprefix("hyperparameters/")
        if tag.startswith("scales/"):
            name = f"{tag.removeprefix('scales/')}_scale"
        is_number = np.isfinite(records[name])
        np.testing.assert_array_equal(steps, records["step"][is_number])
        np.testing.assert_array_equal(
            values, records[name][is_number].astype("float32"), tag
        )


def test_scalars_are_those_of_the_schedule(run):
    folder, records = run
    assert len(records["step"]) == 7
    assert_shows(folder / "logs", records)


def test_hparams_page_has_the_start_and_the_latest_values(run):
    folder, records = run
    hparams = read_hparams(folder / "logs")
    start = hparams["session_start_info"].session_start_info
    assert start.hparams.keys() == set(NAMES)
    for name in NAMES:
        number = start.hparams[name].number_value
        assert np.float32(number) == np.float32(records[name][0])
    experiment = hparams["experiment"].experiment
    assert [info.name for info in experiment.hparam_infos] == NAMES
    metrics = [info.name.tag for info in experiment.metric_infos]
    assert metrics == [
        *(f"hyperparameters/{name}" for name in NAMES),
        *("tuning_loss", "epoch_loss"),
    ]
    assert hparams["session_end_info"].session_end_info.end_time_secs


def test_a_resumed_run_goes_on_without_doubled_steps(run, tmp_path):
    folder, _ = run
    logs, path = tmp_path / "logs", tmp_path / "schedule.csv"
    # A run of two epochs is killed; the model of the first one goes on.
    fit(make_model(), [TensorBoardSchedule(logs, "batch")])
    start = read_hparams(logs)["session_start_info"]
    fit(make_model(), [ScheduleLogger(path, freq="batch")], epochs=1)
    model = keras.models.load_model(folder / "1.keras")
    schedule = TensorBoardSchedule(logs, "batch")
    fit(model, [ScheduleLogger(path, freq="batch"), schedule], initial_epoch=1)
    steps, values = read_scalars(logs)["hyperparameters/rate"]
    assert steps == [0, 2, 4, 6, 8, 10, 12]
    assert np.float32(model.hyperparameter_values()["rate"]) == values[-1]
    hparams = read_hparams(logs)
    assert hparams["session_start_info"] == start


def test_epochs_have_a_point_each_beside_kerass_own(tmp_path):
    schedule = TensorBoardSchedule(tmp_path)
    assert schedule.async_safe
    both = [schedule, keras.callbacks.TensorBoard(tmp_path)]
    fit(make_model(), both)
    steps, _ = read_scalars(tmp_path)["hyperparameters/rate"]
    assert steps == [0, 6, 12]
    assert "epoch_loss" in read_scalars(tmp_path / "validation")


def test_a_callback_is_copied_before_training(tmp_path):
    copied = copy.deepcopy(TensorBoardSchedule(tmp_path, 7))
    assert (copied.log_dir, copied.update_freq) == (str(tmp_path), 7)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tensorboard_is_told(monkeypatch):
    def fail(name, *args, **kwargs):
        if name.startswith("tensorboard"):
            raise ImportError(f"No module named {name!r}")
        return imported(name, *args, **kwargs)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", fail)
    tensor_board_schedule.import_tensorboard.cache_clear()
    with pytest.raises(ImportError, match=r"keras_stn\[logging\]"):
        TensorBoardSchedule("logs")


def test_a_model_without_hyperparameters_is_refused(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="`TensorBoardSchedule`.*Received"):
        model.fit(X, Y, callbacks=[TensorBoardSchedule(tmp_path)], verbose=0)
