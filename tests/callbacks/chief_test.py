"""Of several workers that train together, one writes."""

import os

import pytest

import keras_stn as stn
from keras_stn import backend
from tests.callbacks.tuned_model import fit
from tests.callbacks.tuned_model import make_model


@pytest.mark.parametrize("is_chief", [True, False])
def test_the_chief_alone_writes_files(tmp_path, monkeypatch, is_chief):
    monkeypatch.setattr(backend, "is_chief", lambda strategy: is_chief)
    schedule = tmp_path / "schedule.csv"
    callbacks = [
        stn.callbacks.ScheduleLogger(schedule, "batch"),
        stn.callbacks.TensorBoardSchedule(tmp_path / "events", "batch"),
        stn.callbacks.SchedulePlot(tmp_path / "logs.svg"),
        stn.callbacks.SchedulePlot(tmp_path / "rows.svg", source=schedule),
    ]
    fit(make_model(), callbacks=callbacks)
    names = {"schedule.csv", "events", "logs.svg", "rows.svg"}
    assert set(os.listdir(tmp_path)) == (names if is_chief else set())
