import numpy as np
import pytest
import tensorflow as tf

from keras_stn.layers.augmentation.color import adjust_colors
from keras_stn.layers.augmentation.color import rotate_hue
from keras_stn.layers.augmentation.color import scale_saturation
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients


def images(dtype="float32"):
    """Random colours, then greys, black, white and pure ones."""
    random = np.random.default_rng(0).uniform(0, 1, (50, 3))
    special = [
        (0.3, 0.3, 0.3),
        (0, 0, 0),
        (1, 1, 1),
        (1, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
        (1, 1, 0),
        (0, 0.5, 0.5),
        (0.2, 0, 0.2),
    ]
    return np.concatenate([random, special]).astype(dtype).reshape(1, -1, 1, 3)


def rotated(x, turns):
    planes = tf.split(x, 3, axis=-1)
    return tf.concat(rotate_hue(planes, turns), axis=-1)


def saturated(x, factor, **arguments):
    planes = tf.split(x, 3, axis=-1)
    return tf.concat(scale_saturation(planes, factor, **arguments), axis=-1)


@pytest.mark.parametrize("turns", [-0.5, -0.31, 0.0, 0.01, 0.25, 0.5])
def test_rotation_equals_that_of_tensorflow(turns):
    x = images()
    np.testing.assert_allclose(
        rotated(x, turns), tf.image.adjust_hue(x, turns), atol=2e-6
    )


def test_whole_turn_changes_nothing():
    x = images()
    for turns in (-2.0, -1.0, 1.0, 3.0):
        np.testing.assert_allclose(rotated(x, turns), x, atol=2e-6)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7, 50.0])
def test_saturation_equals_that_of_tensorflow(factor):
    x = images()
    np.testing.assert_allclose(
        saturated(x, factor),
        tf.image.adjust_saturation(x, factor),
        atol=2e-6,
    )


def test_black_may_have_any_value():
    x = images()
    np.testing.assert_allclose(
        saturated(3 * x - 2, 1.7, black=-2.0),
        3 * saturated(x, 1.7) - 2,
        atol=1e-5,
    )


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 3.0])
@pytest.mark.parametrize("turns", [-0.4, 0.1])
def test_both_at_once_are_one_after_the_other(factor, turns):
    x = 2 * images() - 1
    both = adjust_colors(tf.split(x, 3, axis=-1), factor, turns, black=-1.0)
    np.testing.assert_allclose(
        tf.concat(both, axis=-1),
        rotated(saturated(x, factor, black=-1.0), turns),
        atol=1e-5,
    )


def test_grey_stays_grey_with_finite_gradients():
    x = tf.constant([[[[0.3, 0.3, 0.3]]], [[[0.0, 0.0, 0.0]]]])
    turns, factor = tf.constant(0.2), tf.constant(1.5)

    def total():
        y = rotated(x, turns) + saturated(x, factor)
        return tf.reduce_sum(y * [1.0, 2.0, 3.0])

    value, gradients = value_and_gradients(total, [x, turns, factor])
    assert value == pytest.approx(0.3 * 12)
    for gradient in gradients:
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("turns", [-0.4, 0.03, 0.2])
def test_gradient_of_the_rotation_is_the_finite_difference(turns):
    x = tf.constant(images("float64")[:, :50])
    weights = np.random.default_rng(1).normal(size=x.shape)
    turns, h = tf.constant(turns, "float64"), 1e-7

    def total(x, turns):
        return tf.reduce_sum(rotated(x, turns) * weights)

    _, (to_x, to_turns) = value_and_gradients(
        lambda: total(x, turns), [x, turns]
    )
    difference = (total(x, turns + h) - total(x, turns - h)) / (2 * h)
    np.testing.assert_allclose(to_turns, difference, rtol=1e-5)
    direction = np.random.default_rng(2).normal(size=x.shape)
    difference = total(x + h * direction, turns) - total(
        x - h * direction, turns
    )
    np.testing.assert_allclose(
        np.sum(to_x * direction), difference / (2 * h), rtol=1e-5
    )


@pytest.mark.parametrize("factor", [0.2, 1.3])
def test_gradient_of_the_saturation_is_the_finite_difference(factor):
    x = tf.constant(images("float64")[:, :50])
    weights = np.random.default_rng(1).normal(size=x.shape)
    factor, h = tf.constant(factor, "float64"), 1e-7

    def total(x, factor):
        return tf.reduce_sum(saturated(x, factor) * weights)

    _, (to_x, to_factor) = value_and_gradients(
        lambda: total(x, factor), [x, factor]
    )
    difference = (total(x, factor + h) - total(x, factor - h)) / (2 * h)
    np.testing.assert_allclose(to_factor, difference, rtol=1e-5)
    direction = np.random.default_rng(2).normal(size=x.shape)
    difference = total(x + h * direction, factor) - total(
        x - h * direction, factor
    )
    np.testing.assert_allclose(
        np.sum(to_numpy(to_x) * direction), difference / (2 * h), rtol=1e-5
    )
