import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_stn import layers
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


def test_turns_are_uniform_up_to_half_the_strength():
    turns = draw(layers.RandomHue(strength_of_draws()), 0.4)["turns"]
    assert_uniform(turns, -0.2, 0.2)


@pytest.mark.parametrize("factor", [0.4, (0.2, 0.6)])
def test_equals_keras_at_a_fixed_factor(factor):
    x = np.random.default_rng(0).uniform(0, 255, (20, 5, 4, 3))
    x = x.astype("float32")
    np.testing.assert_allclose(
        layers.RandomHue(factor, seed=3)(x, training=True),
        keras.layers.RandomHue(factor, seed=3)(x, training=True),
        atol=1e-3,
    )


def test_image_is_that_of_tensorflow_at_what_was_drawn():
    x = np.random.default_rng(0).uniform(0, 1, (6, 5, 4, 3)).astype("float32")
    layer = layers.RandomHue(0.9, value_range=(0, 1))
    drawn = layer.get_random_transformation(x)
    y = to_numpy(layer.transform_images(x, drawn))
    for image, turns, result in zip(x, to_numpy(drawn["turns"]), y):
        np.testing.assert_allclose(
            result, tf.image.adjust_hue(image, turns.item()), atol=2e-6
        )


def test_images_without_colour_are_refused():
    layer = layers.RandomHue(0.5)
    with pytest.raises(ValueError, match="three channels.*1 channels"):
        layer(np.zeros((2, 8, 8, 1), "float32"), training=True)


def test_value_range_of_channels_survives_the_config():
    layer = layers.RandomHue(0.9, value_range=([-2, -1, -1], (2, 1.5, 1)))
    config = layer.get_config()
    assert config["value_range"] == ([-2, -1, -1], [2, 1.5, 1])
    assert layers.RandomHue.from_config(config).get_config() == config


@pytest.mark.parametrize(
    "value_range",
    [(1, 0), (0,), 255, "all", (0, 0), ((0, 0), 1), (None, 1)],
)
def test_bad_value_range_gets_a_sentence(value_range):
    with pytest.raises(ValueError, match="`value_range` must be a pair"):
        layers.RandomHue(0.5, value_range=value_range)


def test_value_range_of_other_channels_gets_a_sentence():
    layer = layers.RandomHue(0.5, value_range=((0, 0), (1, 1)))
    with pytest.raises(ValueError, match="number for each channel"):
        layer(np.zeros((2, 8, 8, 3), "float32"), training=True)
