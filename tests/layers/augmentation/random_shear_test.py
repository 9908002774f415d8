import numpy as np

from keras_stn import layers
from tests.layers.augmentation.draws import assert_independent
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_shears_are_uniform_up_to_the_strength():
    strength = strength_of_draws()
    drawn = draw(layers.RandomShear(strength, strength, seed=1), 0.3)
    assert_uniform(drawn["x_shear"], -0.3, 0.3)
    assert_uniform(drawn["y_shear"], -0.3, 0.3)
    assert_independent(drawn["x_shear"], drawn["y_shear"])


def test_pair_bounds_the_size_and_half_of_both_shears_are_negative():
    drawn = draw(layers.RandomShear((0.2, 0.4), (0.1, 0.3), seed=1), 0.3)
    assert_uniform(np.abs(drawn["x_shear"]), 0.2, 0.4)
    assert_uniform(np.abs(drawn["y_shear"]), 0.1, 0.3)
    is_negative = drawn["x_shear"] < 0
    np.testing.assert_array_equal(is_negative, drawn["y_shear"] < 0)
    assert 0.45 < np.mean(is_negative) < 0.55


def test_rows_move_further_the_lower_they_are():
    images = np.tile(np.arange(9, dtype="float32"), (2, 4, 1))[..., None]
    layer = layers.RandomShear((1.0, 1.0), fill_mode="nearest", seed=1)
    y = to_numpy(layer(images, training=True))
    drawn = layers.RandomShear((1.0, 1.0), seed=1)
    sides = np.ravel(drawn.get_random_transformation(images)["x_shear"])
    for side, image in zip(sides, y):
        for i, row in enumerate(image):
            expected = np.clip(np.arange(9) + side * i, 0, 8)
            np.testing.assert_allclose(row[:, 0], expected)
