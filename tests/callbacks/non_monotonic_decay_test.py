import keras
import numpy as np
import pytest

import keras_stn as stn


class ScriptOfLosses(keras.callbacks.Callback):
    """Puts written losses into the logs, in front of the decay."""

    def __init__(self, losses, name="val_loss"):
        super().__init__()
        self.losses = losses
        self.name = name

    def on_epoch_end(self, epoch, logs=None):
        if self.losses[epoch] is not None:
            logs[self.name] = self.losses[epoch]


class Rates(keras.callbacks.Callback):
    """Notes the learning rate that each epoch begins with."""

    def on_train_begin(self, logs=None):
        self.rates = []

    def on_epoch_begin(self, epoch, logs=None):
        rate = self.model.optimizer.learning_rate
        self.rates.append(float(keras.ops.convert_to_numpy(rate)))


def make_model(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", run_eagerly=True)
    return model


def run(losses, learning_rate=1.0, model=None, name="val_loss", **arguments):
    """The learning rates that the epochs began with, and the history."""
    model = model or make_model(keras.optimizers.SGD(learning_rate))
    rates = Rates()
    history = model.fit(
        np.zeros((1, 1)),
        np.zeros((1, 1)),
        epochs=len(losses),
        callbacks=[
            rates,
            ScriptOfLosses(losses, name),
            stn.callbacks.NonMonotonicDecay(**arguments),
        ],
        verbose=0,
    )
    return rates.rates, history.history


def test_a_written_trace_is_followed():
    # With patience 2, epoch by epoch; `best` is without the last two:
    #  loss  best  lowered after the epoch
    #   5     -    no
    #   4     -    no: only two earlier losses
    #   6     -    no
    #   6     5    ... of 5 | 4 6: 6 > 5, lowered
    #   4     4    of 5 4 | 6 6: not higher
    #   4.5   4    of 5 4 6 | 6 4: lowered
    #   3     4    of 5 4 6 6 | 4 4.5: no
    #   3.5   4    of 5 4 6 6 4 | 4.5 3: not higher than 4
    #   3.5   4    of 5 ... 4.5 | 3 3.5: no
    #   3.5   3    of 5 ... 3 | 3.5 3.5: lowered
    #   9     3    lowered once more
    losses = [5, 4, 6, 6, 4, 4.5, 3, 3.5, 3.5, 3.5, 9, 1]
    rates, history = run(losses, 64.0, patience=2, factor=2.0)
    expected = [64, 64, 64, 64, 32, 32, 16, 16, 16, 16, 8, 4]
    assert rates == expected
    # As `ReduceLROnPlateau` does, the rate that the epoch trained with.
    assert history["learning_rate"] == expected


def test_five_epochs_lie_between_two_that_are_compared():
    losses = [1.0] + [2.0] * 8
    rates, _ = run(losses, 32.0)
    # The seventh loss is the first to be compared with the first.
    assert rates == [32.0] * 7 + [8.0, 2.0]


def test_a_loss_as_low_as_the_best_is_no_reason():
    assert run([1.0] * 5, patience=1)[0] == [1.0] * 5


def test_the_learning_rate_has_a_lower_bound():
    rates, _ = run(range(7), patience=1, factor=3.0, min_lr=0.1)
    expected = [1, 1, 1, 1 / 3, 1 / 9, 0.1, 0.1]
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_training_stops_once_the_learning_rate_is_below_a_bound():
    rates, _ = run(range(20), 30.0, patience=1, stop_lr=3e-4)
    # 30 / 4 ** 8 is 4.6e-4, and 30 / 4 ** 9 is less.
    assert len(rates) == 11
    assert rates[-1] == pytest.approx(30 / 4**8)


def test_without_a_bound_training_goes_on():
    assert len(run(range(20), 30.0, patience=1)[0]) == 20


def test_nan_is_worse_than_any_number_and_spoils_nothing():
    nan = float("nan")
    rates, _ = run([nan, nan, 2.0, nan, 3.0, nan, 1.0], patience=1, factor=2.0)
    # The first three are compared with NaN alone, 3.0 and NaN with 2.0.
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.25]


def test_another_fit_forgets_the_losses():
    model = make_model(keras.optimizers.SGD(1.0))
    decay = stn.callbacks.NonMonotonicDecay(patience=1, factor=2.0)
    data = (np.zeros((1, 1)), np.zeros((1, 1)))
    for _ in range(2):
        script = ScriptOfLosses([1.0, 2.0])
        model.fit(*data, epochs=2, callbacks=[script, decay], verbose=0)
        assert decay.losses == [1.0, 2.0]
    assert float(model.optimizer.learning_rate) == 1.0


def test_a_missing_quantity_warns():
    with pytest.raises(UserWarning, match=r"`val_loss`.*Available are: .*loss"):
        run([None])


@pytest.mark.filterwarnings("ignore:The learning rate depends on")
def test_an_epoch_without_the_quantity_is_passed_over():
    rates, _ = run([1.0, None, 2.0, 2.0, 2.0], patience=1, factor=2.0)
    # The second 2.0 is the third loss, the first compared with 1.0.
    assert rates == [1.0, 1.0, 1.0, 1.0, 0.5]


def test_another_quantity_can_be_watched():
    rates, _ = run(
        [1.0, 2.0, 3.0, 3.0], name="other", monitor="other", patience=1
    )
    assert rates == [1.0, 1.0, 1.0, 0.25]


def test_messages_come_with_verbose_alone(capsys):
    run([1, 2, 3], patience=1)
    assert capsys.readouterr().out == ""
    run([1, 2, 3], patience=1, verbose=1)
    assert capsys.readouterr().out == (
        "\nEpoch 3: learning_rate lowered to 0.25.\n"
    )


def test_the_optimizer_inside_a_loss_scale_is_reached():
    inner = keras.optimizers.SGD(1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner)
    run([1, 2, 3], model=make_model(optimizer), patience=1)
    assert float(inner.learning_rate) == 0.25


def test_several_optimizers_are_lowered_each_from_its_own_rate():
    kernels, others = keras.optimizers.SGD(1.0), keras.optimizers.SGD(2.0)
    optimizer = keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(others, {".*kernel": kernels})
    )
    model = make_model(optimizer)
    decay = stn.callbacks.NonMonotonicDecay(patience=1, stop_lr=0.3)
    history = model.fit(
        np.zeros((1, 1)),
        np.zeros((1, 1)),
        epochs=9,
        callbacks=[ScriptOfLosses(range(9)), decay],
        verbose=0,
    )
    # Stopped when the greater rate, too, was below 0.3.
    assert float(kernels.learning_rate) == 0.0625
    assert float(others.learning_rate) == 0.125
    assert len(history.epoch) == 4


def test_a_self_tuning_model_lowers_the_rate_of_the_weights_alone():
    network = keras.Sequential(
        [
            keras.Input((1,)),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.5, default=0.1)),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network)
    model.compile(
        keras.optimizers.SGD(1.0),
        loss="mse",
        hyper_optimizer=keras.optimizers.Adam(3e-3),
    )
    data = np.zeros((2, 1)), np.zeros((2, 1))
    model.fit(
        *data,
        validation_data=data,
        epochs=3,
        callbacks=[
            ScriptOfLosses([1.0, 2.0, 3.0]),
            stn.callbacks.NonMonotonicDecay(patience=1),
        ],
        verbose=0,
    )
    assert float(model.optimizer.learning_rate) == 0.25
    assert float(model.hyper_optimizer.learning_rate) == np.float32(3e-3)


def test_a_learning_rate_schedule_is_refused_as_keras_does():
    schedule = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    model = make_model(keras.optimizers.SGD(schedule))
    with pytest.raises(TypeError, match="LearningRateSchedule"):
        run([1, 2, 3], model=model, patience=1)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(patience=0), "patience=0"),
        (dict(factor=1.0), "factor=1.0"),
        (dict(factor=0.25), "factor=0.25"),
        (dict(min_lr=0.1, stop_lr=0.1), "stop_lr=0.1, min_lr=0.1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        stn.callbacks.NonMonotonicDecay(**arguments)
