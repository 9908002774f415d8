import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers import GaussianDropout
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients


def rate():
    return stn.Float("rate", 0.0, 1.0, default=0.5)


def loss_at(layer, rates):
    """The layer's summed output as a function of a tensor of rates."""
    sample = Sample(rates, rates, [rate()])
    x = tf.constant([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])
    return tf.reduce_sum(layer(x, training=True, hyperparameters=sample))


def test_noise_has_mean_one_and_the_rates_deviation():
    rates = np.float32([0.1, 0.5, 0.8])
    count = 40000
    layer = GaussianDropout(rate(), seed=1)
    y = to_numpy(
        layer(
            np.full((3, count), 2.0, "float32"),
            training=True,
            hyperparameters=sample_at(rate(), rates),
        )
    )
    deviation = 2 * (rates / (1 - rates)) ** 0.5
    error = 5 * deviation / count**0.5
    assert np.all(np.abs(y.mean(1) - 2) < error)
    assert np.all(np.abs(y.std(1) - deviation) < error)


def test_gradient_to_the_rate_equals_finite_difference():
    rates = tf.constant([[0.3], [0.6]])

    def loss(shift):
        # The same seed draws the same noise.
        return loss_at(GaussianDropout(rate(), seed=1), rates + shift)

    _, (gradient,) = value_and_gradients(lambda: loss(0.0), [rates])
    for row in range(2):
        shift = np.zeros((2, 1), "float32")
        shift[row] = 1e-2
        difference = to_numpy(loss(shift) - loss(-shift)) / 2e-2
        np.testing.assert_allclose(gradient[row, 0], difference, rtol=2e-2)


# BUG: the square root has an infinite slope at a rate of 0.
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_rate_at_an_end_gives_finite_outputs_and_gradients(value):
    rates = tf.constant([[value], [0.5]])
    layer = GaussianDropout(rate(), seed=1)
    loss, (gradient,) = value_and_gradients(
        lambda: loss_at(layer, rates), [rates]
    )
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()
    assert gradient[1] != 0
