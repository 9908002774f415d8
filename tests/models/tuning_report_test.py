import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn import backend
from keras_stn.models import tuning_report
from keras_stn.models.tuning_report import TunedHyperparameter
from keras_stn.models.tuning_report import TuningReport

DATA = np.ones((4, 2)), np.ones((4, 1))
RATE = stn.Float("rate", 0.0, 0.9, default=0.45)


class Steer(keras.callbacks.Callback):
    """Puts the hyperparameters where a test wants them, epoch by epoch."""

    def __init__(self, *locations):
        super().__init__()
        self._locations = locations

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        location = self.model.hyperparameters.location
        values = np.broadcast_to(self._locations[self._epoch], location.shape)
        location.assign(values)


class Fail(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise InterruptedError


def make_model(*hyperparameters):
    network = keras.Sequential(
        [keras.Input((2,)), stn.layers.HyperDense(1, use_bias=False)]
    )
    model = stn.SelfTuningModel(
        network, hyperparameters=[*(hyperparameters or [RATE])]
    )
    # Nothing but `Steer` moves a hyperparameter.
    model.compile(
        "sgd",
        loss="mse",
        hyper_optimizer=keras.optimizers.SGD(0.0),
        run_eagerly=True,
    )
    return model


def fit(model, *callbacks, epochs=1, verbose=0, **kwargs):
    return model.fit(
        *DATA,
        epochs=epochs,
        validation_data=DATA,
        callbacks=[*callbacks],
        verbose=verbose,
        **kwargs,
    )


def report(hyperparameter, *locations, **kwargs):
    """The row of a training through the locations, and the report."""
    model = make_model(hyperparameter)
    fit(model, Steer(*locations), epochs=len(locations), **kwargs)
    (row,) = model.tuning_report().rows
    return row, model.tuning_report()


def test_before_fit_there_is_nothing_to_report(tmp_path):
    model = make_model()
    with pytest.raises(ValueError, match="Call `fit` first.*Received: model="):
        model.tuning_report()
    fit(model)
    model.tuning_report()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Call `fit` first"):
        loaded.tuning_report()


def test_values_are_those_of_the_start_and_the_end():
    row, made = report(RATE, 0.5, 1.0, 1.0, 1.0)
    assert row.name == "rate"
    assert row.start == pytest.approx(0.45)
    assert row.value == row.last == pytest.approx(0.9 / (1 + np.exp(-1)), 1e-5)
    assert (row.note, row.requested_start, row.size) == ("", None, None)
    assert (made.last_epoch, made.restored_epoch) == (4, None)
    assert str(made) == (
        "hyperparameter  start  now\nrate            0.45   0.658"
    )


def test_an_epoch_that_came_back_is_told_and_its_value():
    best = keras.callbacks.EarlyStopping(
        "best", patience=9, mode="min", restore_best_weights=True
    )
    losses = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logs.update(best=abs(epoch - 1))
    )
    model = make_model()
    steer = Steer(0.0, 1.0, 2.0, 2.0, 2.0)
    fit(model, steer, losses, best, epochs=5)
    made = model.tuning_report()
    (row,) = made.rows
    assert row.value == pytest.approx(0.9 / (1 + np.exp(-1)), 1e-5)
    assert row.value == pytest.approx(model.hyperparameter_values()["rate"])
    assert row.last == pytest.approx(0.9 / (1 + np.exp(-2)), 1e-5)
    assert (made.last_epoch, made.restored_epoch) == (5, 2)
    assert str(made).splitlines() == [
        "hyperparameter  start  now    last",
        "rate            0.45   0.658  0.7927",
        "now: the weights of epoch 2, restored after epoch 5",
    ]


def test_that_the_last_epoch_was_the_best_goes_without_saying():
    best = keras.callbacks.EarlyStopping("loss", restore_best_weights=True)
    best.start_from_epoch = 1
    model = make_model()
    fit(model, Steer(0.0, 1.0), best, epochs=2)
    assert model.tuning_report().restored_epoch is None
    assert "restored" not in str(model.tuning_report())


def test_early_stopping_that_restores_nothing_is_not_told():
    best = keras.callbacks.EarlyStopping("loss", mode="max", patience=1)
    model = make_model()
    fit(model, Steer(*np.arange(5.0)), best, epochs=5)
    assert model.tuning_report().restored_epoch is None


PENALTY = stn.Float("l2", 1e-7, 1e-1, default=1e-4, sampling="log")
ZERO_PENALTY = stn.Float("l2", 1e-7, 1e-1, default=0.0, sampling="log")
HOLES = stn.Int("holes", 0, 4, default=2)
OPEN = stn.Float("noise", 0.0, default=1.0)
BELOW = stn.Float("below", None, 2.0, default=1.0)


@pytest.mark.parametrize(
    "hyperparameter, locations, note",
    [
        (RATE, [0.02, 0.04], tuning_report.RESTING),
        (RATE, [0.5, 1.0, 1.0, 1.0], ""),
        (RATE, [0.5, 1.0], tuning_report.MOVING),
        (RATE, [-0.5, -1.0], tuning_report.MOVING),
        (HOLES, [0.5, 1.0], tuning_report.MOVING),
        (RATE, [2.0, 4.0, 4.0, 4.0], "at the upper end of its range: widen"),
        (RATE, [3.0, 6.0], "at the upper end of its range: widen"),
        (RATE, [-3.0, -6.0], tuning_report.SMALLEST),
        (OPEN, [-3.0, -6.0], tuning_report.SMALLEST),
        (HOLES, [-3.0, -6.0], tuning_report.SMALLEST),
        (PENALTY, [-3.0, -6.0], "at the lower end of its range: widen"),
        (ZERO_PENALTY, [-4.9, -5.0], tuning_report.SMALLEST),
        (BELOW, [-3.0, -6.0], "at the upper end of its range: widen"),
        # On its way from an end.
        (ZERO_PENALTY, [-4.3, -4.0], tuning_report.MOVING),
        (RATE, [6.0, 6.0, 5.0, 4.0], tuning_report.MOVING),
        (ZERO_PENALTY, [-4.58, -4.57], tuning_report.RESTING),
        (ZERO_PENALTY, [-4.5, -4.4], tuning_report.RESTING),
        (ZERO_PENALTY, [0.0, -4.0, -4.58, -4.58], tuning_report.SMALLEST),
    ],
)
def test_a_note_says_what_to_do(hyperparameter, locations, note):
    row, made = report(hyperparameter, *locations)
    assert row.note.startswith(note)
    assert bool(row.note) == bool(note)
    if note:
        head, advice = row.note.split(": ")
        _, line, *rest = str(made).splitlines()
        assert line.endswith(f"  {head}")
        assert advice and rest == [row.note]


def test_a_training_that_was_all_warmup_says_so():
    row, _ = report(RATE, 0.0, 0.0, warmup_epochs=2)
    assert row.note == tuning_report.NOT_TUNED


def test_epochs_of_the_warmup_do_not_count():
    # With the warm-up the last fifth would begin after the move.
    locations = [0.0] * 10 + [0.5, 1.0, 1.0]
    row, _ = report(RATE, *locations, warmup_epochs=10)
    assert row.note == tuning_report.MOVING


@pytest.mark.parametrize(
    "hyperparameter, start",
    [
        (stn.Float("a", 0.0, 0.9, default=0.0), "0 (as 0.009)"),
        (stn.Float("a", 0.0, 0.9), "0 (as 0.009)"),
        (stn.Float("a", 0.0, 0.9, default=0.9), "0.9 (as 0.891)"),
        (ZERO_PENALTY, "0 (as 1.148e-07)"),
        (stn.Float("a", 0.0, 0.9, default=0.1), "0.1"),
        (stn.Float("a", 0.0, 0.9, default=0.009), "0.009"),
        (stn.Int("a", 0, 4, default=0), "0"),
        (stn.Int("a", 0, 90000, default=12345), "12345"),
    ],
)
def test_a_start_that_was_moved_is_told(hyperparameter, start):
    model = make_model(hyperparameter)
    fit(model)
    (row,) = model.tuning_report().rows
    assert row.start == pytest.approx(hyperparameter.default)
    moved = hyperparameter.requested_default != hyperparameter.default
    requested = hyperparameter.requested_default if moved else None
    assert row.requested_start == requested
    assert f"  {start}  " in str(model.tuning_report())


def test_each_fit_has_a_report_of_its_own():
    model = make_model(stn.Float("rate", 0.0, 0.9, default=0.0))
    fit(model, Steer(-2.0, -1.0), epochs=2)
    fit(model, Steer(0, 0, -1.0, 0.0), epochs=4, initial_epoch=2)
    made = model.tuning_report()
    (row,) = made.rows
    assert row.start == pytest.approx(0.9 / (1 + np.e), 1e-5)
    assert row.requested_start is None
    assert row.value == pytest.approx(0.45)
    assert made.last_epoch == 4


def test_integers_and_several_values_are_shown_as_what_they_are():
    rates = stn.Float("rates", 0.0, 1.0, default=0.5, size=2)
    model = make_model(HOLES, rates)
    fit(model, Steer([0.9, 0.0, 1.0]))
    holes, rates = model.tuning_report().rows
    assert (holes.start, holes.value) == (2, 3)
    assert type(holes.value) is type(holes.start) is int
    mean = (0.5 + 1 / (1 + np.exp(-1))) / 2
    assert rates.value == pytest.approx(mean, 1e-5)
    assert (rates.size, rates.start) == (2, 0.5)
    assert str(model.tuning_report()).splitlines()[:3] == [
        "hyperparameter     start  now",
        "holes              2      3       still moving",
        "rates (mean of 2)  0.5    0.6155  still moving",
    ]


def test_many_are_told_in_short_and_held_in_full():
    rows = [
        TunedHyperparameter(f"rate_{i}", 0.1, None, 0.2, 0.2) for i in range(23)
    ]
    rows[22] = rows[22]._replace(note=tuning_report.MOVING)
    made = TuningReport(rows, last_epoch=3)
    lines = str(made).splitlines()
    assert lines[20].startswith("rate_19")
    assert lines[21] == "and 3 more, in `model.tuning_report().rows`"
    assert lines[22:] == [tuning_report.MOVING]
    assert made.rows == rows


def test_no_epoch_is_no_movement(capsys):
    model = make_model()
    fit(model, epochs=1, initial_epoch=1, verbose=2)
    assert capsys.readouterr().out == ""
    made = model.tuning_report()
    (row,) = made.rows
    assert row.start == row.value == row.last == pytest.approx(0.45)
    assert row.note == ""
    assert str(made).splitlines()[2:] == ["no epoch was trained"]


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_the_table_is_printed_once_at_the_end(capsys, verbose):
    model = make_model()
    fit(model, epochs=2, verbose=verbose)
    text = capsys.readouterr().out
    assert text.endswith(f"\n{model.tuning_report()}\n")
    assert text.count("hyperparameter") == 1


def test_a_silent_fit_prints_no_table(capsys):
    model = make_model()
    fit(model, verbose=0)
    assert capsys.readouterr().out == ""
    assert model.tuning_report().rows


def test_the_chief_alone_prints(capsys, monkeypatch):
    monkeypatch.setattr(backend, "is_chief", lambda strategy: False)
    model = make_model()
    fit(model, verbose=2)
    assert "hyperparameter" not in capsys.readouterr().out
    assert model.tuning_report().rows


def test_a_fit_that_fails_reports_nothing(capsys):
    model = make_model()
    fit(model)
    with pytest.raises(InterruptedError):
        fit(model, Fail(), verbose=2)
    assert "hyperparameter" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="nothing to report"):
        model.tuning_report()


def test_averages_of_the_end_are_the_value_now():
    model = make_model()
    model.compile(
        "sgd",
        loss="mse",
        hyper_optimizer=keras.optimizers.SGD(
            5.0, use_ema=True, ema_momentum=0.5
        ),
        run_eagerly=True,
    )
    fit(model, epochs=2)
    (row,) = model.tuning_report().rows
    assert row.value == pytest.approx(model.hyperparameter_values()["rate"])


@pytest.mark.parametrize("save_freq", ["epoch", 1])
def test_a_run_that_was_resumed_reports_as_if_it_was_not(tmp_path, save_freq):
    locations = [0.5, 1.0, 1.5, 1.6]

    def train(*callbacks):
        keras.utils.set_random_seed(0)
        model = make_model(stn.Float("rate", 0.0, 0.9, default=0.0))
        backup = stn.callbacks.BackupAndRestore(
            tmp_path / "backup", save_freq, delete_checkpoint=False
        )
        steer = Steer(*locations)
        fit(model, steer, backup, *callbacks, epochs=4, shuffle=False)
        return model.tuning_report()

    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train(Crash())
    resumed = train()
    assert resumed.last_epoch == 4
    assert resumed.rows[0].requested_start == 0
    # From what is over, no epoch is trained.
    assert train().rows == resumed.rows
    for file in (tmp_path / "backup").iterdir():
        file.unlink()
    assert train().rows == resumed.rows
    assert resumed.rows[0].note == tuning_report.MOVING
