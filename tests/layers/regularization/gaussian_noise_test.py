import numpy as np
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers import GaussianNoise
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients


def stddev():
    return stn.Float("stddev", 0.0, 1.0, default=0.5)


def test_noise_has_mean_zero_and_each_examples_deviation():
    deviations = np.float32([0.01, 0.3, 1.0])
    count = 40000
    layer = GaussianNoise(stddev(), seed=1)
    y = to_numpy(
        layer(
            np.full((3, count), 2.0, "float32"),
            training=True,
            hyperparameters=sample_at(stddev(), deviations),
        )
    )
    error = 5 * deviations / count**0.5
    assert np.all(np.abs(y.mean(1) - 2) < error + 1e-6)
    assert np.all(np.abs(y.std(1) - deviations) < error)


def test_gradient_to_the_deviation_is_the_noise():
    layer = GaussianNoise(stddev(), seed=1)
    x = np.ones((2, 3), "float32")
    deviations = tf.constant([[0.25], [0.5]])
    outputs = []

    def loss():
        sample = Sample(deviations, deviations, [stddev()])
        outputs.append(layer(x, training=True, hyperparameters=sample))
        return tf.reduce_sum(outputs[0])

    _, (gradient,) = value_and_gradients(loss, [deviations])
    noise = (to_numpy(outputs[0]) - x) / deviations.numpy()
    np.testing.assert_allclose(
        gradient[:, 0], noise.sum(1), rtol=1e-4, atol=1e-5
    )
