import numpy as np
import pytest

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_multiplier_is_uniform_between_the_inverse_and_the_sum():
    factor = draw(layers.RandomInputScale(strength_of_draws()), 0.25)["factor"]
    assert_uniform(factor, 0.8, 1.25)


@pytest.mark.parametrize("shape", [(6, 7), (6, 5, 7), (6, 5, 4, 3)])
def test_inputs_of_any_rank_are_scaled_by_the_example(shape):
    x = np.ones(shape, "float32")
    y = to_numpy(layers.RandomInputScale(0.3)(x, training=True))
    for example in y:
        np.testing.assert_array_equal(example, example.ravel()[0])
    assert len(np.unique(y)) == 6


def test_strength_may_be_large():
    factor = layers.RandomInputScale(9.0).get_random_transformation(
        np.zeros((500, 1), "float32")
    )["factor"]
    assert_uniform(np.ravel(factor), 0.1, 10.0)
