"""Keras's own callbacks do with a self-tuning model what they always do."""

import csv
import math

import keras
import numpy as np
import pytest

from tests.callbacks.small_training import assert_equal
from tests.callbacks.small_training import fit
from tests.callbacks.small_training import make_model
from tests.callbacks.small_training import validate


class Snapshots(keras.callbacks.Callback):
    """Notes the model's weights and hyperparameters after every epoch."""

    def on_train_begin(self, logs=None):
        self.weights, self.values = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        self.values.append(self.model.hyperparameter_values())


def diverge(epoch, learning_rate):
    """A schedule under which the third epoch does harm."""
    return 1.5 if epoch >= 2 else learning_rate


def rate(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def assert_is_epoch(model, epoch, snapshots, history):
    """The model is as it was after an epoch, with all that belongs to it."""
    assert_equal(model.get_weights(), snapshots.weights[epoch])
    values = snapshots.values
    assert model.hyperparameter_values() == values[epoch]
    # Its hyperparameters, and no other epoch's.
    assert len({value["dropout"] for value in values}) == len(values)
    val_loss = validate(model)["loss"]
    assert val_loss == pytest.approx(history["val_loss"][epoch], rel=1e-5)


def test_weights_hold_hyperparameters_scales_gates_and_statistics():
    assert {weight.path for weight in make_model().weights} >= {
        "tuned/hyperparameters/location",
        "tuned/hyperparameters/raw_scale",
        "hidden/kernel_gate",
        "hidden/bias_gate",
        "hidden/response_kernel",
        "normalization/moving_mean",
        "normalization/moving_variance",
    }


@pytest.mark.parametrize(
    "jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_early_stopping_brings_the_best_epoch_back(jit_compile):
    model = make_model(jit_compile=jit_compile)
    snapshots = Snapshots()
    stop = keras.callbacks.EarlyStopping(restore_best_weights=True, patience=2)
    rise = keras.callbacks.LearningRateScheduler(diverge)
    history = fit(model, [snapshots, rise, stop], epochs=9).history
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 3 < 9
    assert_is_epoch(model, best, snapshots, history)


# Keras says it of every model that is loaded before it has trained.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_checkpoints_of_the_best_epoch_are_that_epoch(tmp_path):
    model = make_model()
    snapshots = Snapshots()
    paths = tmp_path / "best.keras", tmp_path / "best.weights.h5"
    savers = [
        keras.callbacks.ModelCheckpoint(
            path, save_best_only=True, save_weights_only=weights_only
        )
        for path, weights_only in zip(paths, (False, True))
    ]
    rise = keras.callbacks.LearningRateScheduler(diverge)
    history = fit(model, [snapshots, rise, *savers], epochs=4).history
    best = int(np.argmin(history["val_loss"]))
    assert best < 3
    loaded = keras.models.load_model(paths[0])
    assert_is_epoch(loaded, best, snapshots, history)
    loaded = make_model()
    loaded.load_weights(paths[1])
    assert_is_epoch(loaded, best, snapshots, history)


def test_checkpoints_come_every_so_many_cycles_and_in_the_warmup(tmp_path):
    class Values(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.values = []

        def on_train_batch_end(self, batch, logs=None):
            self.values.append(self.model.hyperparameter_values())

    values = Values()
    path = tmp_path / "{epoch}-{batch}-{dropout:.4f}-{tuning_loss:.2f}.keras"
    save = keras.callbacks.ModelCheckpoint(path, save_freq=3)
    # Two cycles an epoch; the first file is written within the warm-up.
    fit(make_model(), [values, save], warmup_epochs=2)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:3] for name in names] == ["2-1", "3-2"]
    assert "-0.2000-nan" in names[0]
    for name, cycle in zip(names, (2, 5)):
        loaded = keras.models.load_model(tmp_path / name)
        assert loaded.hyperparameter_values() == values.values[cycle]
        assert f"-{values.values[cycle]['dropout']:.4f}-" in name
        assert int(loaded.optimizer.iterations) == cycle + 1
        assert int(loaded.hyper_optimizer.iterations) == max(0, cycle - 3)
    loaded = keras.models.load_model(tmp_path / names[0])
    history = fit(loaded, [], initial_epoch=2, warmup_epochs=2).history
    assert math.isfinite(history["tuning_loss"][0])


def test_learning_rates_of_the_weights_alone_change(capsys):
    model = make_model()
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 2, verbose=1
    )
    history = fit(model, [schedule], verbose=1).history
    expected = [0.025, 0.0125, 0.00625]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)
    assert rate(model.optimizer) == pytest.approx(0.00625)
    assert rate(model.hyper_optimizer) == pytest.approx(0.1)
    assert rate(model.scale_optimizer) == pytest.approx(0.1)
    printed = capsys.readouterr().out
    assert "LearningRateScheduler setting learning rate" in printed
    # In the progress bar and below it.
    assert "learning_rate: 0.0125" in printed
    assert "dropout: " in printed


def test_a_plateau_lowers_the_learning_rate_of_the_weights_alone():
    model = make_model()
    plateau = keras.callbacks.ReduceLROnPlateau(
        factor=0.5, patience=1, min_delta=1e9
    )
    history = fit(model, [plateau]).history
    expected = [0.05, 0.05, 0.025]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)
    assert rate(model.optimizer) == pytest.approx(0.0125)
    assert rate(model.hyper_optimizer) == pytest.approx(0.1)
    assert rate(model.scale_optimizer) == pytest.approx(0.1)


@pytest.mark.filterwarnings("ignore:.*tuning steps had a loss")
def test_nan_stops_training_but_not_that_of_the_warmup():
    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                kernel = self.model.network.get_layer("hidden").kernel
                kernel.assign(kernel * np.nan)

    stop = keras.callbacks.TerminateOnNaN()
    model = make_model()
    history = fit(model, [Poison(), stop], epochs=5, warmup_epochs=1).history
    assert len(history["loss"]) == 3
    assert np.isnan(history["tuning_loss"]).tolist() == [True, False, True]
    assert np.isnan(history["loss"]).tolist() == [False, False, True]
    assert np.isfinite(history["dropout"]).all()


def test_the_tuning_loss_can_stop_training_and_choose_the_best(tmp_path):
    model = make_model()
    snapshots = Snapshots()
    stop = keras.callbacks.EarlyStopping(
        "tuning_loss",
        mode="min",
        patience=2,
        restore_best_weights=True,
        start_from_epoch=1,
    )
    path = tmp_path / "best.keras"
    save = keras.callbacks.ModelCheckpoint(
        path,
        "tuning_loss",
        mode="min",
        save_best_only=True,
        initial_value_threshold=math.inf,
    )
    rise = keras.callbacks.LearningRateScheduler(diverge)
    callbacks = [snapshots, rise, stop, save]
    history = fit(model, callbacks, epochs=9, warmup_epochs=1).history
    best = int(np.nanargmin(history["tuning_loss"]))
    assert len(history["loss"]) == best + 3 < 9
    assert_is_epoch(model, best, snapshots, history)
    loaded = keras.models.load_model(path)
    assert_is_epoch(loaded, best, snapshots, history)


def test_loggers_get_every_entry(tmp_path):
    from tensorboard.backend.event_processing import event_accumulator

    seen = []
    path = tmp_path / "log.csv"
    callbacks = [
        keras.callbacks.CSVLogger(path),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs))
        ),
        keras.callbacks.TensorBoard(tmp_path, histogram_freq=1),
    ]
    history = fit(make_model(), callbacks, warmup_epochs=1).history
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert rows[0]["tuning_loss"] == "nan"
    for name in ("dropout", "dropout_scale", "val_loss", "accuracy"):
        column = [float(row[name]) for row in rows]
        assert column == history[name] == [logs[name] for _, logs in seen]
    events = event_accumulator.EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags >= {
        f"epoch_{name}" for name in history if not name.startswith("val_")
    }
    assert "tuned/hyperparameters/location/histogram" in tags


@pytest.mark.slow
def test_orbax_writes_all_that_training_goes_on_with(tmp_path):
    model = make_model()
    save = keras.callbacks.OrbaxCheckpoint(tmp_path)
    fit(model, [save], epochs=2)
    loaded = keras.models.load_model(tmp_path)
    assert loaded.hyperparameter_values() == model.hyperparameter_values()
    assert_equal(loaded.get_weights(), model.get_weights())
    for name in ("optimizer", "hyper_optimizer", "scale_optimizer"):
        variables = getattr(loaded, name).variables
        assert_equal(variables, getattr(model, name).variables)
    assert validate(loaded) == pytest.approx(validate(model))


def test_a_backup_brings_weights_hyperparameters_and_optimizers(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path)

    class Start(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.start = self.start or (epoch, self.model.get_weights())

        start = None

    model, start, other = make_model(), Start(), make_model()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [backup(), Interrupt()])
    fit(other, [backup(), start])
    epoch, weights = start.start
    assert epoch == 2
    assert_equal(weights, model.get_weights())
    for name in ("optimizer", "hyper_optimizer", "scale_optimizer"):
        # Two epochs of the one model, and one of the other.
        assert int(getattr(other, name).iterations) == 6
