import inspect

import keras
import numpy as np
import pytest

from keras_stn import layers
from tests.numerics import to_numpy

NAMES = (
    "RandomHue",
    "RandomSaturation",
    "RandomBrightness",
    "RandomContrast",
    "RandomColorJitter",
)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_begin_with_those_of_keras(name):
    ours, theirs = (
        [
            (p.name, p.default)
            for p in inspect.signature(
                getattr(module, name).__init__
            ).parameters.values()
            if p.kind is not p.VAR_KEYWORD
        ]
        for module in (layers, keras.layers)
    )
    assert ours[: len(theirs)] == theirs


@pytest.mark.parametrize("name", NAMES[:-1])
def test_channels_normalized_apart_are_those_of_plain_pixels(name):
    mean, deviation = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    x = np.random.default_rng(0).uniform(0, 1, (6, 5, 4, 3))
    plain = getattr(layers, name)(
        0.9, value_range=(0, 1), seed=1, dtype="float64"
    )
    normalized = getattr(layers, name)(
        0.9,
        value_range=(-mean / deviation, (1 - mean) / deviation),
        seed=1,
        dtype="float64",
    )
    y = to_numpy(normalized((x - mean) / deviation, training=True))
    np.testing.assert_allclose(
        y * deviation + mean, plain(x, training=True), atol=1e-9
    )


@pytest.mark.parametrize("name", NAMES[:-1])
def test_bytes_are_taken_as_pixels(name):
    x = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), "uint8")
    layer_class = getattr(layers, name)
    y = layer_class(0.5, seed=1)(x, training=True)
    assert y.dtype == "float32"
    floats = layer_class(0.5, seed=1)(x.astype("float32"), training=True)
    np.testing.assert_array_equal(y, floats)
