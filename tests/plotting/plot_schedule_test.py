import itertools
import math
import sys

import keras
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.text import Text

import keras_stn as stn
from tests.plotting.samples import DROPOUTS
from tests.plotting.samples import NAMES
from tests.plotting.samples import STRENGTHS
from tests.plotting.samples import make_columns
from tests.plotting.samples import write

COLUMNS = make_columns()


def panels(figure):
    """The panels of a figure by their titles."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


def labels(axes):
    return [text.get_text() for text in axes.texts]


def line(axes, name):
    (found,) = (li for li in axes.lines if li.get_label() == name)
    return found


def band(axes, name):
    """The lower and the upper ends of a band, by their times."""
    index = [li.get_label() for li in axes.lines].index(name)
    corners = axes.collections[index].get_paths()[0].vertices
    times = np.unique(corners[:, 0])
    at = [corners[corners[:, 0] == time, 1] for time in times]
    return [y.min() for y in at], [y.max() for y in at]


def column(values, scale=0.5, **more):
    return {"value": values, "value_scale": [scale] * len(values), **more}


def test_hyperparameters_of_a_kind_share_a_panel():
    found = panels(stn.plot_schedule(COLUMNS))
    names = {t: [li.get_label() for li in a.lines] for t, a in found.items()}
    assert names == {
        "Losses": ["loss", "val_loss"],
        "Dropout rates": DROPOUTS,
        "Strengths of augmentation": STRENGTHS,
        "Cutout: holes": ["cutout_holes"],
        "Cutout: side of a hole": ["cutout_length"],
    }
    assert [axes.get_ylabel() for axes in found.values()] == [
        *("loss", "dropped share", "strength", "holes", "pixels")
    ]


def test_panels_share_one_axis_of_weight_updates():
    *upper, lowest = stn.plot_schedule(COLUMNS).axes
    assert lowest.get_xlabel() == "weight updates"
    for axes in upper:
        assert axes.get_xlim() == lowest.get_xlim() == (0, 780)
        assert not axes.get_xlabel()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_lines_and_bands_are_the_columns_of_the_file(tmp_path, suffix):
    path = write(tmp_path / f"schedule{suffix}", COLUMNS)
    found = panels(stn.plot_schedule(path))
    for title, names in (
        ("Dropout rates", DROPOUTS),
        ("Strengths of augmentation", STRENGTHS),
    ):
        for name in names:
            drawn = line(found[title], name)
            np.testing.assert_allclose(drawn.get_xdata(), COLUMNS["step"])
            np.testing.assert_allclose(drawn.get_ydata(), COLUMNS[name])
            lower, upper = band(found[title], name)
            np.testing.assert_allclose(lower, COLUMNS[f"{name}_lower"])
            np.testing.assert_allclose(upper, COLUMNS[f"{name}_upper"])


def test_rows_without_a_number_are_left_out():
    losses = panels(stn.plot_schedule(COLUMNS))["Losses"]
    known = COLUMNS["epoch"][3::4] * 80 + 60
    np.testing.assert_array_equal(line(losses, "val_loss").get_xdata(), known)
    assert len(line(losses, "loss").get_xdata()) == len(COLUMNS["step"]) - 1


def test_labels_tell_the_first_and_the_last_value():
    found = panels(stn.plot_schedule(COLUMNS))
    assert labels(found["Cutout: holes"]) == ["cutout_holes  1 → 4"]
    assert labels(found["Dropout rates"])[0] == "dropout_conv_1  0.05 → 0.245"
    assert labels(found["Losses"]) == ["loss  1 → 0.05", "val_loss  1 → 1"]


@pytest.mark.parametrize("names", [NAMES, [f"value_{i}" for i in range(15)]])
def test_no_two_labels_of_fifteen_overlap_or_leave_the_picture(names):
    figure = stn.plot_schedule(make_columns(names))
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    boxes = [
        Text.get_window_extent(text, renderer)
        for axes in figure.axes
        for text in axes.texts
    ]
    assert len(boxes) == 17
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)
    width, height = figure.get_size_inches() * figure.dpi
    for box in boxes:
        assert box.xmax <= width
        assert 0 <= box.ymin
        assert box.ymax <= height
    # And none lies on a line.
    assert min(b.xmin for b in boxes) > figure.axes[0].bbox.xmax


def test_lines_of_a_panel_can_be_told_apart_with_and_without_colour():
    found = panels(stn.plot_schedule(COLUMNS))
    lines = found["Dropout rates"].lines
    assert len({li.get_color() for li in lines}) == 8
    assert len({li.get_marker() for li in lines}) == 8
    styles = [li.get_linestyle() for li in lines]
    assert all(a != b for a, b in itertools.pairwise(styles))


@pytest.mark.parametrize(
    "name, values, scale",
    [
        ("l2", [1e-6, 1e-5, 1e-4], "log"),
        ("l2", [1e-5, 2e-5, 9e-5], "linear"),
        ("l2", [0.0, 1e-5, 1e-2], "linear"),
        ("dropout", [0.003, 0.1, 0.5], "linear"),
    ],
)
def test_only_what_spans_decades_gets_a_log_axis(name, values, scale):
    columns = {"epoch": [0, 1, 2], name: values, f"{name}_scale": values}
    (axes,) = stn.plot_schedule(columns).axes
    assert axes.get_yscale() == scale
    if scale == "linear":
        assert axes.get_ylim()[0] == 0


def test_whole_numbers_go_in_steps():
    figure = stn.plot_schedule(COLUMNS)
    found = panels(figure)
    holes = line(found["Cutout: holes"], "cutout_holes")
    assert holes.get_drawstyle() == "steps-post"
    rate = line(found["Dropout rates"], "dropout_input")
    assert rate.get_drawstyle() == "default"
    ticks = found["Cutout: holes"].get_yticks()
    assert np.all(ticks % 1 == 0)


def test_the_first_steps_do_not_flatten_the_losses():
    steps = np.arange(100.0)
    columns = {"step": steps, "loss": np.where(steps < 5, 1e3, 2 - steps / 100)}
    columns |= column(np.full(100, 0.5))
    low, high = panels(stn.plot_schedule(columns))["Losses"].get_ylim()
    assert 0.9 < low < 1.01
    assert 1.95 < high < 2.1


def test_groups_and_metrics_choose_what_is_drawn():
    figure = stn.plot_schedule(
        COLUMNS,
        groups={"First": ["hue", "dropout_conv_1"], "Holes": ["cutout_holes"]},
        metrics=["entropy"],
    )
    found = panels(figure)
    assert list(found) == ["Metrics", "First", "Holes"]
    assert [axes.get_ylabel() for axes in found.values()] == [
        *("value", "value", "holes")
    ]
    assert len(found["First"].lines) == 2
    without = stn.plot_schedule(COLUMNS, metrics=[])
    assert "Losses" not in panels(without)


@pytest.fixture(scope="module")
def history():
    network = keras.Sequential(
        [
            keras.Input((3,)),
            stn.layers.GaussianNoise(
                stn.Float("noise", 1e-4, 1.0, default=0.1, sampling="log")
            ),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, default=0.2)),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network)
    model.compile("sgd", loss="mse", hyper_optimizer=keras.optimizers.Adam(0.1))
    x, y = np.ones((8, 3)), np.ones((8, 1))
    return model.fit(x, y, validation_split=0.5, epochs=3, verbose=0)


def test_a_history_is_drawn_with_the_bands_of_its_model(history):
    space = history.model.hyperparameters
    found = panels(stn.plot_schedule(history))
    assert list(found) == [
        *("Losses", "Dropout rates", "Strengths of augmentation")
    ]
    for title, name in zip(list(found)[1:], ("dropout", "noise")):
        axes = found[title]
        np.testing.assert_array_equal(line(axes, name).get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(
            line(axes, name).get_ydata(), history.history[name], rtol=1e-6
        )
        # The last epoch's scale is the model's.
        noise = np.array([[-1.0] * 2, [1.0] * 2], "float32")
        expected = np.asarray(space.sample(noise=noise)[name])
        lower, upper = band(axes, name)
        np.testing.assert_allclose([lower[-1], upper[-1]], expected, rtol=1e-4)
    assert found["Dropout rates"].get_xlabel() == ""
    assert found["Strengths of augmentation"].get_xlabel() == "epochs"


def test_a_history_and_a_file_of_the_same_numbers_look_the_same(
    tmp_path, history
):
    first = stn.plot_schedule(history)
    columns = {"epoch": history.epoch, **history.history}
    for axes in first.axes[1:]:
        name = axes.lines[0].get_label()
        lower, upper = band(axes, name)
        columns |= {f"{name}_lower": lower, f"{name}_upper": upper}
    columns["step"] = np.arange(1, 4)
    columns = {n: np.asarray(c, "float64") for n, c in columns.items()}
    second = stn.plot_schedule(write(tmp_path / "schedule.csv", columns))
    for a, b in zip(first.axes, second.axes, strict=True):
        assert labels(a) == labels(b)
        for one, other in zip(a.lines, b.lines, strict=True):
            np.testing.assert_allclose(one.get_xydata(), other.get_xydata())
        for one, other in zip(a.collections, b.collections, strict=True):
            np.testing.assert_allclose(
                one.get_paths()[0].vertices, other.get_paths()[0].vertices
            )


def test_a_history_with_few_validations_is_drawn_without_them(history):
    sparse = keras.callbacks.History()
    sparse.set_model(history.model)
    sparse.epoch = history.epoch
    sparse.history = {**history.history, "val_loss": [1.0]}
    losses = panels(stn.plot_schedule(sparse))["Losses"]
    names = [li.get_label() for li in losses.lines]
    assert names == ["loss", "tuning_loss"]


def test_without_bounds_there_is_no_band():
    (axes,) = stn.plot_schedule(column([0.1, 0.2])).axes
    assert not axes.collections
    assert axes.get_title(loc="left") == "Other hyperparameters"
    assert axes.get_xlabel() == "row"


def test_a_notebook_shows_the_figure_and_pyplot_knows_nothing_of_it():
    before = pyplot.get_fignums()
    figure = stn.plot_schedule(COLUMNS)
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pyplot.get_fignums() == before


def test_names_are_no_formulas():
    (axes,) = stn.plot_schedule(column([0.1, 0.2])).axes
    (text,) = axes.texts
    # Between two dollar signs matplotlib would set mathematics.
    assert not text.get_parse_math()


@pytest.mark.parametrize(
    "source, arguments, message",
    [
        # A loss that was never a number, as when training failed at once.
        ({"epoch": [0], "loss": [math.nan]}, {}, "nothing to draw: no hyper"),
        ({}, {}, "nothing to draw.*Received: 0 rows"),
        ({"epoch": [0, 1], "x": [1.0]}, {}, "same length.*'x': 1"),
        (COLUMNS, {"groups": {"A": ["hues"]}}, r"`groups`.*\['hues'\]"),
        (COLUMNS, {"metrics": ["acc"]}, r"`metrics`.*Received: \['acc'\]"),
    ],
)
def test_what_cannot_be_drawn_gets_a_sentence(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        stn.plot_schedule(source, **arguments)


def test_a_missing_matplotlib_gets_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install keras_stn\[plot\]"):
        stn.plot_schedule(COLUMNS)
