import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers import AlphaDropout
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients

RATES = np.float32([0.01, 0.1, 0.5, 0.9])
COUNT = 40000
# Where SELU ends, from the paper.
SATURATION = -1.7580993408473766


def rate():
    return stn.Float("rate", 0.0, 1.0, default=0.5)


def drop(inputs, rates, **arguments):
    layer = AlphaDropout(rate(), seed=1, **arguments)
    sample = sample_at(rate(), rates)
    return to_numpy(layer(inputs, training=True, hyperparameters=sample))


def factors(rates):
    """What a unit's distance from the mean after dropping is multiplied by."""
    return (1 - rates) ** -0.5 * (1 + rates * SATURATION**2) ** -0.5


def test_mean_and_variance_of_normal_input_are_kept_at_every_rate():
    x = np.random.default_rng(1).normal(size=(len(RATES), COUNT))
    y = drop(x.astype("float32"), RATES)
    # Five standard errors, those of the variance with the fourth moment.
    centred = y - y.mean(1, keepdims=True)
    error = 5 * ((centred**4).mean(1) - 1) ** 0.5 / COUNT**0.5
    assert np.all(np.abs(y.mean(1)) < 5 / COUNT**0.5)
    assert np.all(np.abs(y.var(1) - 1) < error)
    assert np.all(error < 0.15)


def test_share_and_value_of_dropped_units_are_those_of_each_rate():
    y = drop(np.full((len(RATES), COUNT), 2.0, "float32"), RATES)
    kept = factors(RATES) * (2 - RATES * SATURATION)
    dropped = factors(RATES) * (SATURATION - RATES * SATURATION)
    is_dropped = y < 0
    deviation = (RATES * (1 - RATES) / COUNT) ** 0.5
    assert np.all(np.abs(is_dropped.mean(1) - RATES) < 5 * deviation)
    for i in range(len(RATES)):
        np.testing.assert_allclose(y[i][is_dropped[i]], dropped[i], rtol=1e-4)
        np.testing.assert_allclose(y[i][~is_dropped[i]], kept[i], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_rate_of_one_gives_zeros_and_finite_gradients(dtype, compiled):
    layer = AlphaDropout(rate(), seed=1, dtype=dtype)

    @tf.function(jit_compile=True)
    def call(x, rates):
        sample = Sample(rates, rates, [rate()])
        return layer(x, training=True, hyperparameters=sample)

    call = call if compiled else call.python_function
    x, rates = tf.fill((2, 50), 100.0), tf.constant([[1.0], [0.5]])
    np.testing.assert_array_equal(to_numpy(call(x, rates))[0], 0)
    _, (gradient,) = value_and_gradients(
        lambda: tf.reduce_sum(tf.cast(call(x, rates), tf.float32)), [x]
    )
    np.testing.assert_array_equal(gradient[0], 0)
    assert np.isfinite(gradient).all()
    assert np.any(gradient[1] != 0)


def test_rate_has_no_gradient():
    rates = tf.constant([[0.3], [0.5]])
    layer = AlphaDropout(rate(), seed=1)
    with tf.GradientTape() as tape:
        tape.watch(rates)
        sample = Sample(rates, rates, [rate()])
        y = layer(np.ones((2, 50)), training=True, hyperparameters=sample)
        loss = tf.reduce_sum(y)
    assert tape.gradient(loss, rates) is None


# Numbers drawn in half precision take few values, with which small rates would
# drop nothing or too much.
def test_small_rates_are_kept_in_half_precision():
    small = np.float32([0.0015, 0.005])
    x = np.full((2, COUNT), 2.0, "float32")
    y = drop(x, small, dtype="mixed_bfloat16").astype("float32")
    deviation = (small / COUNT) ** 0.5
    assert np.all(np.abs((y < 0).mean(1) - small) < 5 * deviation)
