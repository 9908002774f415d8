"""What every augmentation that moves pixels must do."""

import inspect

import keras
import numpy as np
import pytest

from keras_stn import layers
from keras_stn.layers.augmentation.resampling import FILL_MODES
from keras_stn.layers.augmentation.resampling import INTERPOLATIONS
from tests.numerics import to_numpy

# A new layer is covered by its line here: the layer, the one of Keras, and
# lists of arguments to compare them with.
CASES = {
    "translation": (
        layers.RandomTranslation,
        keras.layers.RandomTranslation,
        [(0.3, 0.6), ((-0.2, 0.5), 0), (1.0, (0.3, 0.1))],
    ),
    "zoom": (
        layers.RandomZoom,
        keras.layers.RandomZoom,
        [(0.3, 0.6), (0.4,), ((-0.5, 0.2), (0.3, 0.1))],
    ),
    "rotation": (
        layers.RandomRotation,
        keras.layers.RandomRotation,
        [(0.05,), (1.0,), ((-0.2, 0.3),)],
    ),
    "shear": (
        layers.RandomShear,
        keras.layers.RandomShear,
        [(0.3, 0.6), (0.5,), ((0.2, 0.4), (0.1, 0.9))],
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def images():
    random = np.random.default_rng(1)
    return random.uniform(0, 255, (4, 8, 10, 3)).astype("float32")


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_equals_keras_with_the_same_seed(
    case, images, fill_mode, interpolation
):
    layer_class, keras_class, factors = case
    for factor in factors:
        layer, keras_layer = (
            one(
                *factor,
                fill_mode=fill_mode,
                interpolation=interpolation,
                fill_value=9.0,
                seed=3,
            )
            for one in (layer_class, keras_class)
        )
        for _ in range(2):
            np.testing.assert_allclose(
                to_numpy(layer(images, training=True)),
                to_numpy(keras_layer(images, training=True)),
                atol=1e-2,
            )


def test_equals_keras_with_channels_first(case, images):
    layer_class, keras_class, factors = case
    images = np.moveaxis(images, -1, 1)
    layer, keras_layer = (
        one(*factors[0], data_format="channels_first", seed=3)
        for one in (layer_class, keras_class)
    )
    for inputs in (images, images[0]):
        np.testing.assert_allclose(
            to_numpy(layer(inputs, training=True)),
            to_numpy(keras_layer(inputs, training=True)),
            atol=1e-2,
        )


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_no_strength_returns_the_very_pixels(
    case, images, fill_mode, interpolation
):
    layer_class, _, factors = case
    layer = layer_class(
        *[0.0 for _ in factors[0]],
        fill_mode=fill_mode,
        interpolation=interpolation,
    )
    np.testing.assert_array_equal(
        to_numpy(layer(images, training=True)), images
    )


def test_arguments_and_defaults_are_those_of_keras(case):
    layer_class, keras_class, _ = case
    assert inspect.signature(layer_class) == inspect.signature(keras_class)


@pytest.mark.parametrize("argument", ["fill_mode", "interpolation"])
def test_unknown_choice_is_refused_with_a_sentence(case, argument):
    layer_class, _, factors = case
    message = f"`{argument}` must be one of .* Received: {argument}='mirror'"
    with pytest.raises(ValueError, match=message):
        layer_class(*factors[0], **{argument: "mirror"})
