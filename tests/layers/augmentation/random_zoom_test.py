import numpy as np

from keras_stn import layers
from tests.layers.augmentation.draws import assert_independent
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_zooms_are_uniform_around_one():
    strength = strength_of_draws()
    drawn = draw(layers.RandomZoom(strength, strength, seed=1), 0.3)
    assert_uniform(drawn["height_zoom"], 0.7, 1.3)
    assert_uniform(drawn["width_zoom"], 0.7, 1.3)
    assert_independent(drawn["height_zoom"], drawn["width_zoom"])


def test_without_a_width_factor_proportions_are_kept():
    drawn = draw(layers.RandomZoom(strength_of_draws(), seed=1), 0.3)
    np.testing.assert_array_equal(drawn["height_zoom"], drawn["width_zoom"])


def test_positive_zoom_shows_more_around_the_same_centre():
    images = np.zeros((1, 5, 5, 1), "float32")
    images[0, 1:4, 1:4] = 1
    layer = layers.RandomZoom((1.0, 1.0), fill_mode="constant")
    y = to_numpy(layer(images, training=True))
    expected = np.zeros((5, 5))
    expected[2, 2] = 1
    np.testing.assert_allclose(y[0, :, :, 0], expected)
