import keras
import numpy as np
import pytest

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_multiplier_is_uniform_around_one():
    factor = draw(layers.RandomContrast(strength_of_draws()), 0.3)["factor"]
    assert_uniform(factor, 0.7, 1.3)


@pytest.mark.parametrize("factor", [(0.1, 0.3), (0.0, 0.9)])
def test_equals_keras_between_two_factors(factor):
    x = np.random.default_rng(0).uniform(0, 255, (20, 5, 4, 3))
    x = x.astype("float32")
    np.testing.assert_allclose(
        layers.RandomContrast(factor, seed=3)(x, training=True),
        keras.layers.RandomContrast(factor, seed=3)(x, training=True),
        atol=1e-3,
    )


def test_mean_of_every_channel_stays():
    x = np.random.default_rng(0).uniform(0.4, 0.6, (8, 5, 4, 3))
    layer = layers.RandomContrast(0.5, value_range=(0, 1))
    y = to_numpy(layer(x, training=True))
    np.testing.assert_allclose(y.mean((1, 2)), x.mean((1, 2)), rtol=1e-5)
    assert np.all(y.std((1, 2)) != x.std((1, 2)))
