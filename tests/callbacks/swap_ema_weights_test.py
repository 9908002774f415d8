"""Keras's averages of the weights, exchanged for the weights."""

import keras
import numpy as np
import pytest

from tests.callbacks.small_training import assert_equal
from tests.callbacks.small_training import fit
from tests.callbacks.small_training import location
from tests.callbacks.small_training import make_model
from tests.callbacks.small_training import read
from tests.callbacks.small_training import validate


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
