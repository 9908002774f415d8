import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn import layers
from tests.layers.augmentation.draws import LEAST_P_VALUE
from tests.layers.samples import sample_at
from tests.numerics import to_numpy

NAMES = ("brightness", "contrast", "saturation", "hue")
FACTORS = {f"{name}_factor": 0.5 for name in NAMES}


def images(batch_size=6, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 1, (batch_size, 5, 4, 3))
    return x.astype("float32")


def test_equals_the_four_layers_one_after_the_other():
    x = images()
    layer = layers.RandomColorJitter(value_range=(0, 1), seed=5, **FACTORS)
    y = layer(x, training=True)
    for i, layer_class in enumerate(
        (
            layers.RandomBrightness,
            layers.RandomContrast,
            layers.RandomSaturation,
            layers.RandomHue,
        )
    ):
        x = layer_class(0.5, value_range=(0, 1), seed=5 + i)(x, training=True)
    np.testing.assert_allclose(y, x, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_single_factor_leaves_the_others_out(name):
    x = images()
    factor = {f"{name}_factor": 0.5}
    layer = layers.RandomColorJitter(value_range=(0, 1), **factor)
    assert list(layer.jitters) == [name]
    y = to_numpy(layer(x, training=True))
    assert np.all(np.any(y != x, axis=(1, 2, 3)))


def test_without_factors_images_stay():
    x = images()
    layer = layers.RandomColorJitter(value_range=(0, 1))
    np.testing.assert_array_equal(layer(x, training=True), x)


def test_all_four_strengths_are_found_by_the_model():
    network = keras.Sequential(
        [
            keras.Input((5, 4, 3)),
            layers.RandomColorJitter(
                value_range=(0, 1),
                **{
                    f"{name}_factor": stn.Float(name, 0.0, 1.0, default=0.1)
                    for name in NAMES
                },
            ),
            keras.layers.Flatten(),
            layers.HyperDense(2),
        ]
    )
    model = stn.SelfTuningModel(network)
    assert tuple(model.hyperparameter_values()) == NAMES


def test_strengths_are_those_of_the_sample():
    strength = stn.Float("s", 0.0, 1.0, default=0.5)
    layer = layers.RandomColorJitter(
        value_range=(0, 1), **dict.fromkeys(FACTORS, strength)
    )
    x = images()
    y = layer(x, training=True, hyperparameters=sample_at(strength, [0.0, 0.9]))
    np.testing.assert_allclose(to_numpy(y)[:3], x[:3], atol=1e-6)
    assert np.all(np.any(to_numpy(y)[3:] != x[3:], axis=(1, 2, 3)))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_random_order_applies_each_layer_once(jit_compile):
    x = images(30)
    layer = layers.RandomColorJitter(
        value_range=(0, 1), random_order=True, **FACTORS
    )
    drawn = layer.get_random_transformation(x)
    transform = tf.function(layer.transform_images, jit_compile=jit_compile)
    y = to_numpy(transform(x, drawn))
    for i, order in enumerate(to_numpy(drawn["order"])):
        image = x[i : i + 1]
        for name in np.array(NAMES)[order]:
            own = {k: v[i : i + 1] for k, v in drawn[name].items()}
            image = layer.jitters[name].transform_images(image, own)
        np.testing.assert_allclose(y[i : i + 1], image, atol=1e-5)


def test_every_order_is_as_likely():
    from scipy import stats

    layer = layers.RandomColorJitter(random_order=True, **FACTORS)
    drawn = layer.get_random_transformation(
        np.zeros((4800, 1, 1, 3), "float32")
    )
    orders = [tuple(order) for order in to_numpy(drawn["order"])]
    counts = [orders.count(o) for o in itertools.permutations(range(4))]
    assert sum(counts) == 4800
    assert stats.chisquare(counts).pvalue > LEAST_P_VALUE


def test_config_round_trip_keeps_factors_and_order():
    layer = layers.RandomColorJitter(
        value_range=(0, 1),
        hue_factor=stn.Float("hue", 0.0, 1.0, default=0.1),
        contrast_factor=(0.1, 0.2),
        random_order=True,
        data_format="channels_first",
        seed=3,
    )
    again = layers.RandomColorJitter.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.jitters["hue"].factor == layer.jitters["hue"].factor
    assert list(again.jitters) == ["contrast", "hue"]


def test_saved_network_draws_the_same(tmp_path):
    network = keras.Sequential(
        [
            keras.Input((5, 4, 3)),
            layers.RandomColorJitter(value_range=(0, 1), seed=1, **FACTORS),
        ]
    )
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    x = images()
    np.testing.assert_array_equal(
        network(x, training=True), loaded(x, training=True)
    )


def test_grey_images_take_brightness_and_contrast():
    x = images()[..., :1]
    layer = layers.RandomColorJitter(
        value_range=(0, 1), brightness_factor=0.5, contrast_factor=0.5
    )
    assert layer(x, training=True).shape == x.shape
    layer = layers.RandomColorJitter(value_range=(0, 1), hue_factor=0.5)
    with pytest.raises(ValueError, match="three channels"):
        layer(x, training=True)
