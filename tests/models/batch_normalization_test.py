"""Tuning batches must leave no trace in a network's statistics."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = X[:, :1]
# From another world than the training data.
X_TUNING, Y_TUNING = 1000 + 50 * X, Y


def make_model(**kwargs):
    network = keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.1)),
            keras.layers.BatchNormalization(momentum=0.5),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network, groups=4)
    model.compile(keras.optimizers.SGD(1e-3), "mse", **kwargs)
    return model


def statistics(model):
    layer = model.network.layers[1]
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def test_a_tuning_step_leaves_moving_statistics_alone():
    model = make_model()
    before = statistics(model)
    batch = ops.convert_to_tensor(X_TUNING), ops.convert_to_tensor(Y_TUNING)
    model.tuning_step(batch)
    np.testing.assert_array_equal(statistics(model), before)
    model.weight_step(batch)
    assert np.abs(statistics(model)[0] - before[0]).min() > 100


def test_a_tuning_step_normalizes_with_moving_statistics():
    model = make_model(run_eagerly=True)
    layer = model.network.layers[1]
    layer.moving_mean.assign([1.0, -2.0, 3.0, 0.5])
    layer.moving_variance.assign([4.0, 0.5, 2.0, 1.0])
    model.tune_scales = False
    batch = ops.convert_to_tensor(X), ops.convert_to_tensor(Y)
    expected = model.evaluate(X, Y, verbose=0)
    model.reset_metrics()
    model.tuning_step(batch)
    np.testing.assert_allclose(
        model.tuning_logs()["tuning_loss"], expected, rtol=1e-5
    )


@pytest.mark.parametrize("arguments", [{}, {"jit_compile": True}])
def test_statistics_after_fit_are_those_of_the_training_data(arguments):
    model = make_model(**arguments)
    model.fit(
        X,
        Y,
        batch_size=8,
        epochs=6,
        validation_data=(X_TUNING, Y_TUNING),
        verbose=0,
    )
    mean, variance = statistics(model)
    assert np.abs(mean).max() < 2 and 0.1 < variance.min() < variance.max() < 5
