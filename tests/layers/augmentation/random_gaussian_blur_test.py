import inspect

import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn import layers
from tests.layers.augmentation.draws import assert_independent
from tests.layers.augmentation.draws import assert_uniform
from tests.layers.augmentation.draws import draw
from tests.layers.augmentation.draws import strength_of_draws
from tests.numerics import to_numpy


@pytest.fixture
def images():
    random = np.random.default_rng(1)
    return random.uniform(0, 255, (6, 8, 10, 3)).astype("float32")


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("kernel_size", [1, 3, (5, 5)])
@pytest.mark.parametrize("factor", [0, 0.7, (0.5, 0.9)])
def test_equals_keras_with_the_same_seed(
    images, factor, kernel_size, data_format
):
    if data_format == "channels_first":
        images = np.moveaxis(images, -1, 1)
    # With one width only: otherwise Keras shares one draw in a batch.
    layer, keras_layer = (
        one(factor, kernel_size, (0.8, 0.8), data_format=data_format, seed=3)
        for one in (layers.RandomGaussianBlur, keras.layers.RandomGaussianBlur)
    )
    for _ in range(2):
        np.testing.assert_allclose(
            to_numpy(layer(images, training=True)),
            to_numpy(keras_layer(images, training=True)),
            atol=1e-3,
        )


def test_arguments_and_defaults_are_those_of_keras():
    signature = inspect.signature(layers.RandomGaussianBlur)
    assert signature == inspect.signature(keras.layers.RandomGaussianBlur)


@pytest.mark.parametrize("sigma", [0, 0.3, 1.0, (0.4, 0.9)])
def test_first_image_equals_that_of_keras_at_every_width(images, sigma):
    layer, keras_layer = (
        one((1, 1), 3, sigma, seed=3)
        for one in (layers.RandomGaussianBlur, keras.layers.RandomGaussianBlur)
    )
    for _ in range(2):
        np.testing.assert_allclose(
            to_numpy(layer(images, training=True))[0],
            to_numpy(keras_layer(images, training=True))[0],
            atol=1e-3,
        )


def test_widths_are_uniform_up_to_the_strength_and_drawn_apart():
    layer = layers.RandomGaussianBlur(sigma=strength_of_draws(), seed=1)
    drawn = draw(layer, 0.3)
    assert_uniform(drawn["width_sigma"], 0, 0.3)
    assert_uniform(drawn["height_sigma"], 0, 0.3)
    assert_independent(drawn["width_sigma"], drawn["height_sigma"])


@pytest.mark.parametrize(
    "factor, share", [(0.0, 0.0), (0.6, 0.3), ((0.7, 0.9), 0.8), ((1, 1), 1.0)]
)
def test_share_of_blurred_images_is_the_mean_of_the_factor(factor, share):
    drawn = draw(layers.RandomGaussianBlur(factor, seed=1), 0.3)
    assert np.mean(drawn["is_blurred"]) == pytest.approx(share, abs=0.03)


def test_no_strength_returns_the_very_pixels(images):
    layer = layers.RandomGaussianBlur((1, 1), sigma=0.0)
    np.testing.assert_array_equal(
        to_numpy(layer(images, training=True)), images
    )


def test_kernel_of_two_sides_is_wide_and_high_in_this_order(images):
    layer = layers.RandomGaussianBlur((1, 1), (3, 1), (0.8, 0.8))
    point = np.zeros((1, 5, 5, 1), "float32")
    point[0, 2, 2] = 100
    y = to_numpy(layer(point, training=True))[0, :, :, 0]
    assert np.all(y[2, 1:4] > 0)
    assert np.sum(y != 0) == 3
    assert np.sum(y) == pytest.approx(100)


def test_probability_cannot_be_tuned():
    with pytest.raises(ValueError, match="tune `sigma`. Received: factor="):
        layers.RandomGaussianBlur(stn.Float("a", 0.0, 1.0))


@pytest.mark.parametrize("kernel_size", [2, 0, -1, 1.5, (3, 4), (3, 3, 3), "3"])
def test_even_kernel_is_refused_with_a_sentence(kernel_size):
    with pytest.raises(ValueError, match="Received: kernel_size="):
        layers.RandomGaussianBlur(kernel_size=kernel_size)
