"""Keras's own callbacks do with a self-tuning model what they always do."""

import csv
import math

import keras
import numpy as np
import pytest

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, size=16)
X_VAL = RNG.normal(size=(8, 6)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=8)


class Snapshots(keras.callbacks.Callback):
    """Notes the model's weights and hyperparameters after every epoch."""

    def on_train_begin(self, logs=None):
        self.weights, self.values = [], []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        self.values.append(self.model.hyperparameter_values())


def make_network():
    inputs = keras.Input((6,))
    x = stn.layers.HyperDense(8, activation="relu", name="hidden")(inputs)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    dropout = stn.Float("dropout", 0.0, 0.9, 0.2)
    x = stn.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, stn.layers.HyperDense(3, name="head")(x))


def make_model(optimizer=None, hyper_optimizer=None, **kwargs):
    """A compiled model; without graphs, whose making takes a test's time."""
    model = stn.SelfTuningModel(
        make_network(), train_steps=1, groups=4, name="tuned"
    )
    kwargs.setdefault("run_eagerly", not kwargs.get("jit_compile", False))
    model.compile(
        optimizer or keras.optimizers.SGD(0.05),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        hyper_optimizer=hyper_optimizer or keras.optimizers.Adam(0.1),
        **kwargs,
    )
    return model


def fit(model, callbacks, epochs=3, verbose=0, **kwargs):
    return model.fit(
        X,
        Y,
        batch_size=8,
        epochs=epochs,
        validation_data=(X_VAL, Y_VAL),
        callbacks=callbacks,
        verbose=verbose,
        **kwargs,
    )


def diverge(epoch, learning_rate):
    """A schedule under which the third epoch does harm."""
    return 1.5 if epoch >= 2 else learning_rate


def validate(model):
    return model.evaluate(X_VAL, Y_VAL, verbose=0, return_dict=True)


def rate(optimizer):
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))


def read(variable):
    return np.array(keras.ops.convert_to_numpy(variable))


def location(model):
    return read(model.hyperparameters.location)


def assert_equal(actual, expected):
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        np.testing.assert_array_equal(one, other)


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


def test_early_stopping_brings_the_best_epoch_back():
    model = make_model(jit_compile=True)
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
    # Two cycles an epoch, and the first epoch tunes nothing.
    fit(make_model(), [values, save], epochs=3, warmup_epochs=1)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:3] for name in names] == ["2-1", "3-2"]
    for name, cycle in zip(names, (2, 5)):
        loaded = keras.models.load_model(tmp_path / name)
        assert loaded.hyperparameter_values() == values.values[cycle]
        assert f"{values.values[cycle]['dropout']:.4f}" in name
    (tmp_path / "warmup").mkdir()
    path = tmp_path / "warmup" / "{epoch}-{dropout:.2f}-{tuning_loss}.keras"
    save = keras.callbacks.ModelCheckpoint(path)
    fit(make_model(), [save], epochs=1, warmup_epochs=1)
    name = "1-0.20-nan.keras"
    loaded = keras.models.load_model(tmp_path / "warmup" / name)
    assert loaded.hyperparameter_values()["dropout"] == pytest.approx(0.2)
    assert int(loaded.optimizer.iterations) == 2
    history = fit(loaded, [], epochs=2, initial_epoch=1, warmup_epochs=1)
    assert math.isfinite(history.history["tuning_loss"][0])


@pytest.mark.parametrize("verbose", [0, 1])
def test_learning_rates_of_the_weights_alone_change(verbose, capsys):
    model = make_model()
    schedule = keras.callbacks.LearningRateScheduler(
        lambda epoch, rate: rate / 2, verbose=verbose
    )
    history = fit(model, [schedule], verbose=verbose).history
    expected = [0.025, 0.0125, 0.00625]
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-6)
    assert rate(model.optimizer) == pytest.approx(0.00625)
    assert rate(model.hyper_optimizer) == pytest.approx(0.1)
    assert rate(model.scale_optimizer) == pytest.approx(0.1)
    printed = capsys.readouterr().out
    assert ("learning_rate: 0.0125" in printed) == bool(verbose)
    assert ("dropout: " in printed) == bool(verbose)


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


def test_the_logger_and_functions_get_every_entry(tmp_path):
    seen = []
    path = tmp_path / "log.csv"
    callbacks = [
        keras.callbacks.CSVLogger(path),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs))
        ),
    ]
    history = fit(make_model(), callbacks, warmup_epochs=1).history
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert rows[0]["tuning_loss"] == "nan"
    for name in ("dropout", "dropout_scale", "val_loss", "accuracy"):
        column = [float(row[name]) for row in rows]
        assert column == history[name] == [logs[name] for _, logs in seen]


def test_tensorboard_gets_every_entry(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing import event_accumulator

    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=1)
    history = fit(make_model(run_eagerly=False), [board]).history
    events = event_accumulator.EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert tags >= {
        f"epoch_{name}" for name in history if not name.startswith("val_")
    }
    assert "tuned/hyperparameters/location/histogram" in tags


def averages_of(steps, momentum):
    """What Keras keeps of values after every step."""
    average = steps[0]
    for value in steps[1:]:
        average = momentum * average + (1 - momentum) * value
    return average


def kernel(model):
    return read(model.network.get_layer("head").kernel)


def gate(model):
    return read(model.network.get_layer("head").kernel_gate)


class Watch(keras.callbacks.Callback):
    """Notes a value after each weight update, while validating, and after."""

    def __init__(self, read):
        super().__init__()
        self.read = read

    def on_train_begin(self, logs=None):
        self.steps, self.validated, self.after = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.read(self.model))

    def on_test_begin(self, logs=None):
        self.validated.append(self.read(self.model))

    def on_epoch_end(self, epoch, logs=None):
        self.after.append(self.read(self.model))


def test_averaged_weights_are_validated_and_put_back():
    model = make_model(
        keras.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.5)
    )
    watches = [Watch(kernel), Watch(gate)]
    hyperparameters = Watch(location)
    swap = keras.callbacks.SwapEMAWeights()
    history = fit(model, [swap, *watches, hyperparameters], epochs=2).history
    for watch in watches:
        averages = [averages_of(watch.steps[: 2 * n], 0.5) for n in (1, 2)]
        # Keras exchanges by sums and differences, which rounds.
        np.testing.assert_allclose(watch.validated, averages, atol=1e-6)
        np.testing.assert_allclose(watch.after, watch.steps[1::2], atol=1e-6)
        # As ever, training ends at the averages.
        end = watch.read(model)
        np.testing.assert_allclose(end, averages[-1], atol=1e-6)
        assert np.abs(end - watch.after[-1]).max() > 1e-5
    # The hyperparameters stay where they are.
    assert_equal(hyperparameters.validated, hyperparameters.after)
    assert_equal(hyperparameters.after, hyperparameters.steps[1::2])
    val_loss = validate(model)["loss"]
    assert val_loss == pytest.approx(history["val_loss"][-1], rel=1e-4)


def test_averaged_weights_are_saved_with_the_hyperparameters(tmp_path):
    model = make_model(
        keras.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.5)
    )
    watch, hyperparameters = Watch(kernel), Watch(location)
    path = str(tmp_path / "{epoch}.keras")
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ModelCheckpoint(path),
    ]
    callbacks = [*callbacks, watch, hyperparameters]
    history = fit(model, callbacks, epochs=2).history
    for epoch in (1, 2):
        loaded = keras.models.load_model(path.format(epoch=epoch))
        average = averages_of(watch.steps[: 2 * epoch], 0.5)
        np.testing.assert_allclose(kernel(loaded), average, atol=1e-6)
        assert_equal(location(loaded), hyperparameters.steps[2 * epoch - 1])
        val_loss = validate(loaded)["loss"]
        expected = history["val_loss"][epoch - 1]
        assert val_loss == pytest.approx(expected, rel=1e-4)


def test_the_exchange_refuses_averages_of_the_hyperparameters_alone():
    model = make_model(hyper_optimizer=keras.optimizers.SGD(0.1, use_ema=True))
    with pytest.raises(ValueError, match="use_ema=True"):
        fit(model, [keras.callbacks.SwapEMAWeights()], epochs=1)


def test_orbax_writes_all_that_training_goes_on_with(tmp_path):
    pytest.importorskip("orbax.checkpoint")
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
