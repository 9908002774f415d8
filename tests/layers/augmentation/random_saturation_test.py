import keras
import numpy as np
import tensorflow as tf

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_share_of_saturation_is_uniform_around_one_half():
    multiplier = draw(layers.RandomSaturation(strength_of_draws()), 0.4)
    multiplier = multiplier["factor"]
    assert_uniform(multiplier / (1 + multiplier), 0.3 - 1e-6, 0.7 + 1e-6)


def test_equals_keras_between_two_factors():
    x = np.random.default_rng(0).uniform(0, 255, (20, 5, 4, 3))
    x = x.astype("float32")
    # Above 0.5 Keras lets the saturation grow beyond 1.
    pair = (0.1, 0.5)
    np.testing.assert_allclose(
        layers.RandomSaturation(pair, seed=3)(x, training=True),
        keras.layers.RandomSaturation(pair, seed=3)(x, training=True),
        atol=1e-3,
    )


def test_image_is_that_of_tensorflow_at_what_was_drawn():
    x = np.random.default_rng(0).uniform(0, 1, (6, 5, 4, 3)).astype("float32")
    layer = layers.RandomSaturation(0.9, value_range=(0, 1))
    drawn = layer.get_random_transformation(x)
    y = to_numpy(layer.transform_images(x, drawn))
    for image, factor, result in zip(x, to_numpy(drawn["factor"]), y):
        np.testing.assert_allclose(
            result,
            tf.image.adjust_saturation(image, factor.item()),
            atol=2e-6,
        )


def test_largest_strength_stays_finite_and_in_range():
    x = np.random.default_rng(0).uniform(0, 1, (200, 3, 3, 3))
    y = layers.RandomSaturation(1.0, value_range=(0, 1))(x, training=True)
    y = to_numpy(y)
    assert np.isfinite(y).all()
    assert y.min() >= -1e-6
    assert y.max() <= 1 + 1e-6
