import numpy as np

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_angles_are_uniform_up_to_the_strength():
    drawn = draw(layers.RandomRotation(strength_of_draws(), seed=1), 0.3)
    assert_uniform(drawn["turns"], -0.3, 0.3)


def test_quarter_turn_goes_counterclockwise():
    images = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)
    y = to_numpy(layers.RandomRotation((0.25, 0.25))(images, training=True))
    np.testing.assert_allclose(y[0], np.rot90(images[0]), atol=1e-4)
