import numpy as np

from keras_stn import layers
from tests.layers.augmentation.draws import assert_independent
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_shifts_are_uniform_up_to_the_strength():
    strength = strength_of_draws()
    drawn = draw(layers.RandomTranslation(strength, strength, seed=1), 0.3)
    assert_uniform(drawn["height_shift"], -0.3, 0.3)
    assert_uniform(drawn["width_shift"], -0.3, 0.3)


def test_both_shifts_are_drawn_apart_from_one_strength():
    strength = strength_of_draws()
    drawn = draw(layers.RandomTranslation(strength, strength, seed=1), 0.3)
    assert_independent(drawn["height_shift"], drawn["width_shift"])


def test_positive_shift_goes_down_and_to_the_right():
    images = np.arange(16, dtype="float32").reshape(1, 4, 4, 1)
    layer = layers.RandomTranslation((0.25, 0.25), (0.5, 0.5), "wrap")
    y = to_numpy(layer(images, training=True))
    np.testing.assert_allclose(y[0], np.roll(images[0], (1, 2), (0, 1)))


def test_pair_bounds_the_shift():
    layer = layers.RandomTranslation((0.5, -0.25), 0, seed=1)
    drawn = draw(layer, 0.3)
    assert_uniform(drawn["height_shift"], -0.25, 0.5)
    np.testing.assert_array_equal(drawn["width_shift"], 0)
