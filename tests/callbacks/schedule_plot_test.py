import copy
import io
import os
import pathlib
import sys
import xml.etree.ElementTree

import keras
import numpy as np
import pytest
from PIL import Image

import keras_stn as stn
from keras_stn.callbacks import schedule_plot
from keras_stn.plotting import picture_file
from tests.plotting.samples import make_columns
from tests.plotting.samples import write

X, Y = np.ones((8, 2)), np.ones((8, 1))


def make_model():
    model = stn.SelfTuningModel(
        keras.Sequential(
            [
                keras.Input((2,)),
                stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, default=0.3)),
                stn.layers.HyperDense(1),
            ]
        )
    )
    model.compile("sgd", loss="mse")
    return model


def fit(model, *callbacks, **kwargs):
    arguments = {"validation_split": 0.5, "verbose": 0, **kwargs}
    return model.fit(X, Y, callbacks=list(callbacks), **arguments)


class Train:
    """Calls a callback as `fit` does, but for the training."""

    def __init__(self, callback, model=None):
        self.callback = callback
        callback.set_model(model or keras.Model())

    def __call__(self, *epochs, each=lambda epoch: None):
        self.callback.on_train_begin()
        for epoch in epochs:
            self.callback.on_epoch_begin(epoch)
            self.callback.on_epoch_end(
                epoch, {"rate": 0.1 * epoch, "rate_scale": 0.5, "loss": 1.0}
            )
            each(epoch)
        self.callback.on_train_end()


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, in the place of their drawing."""
    drawn = []
    monkeypatch.setattr(
        picture_file.PictureFile, "show", lambda self, f: drawn.append(f)
    )
    return drawn


def rates(figure):
    """The times and values of the hyperparameter."""
    (line,) = figure.axes[-1].lines
    return line.get_xdata().tolist(), line.get_ydata().tolist()


def test_every_epoch_has_its_picture_which_begins_at_the_start(
    tmp_path, figures
):
    model = make_model()
    plot = stn.callbacks.SchedulePlot(tmp_path / "a.png", freq=1)
    history = fit(model, plot, epochs=3)
    assert len(figures) == 3
    for epochs, figure in enumerate(figures, 1):
        times, values = rates(figure)
        assert times == list(range(epochs + 1))
        expected = [0.3, *history.history["rate"][:epochs]]
        assert values == pytest.approx(expected)
        losses = [line.get_label() for line in figure.axes[0].lines]
        assert losses == ["loss", "tuning_loss", "val_loss"]
        assert figure.axes[-1].collections


def test_a_second_fit_goes_on_and_a_repeated_one_begins_anew(tmp_path, figures):
    train = Train(
        stn.callbacks.SchedulePlot(tmp_path / "a.png", freq=1), make_model()
    )
    train(0, 1)
    train(2, 3)
    assert rates(figures[-1])[0] == [0, 1, 2, 3, 4]
    # The model was taken back to the end of the second epoch.
    train(2)
    assert rates(figures[-1])[0] == [0, 1, 2, 3]
    train(0)
    assert rates(figures[-1])[0] == [0, 1]


def test_a_resumed_training_begins_where_it_is(tmp_path, figures):
    plot = stn.callbacks.SchedulePlot(tmp_path / "a.png", freq=1)
    Train(plot, make_model())(7, 8)
    assert rates(figures[-1])[0] == [7, 8, 9]


def test_a_number_draws_every_so_many_epochs_and_the_end(tmp_path, figures):
    plot = stn.callbacks.SchedulePlot(tmp_path / "a.png", freq=3)
    Train(plot, make_model())(*range(7))
    assert [rates(figure)[0][-1] for figure in figures] == [3, 6, 7]


def test_drawing_takes_at_most_a_twentieth_of_the_time(tmp_path, monkeypatch):
    now, drawn = [0.0], []

    def draw(self, figure):
        drawn.append(now[0])
        now[0] += 2.0

    def wait(epoch):
        now[0] += 10.0

    monkeypatch.setattr(picture_file.PictureFile, "show", draw)
    monkeypatch.setattr(schedule_plot.time, "perf_counter", lambda: now[0])
    Train(stn.callbacks.SchedulePlot(tmp_path / "a.png"), make_model())(
        *range(10), each=wait
    )
    # At once, 38 seconds after the first drawing, later, and at the end.
    assert drawn == [0.0, 42.0, 84.0, 106.0]
    assert 2.0 * 2 <= 0.05 * drawn[2]


def test_source_is_drawn_in_the_place_of_the_logs(tmp_path, figures):
    path = write(tmp_path / "schedule.csv", make_columns(["dropout"]))
    plot = stn.callbacks.SchedulePlot(
        tmp_path / "a.png", freq=1, source=path, metrics=["entropy"]
    )
    # Another model than a self-tuning one may have a schedule as well.
    Train(plot)(0)
    (axes, lowest) = figures[0].axes
    assert axes.get_title(loc="left") == "Metrics"
    assert len(rates(figures[0])[0]) == 40
    assert lowest.get_xlabel() == "weight updates"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_viewer_always_finds_a_whole_picture(tmp_path, monkeypatch, suffix):
    path = tmp_path / "new" / f"schedule{suffix}"
    replaced = []

    def replace(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)
        check(source)
        replaced.append(target)
        os.rename(source, target)

    def check(file):
        content = pathlib.Path(file).read_bytes()
        if suffix == ".png":
            Image.open(io.BytesIO(content)).load()
        elif suffix == ".svg":
            xml.etree.ElementTree.fromstring(content)
        else:
            assert content.startswith(b"%PDF")
            assert content.rstrip().endswith(b"%%EOF")

    def see(epoch):
        check(path)
        assert os.listdir(path.parent) == [path.name]

    monkeypatch.setattr(picture_file.os, "replace", replace)
    plot = stn.callbacks.SchedulePlot(path, freq=1)
    Train(plot, make_model())(0, 1, each=see)
    assert replaced == [path, path]


def test_a_full_disk_warns_once_and_leaves_the_last_picture(
    tmp_path, monkeypatch
):
    path = tmp_path / "schedule.svg"
    path.write_text("the last one")

    def replace(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_file.os, "replace", replace)
    train = Train(stn.callbacks.SchedulePlot(path, freq=1), make_model())
    with pytest.warns(UserWarning, match="No space left") as warned:
        train(0, 1)
    assert len(warned) == 1
    assert path.read_text() == "the last one"
    assert os.listdir(tmp_path) == ["schedule.svg"]


def test_it_can_be_copied_before_training(tmp_path, figures):
    plot = stn.callbacks.SchedulePlot(tmp_path / "a.png", freq=1)
    twin = copy.deepcopy(plot)
    Train(plot, make_model())(0, 1)
    Train(twin, make_model())(0)
    assert [len(rates(figure)[0]) for figure in figures] == [2, 3, 2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"path": "a.gif"}, r"`path` must.*'.png'.*Received: path='a.gif'"),
        ({"path": "a"}, r"`path` must be a file.*Received: path='a'"),
        ({"path": "a.png", "freq": 0}, "`freq` must.*Received: freq=0"),
        ({"path": "a.png", "freq": "batch"}, "`freq` must.*freq='batch'"),
        ({"path": "a.png", "freq": True}, "`freq` must.*freq=True"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        stn.callbacks.SchedulePlot(**arguments)


def test_a_folder_that_cannot_be_made_stops_training_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    plot = stn.callbacks.SchedulePlot(tmp_path / "file" / "a.png")
    with pytest.raises(OSError, match="Give the callback a path in a folder"):
        Train(plot, make_model())(0)


def test_a_model_without_hyperparameters_gets_a_sentence(tmp_path):
    plot = stn.callbacks.SchedulePlot(tmp_path / "a.png")
    with pytest.raises(ValueError, match="SelfTuningModel.*`Model`"):
        Train(plot)(0)


def test_a_source_that_nothing_writes_stops_training_at_once(tmp_path):
    plot = stn.callbacks.SchedulePlot(
        tmp_path / "a.png", source=tmp_path / "schedule.csv"
    )
    with pytest.raises(FileNotFoundError, match="ScheduleLogger.*before"):
        Train(plot, make_model())(0)


def test_missing_libraries_get_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError, match="Pass a `path`"):
        stn.callbacks.SchedulePlot()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"keras_stn\[plot\]"):
        stn.callbacks.SchedulePlot("a.png")
