import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.layers import VariationalDropout
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference


def rate(per_example=True):
    return stn.Float("rate", 0.0, 1.0, default=0.5, per_example=per_example)


def drop(inputs, rates):
    sample = sample_at(rate(), rates)
    layer = VariationalDropout(rate(), seed=1)
    return to_numpy(layer(inputs, training=True, hyperparameters=sample))


def test_all_steps_share_a_mask_and_examples_do_not():
    kept = drop(np.ones((4, 20, 30), "float32"), [0.5]) != 0
    assert np.all(kept == kept[:, :1])
    assert np.any(kept[0] != kept[1])
    assert np.any(kept[:, :, :1] != kept)


def test_drop_frequency_is_the_rate_of_the_example():
    rates = np.float32([0.01, 0.1, 0.5, 0.9])
    count = 40000
    dropped = drop(np.ones((4, 2, count), "float32"), rates)[:, 0] == 0
    deviation = (rates * (1 - rates) / count) ** 0.5
    assert np.all(np.abs(dropped.mean(1) - rates) < 5 * deviation)


def test_rate_has_no_gradient():
    rates = tf.constant([0.3, 0.5])
    layer = VariationalDropout(rate())
    with tf.GradientTape() as tape:
        tape.watch(rates)
        sample = sample_at(rate(), rates)
        x = np.ones((2, 3, 4), "float32")
        y = tf.reduce_sum(layer(x, training=True, hyperparameters=sample))
    assert tape.gradient(y, rates) is None


@pytest.mark.parametrize("name", ["locked", "locked_float"])
def test_output_and_gradient_equal_official(name, monkeypatch):
    arrays = load_reference("dropout_s401")
    # The official sequences are time-major.
    x, keep, out = (
        np.float32(arrays[f"{name}/{key}"].transpose(1, 0, 2))
        for key in ("x", "keep_mask", "out")
    )

    def uniform(shape, **kwargs):
        assert tuple(shape) == keep.shape
        return tf.constant(np.where(keep == 1, 1 - 1e-6, -1e-6), "float32")

    monkeypatch.setattr(keras.random, "uniform", uniform)
    rates = arrays["locked/probs" if name == "locked" else "locked_float/p"]
    np.testing.assert_allclose(drop(x, rates), out, rtol=1e-5)
    if name == "locked":
        layer, sample = VariationalDropout(rate()), sample_at(rate(), rates)
        x, r = tf.constant(x), np.float32(arrays["locked/r"])

        def loss():
            y = layer(x, training=True, hyperparameters=sample)
            return tf.reduce_sum(y * r.transpose(1, 0, 2))

        _, (gradient,) = value_and_gradients(loss, [x])
        np.testing.assert_allclose(
            gradient, arrays["grad/locked"].transpose(1, 0, 2), rtol=1e-5
        )


def test_input_without_an_axis_of_time_is_refused():
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        VariationalDropout(0.5)(np.ones((2, 3)))
