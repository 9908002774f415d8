import keras
import numpy as np
import pytest

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_shift_is_uniform_up_to_the_strength():
    shift = draw(layers.RandomBrightness(strength_of_draws()), 0.3)["shift"]
    assert_uniform(shift, -0.3, 0.3)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1, (-0.5, 0.2), (0.4, 0.4)])
def test_equals_keras_at_a_fixed_factor(factor):
    x = np.random.default_rng(0).uniform(0, 255, (20, 5, 4, 1))
    x = x.astype("float32")
    np.testing.assert_allclose(
        layers.RandomBrightness(factor, seed=3)(x, training=True),
        keras.layers.RandomBrightness(factor, seed=3)(x, training=True),
        rtol=1e-6,
    )


def test_is_clipped_to_the_value_range():
    x = np.full((100, 2, 2, 1), 0.5, "float32")
    y = layers.RandomBrightness(1.0, value_range=(0, 1))(x, training=True)
    y = to_numpy(y)
    assert y.min() == 0
    assert y.max() == 1


@pytest.mark.parametrize(
    "factor", [-0.1, 1.2, (-2, 0), (0, 1, 2), "much", None, True, np.nan]
)
def test_bad_factor_gets_a_sentence(factor):
    with pytest.raises(ValueError, match="`factor` must be a number.*Received"):
        layers.RandomBrightness(factor)
