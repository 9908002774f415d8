import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.layers import Dropout
from keras_stn.layers import SpatialDropout2D
from tests.layers.samples import sample_at
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients
from tests.reference_arrays import load_reference


def rate():
    return stn.Float("rate", 0.0, 1.0, default=0.5)


def drop(layer, inputs, rates):
    sample = sample_at(rate(), rates)
    return to_numpy(layer(inputs, training=True, hyperparameters=sample))


def test_drop_frequencies_match_the_rates():
    rates = np.float32([0.01, 0.1, 0.5, 0.9])
    count = 40000
    y = drop(Dropout(rate(), seed=1), np.ones((4, count), "float32"), rates)
    deviation = (rates * (1 - rates) / count) ** 0.5
    assert np.all(np.abs((y == 0).mean(1) - rates) < 5 * deviation)


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_small_rates_are_exact_in_half_precision(dtype):
    layer = Dropout(rate(), seed=1, dtype=dtype)
    y = drop(layer, np.ones((1, 200_000), "float32"), [0.002])
    share = np.mean(y.astype("float32") == 0)
    assert abs(share - 0.002) < 5 * np.sqrt(0.002 / 200_000)


def test_what_is_kept_is_scaled_up_by_the_keep_probability():
    rates = np.float32([0.1, 0.5, 0.75])
    y = drop(Dropout(rate(), seed=1), np.ones((3, 200), "float32"), rates)
    for row, each in zip(y, rates):
        np.testing.assert_allclose(row[row != 0], 1 / (1 - each), rtol=1e-6)


def test_mask_equals_that_of_keras():
    x = np.ones((50, 20), "float32")
    ours = drop(Dropout(rate(), seed=7), x, [0.3])
    theirs = keras.layers.Dropout(0.3, seed=7)(x, training=True)
    np.testing.assert_array_equal(ours == 0, to_numpy(theirs) == 0)


def test_rate_of_one_gives_zeros_and_finite_gradients():
    for dtype in ("float32", "mixed_float16", "mixed_bfloat16"):
        layer = Dropout(rate(), seed=1, dtype=dtype)
        x = tf.fill((2, 50), 100.0)
        rates = tf.constant([[1.0], [0.5]])
        outputs = []

        def loss(layer=layer, x=x, rates=rates, outputs=outputs):
            sample = Sample(rates, rates, [rate()])
            outputs.append(layer(x, training=True, hyperparameters=sample))
            return tf.reduce_sum(tf.cast(outputs[0], tf.float32) ** 2)

        _, (grad_x, _) = value_and_gradients(loss, [x, rates])
        np.testing.assert_array_equal(to_numpy(outputs[0])[0], 0)
        np.testing.assert_array_equal(grad_x[0], 0)
        assert np.isfinite(grad_x).all()


def test_rate_has_no_gradient():
    layer = Dropout(rate(), seed=1)
    rates = tf.constant([[0.3], [0.5]])

    def loss():
        sample = Sample(rates, rates, [rate()])
        x = np.ones((2, 50), "float32")
        return tf.reduce_sum(layer(x, training=True, hyperparameters=sample))

    with tf.GradientTape() as tape:
        tape.watch(rates)
        value = loss()
    assert tape.gradient(value, rates) is None


@pytest.mark.parametrize(
    "noise_shape, shared_axes",
    [
        (None, ()),
        ((None, None, None), ()),
        ((None, 1, None), (1,)),
        ((None, None, 1), (2,)),
        ((None, 1, 1), (1, 2)),
        ((1, None, None), (0,)),
        ((4, 1, 30), (1,)),
    ],
)
def test_mask_is_shared_along_axes_of_size_one(noise_shape, shared_axes):
    layer = Dropout(rate(), noise_shape=noise_shape, seed=1)
    kept = drop(layer, np.ones((4, 20, 30), "float32"), [0.5]) != 0
    for axis in range(3):
        first = kept.take([0], axis)
        assert np.all(kept == first) == (axis in shared_axes)


def test_shared_mask_drops_more_where_the_rate_is_higher():
    layer = Dropout(rate(), noise_shape=(1, None), seed=1)
    rates = [0.1, 0.3, 0.6, 0.9]
    kept = drop(layer, np.ones((4, 200), "float32"), rates) != 0
    # One uniform number a column, compared with every example's rate.
    assert np.all(kept[:-1] >= kept[1:])
    np.testing.assert_allclose(1 - kept.mean(1), rates, atol=0.15)


def with_masks(monkeypatch, keep):
    """Makes `keras.random.uniform` agree with the masks at every rate."""

    def uniform(shape, **kwargs):
        assert tuple(shape) == keep.shape
        return tf.constant(np.where(keep == 1, 1 - 1e-6, -1e-6), tf.float32)

    monkeypatch.setattr(keras.random, "uniform", uniform)


@pytest.mark.parametrize("name", ["dropout", "dropout_flat", "dropout_2d"])
def test_output_and_gradient_equal_official_of_each_example(name, monkeypatch):
    arrays = load_reference("dropout_s401")
    x = tf.constant(arrays[f"{name}/x"], tf.float32)
    keep = arrays[f"{name}/keep_mask"]
    layer = Dropout(rate())
    if name == "dropout_2d":
        layer = SpatialDropout2D(rate(), data_format="channels_first")
        keep = keep[:, :, None, None]
    else:
        keep = keep.reshape(x.shape)
    with_masks(monkeypatch, keep)
    sample = sample_at(rate(), arrays[f"{name}/probs"])
    outputs = []

    def loss():
        outputs.append(layer(x, training=True, hyperparameters=sample))
        return tf.reduce_sum(outputs[0] * np.float32(arrays[f"{name}/r"]))

    _, (gradient,) = value_and_gradients(loss, [x])
    np.testing.assert_allclose(
        to_numpy(outputs[0]), arrays[f"{name}/out"], rtol=1e-5
    )
    np.testing.assert_allclose(gradient, arrays[f"grad/{name}"], rtol=1e-5)


@pytest.mark.parametrize("name", ["locked", "locked_float"])
def test_output_equals_official_with_a_mask_shared_over_time(name, monkeypatch):
    arrays = load_reference("dropout_s401")
    # The official sequences are time-major.
    x = np.float32(arrays[f"{name}/x"].transpose(1, 0, 2))
    with_masks(monkeypatch, arrays[f"{name}/keep_mask"].transpose(1, 0, 2))
    rates = arrays["locked/probs" if name == "locked" else "locked_float/p"]
    layer = Dropout(rate(), noise_shape=(None, 1, None))
    np.testing.assert_allclose(
        drop(layer, x, rates),
        arrays[f"{name}/out"].transpose(1, 0, 2),
        rtol=1e-5,
    )


def test_frequencies_equal_the_official_ones():
    arrays = load_reference("dropout_s401")
    rates, count = arrays["stat/probs"], 20000
    y = drop(Dropout(rate(), seed=2), np.ones((4, count), "float32"), rates)
    deviation = (rates * (1 - rates) / count) ** 0.5
    official = arrays["stat/dropout_zero_fraction"]
    error = 5 * deviation * (1 + count / arrays["stat/n"]) ** 0.5 + 1e-9
    assert np.all(np.abs((y == 0).mean(1) - official) < error)
    np.testing.assert_allclose(
        y.max(1), arrays["stat/nonzero_values"], rtol=1e-5
    )
