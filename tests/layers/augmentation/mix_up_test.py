"""What `MixUp` does, and what it shares with `CutMix`."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import Sample
from keras_stn.hyperparameters.step import Step
from keras_stn.hyperparameters.step import entered
from tests.layers.samples import Providing
from tests.layers.samples import sample_at
from tests.numerics import value_and_gradients

STRENGTH = stn.Float("strength", 0.0, 1.0, default=0.5)
IMAGES = np.random.default_rng(0).normal(size=(8, 6, 5, 3)).astype("float32")


@pytest.fixture(params=["MixUp", "CutMix"])
def cls(request):
    return getattr(stn.layers, request.param)


def mix(layer, images=IMAGES, sample=None):
    """Calls a layer in a weight step; returns its output and `LabelMix`."""
    with entered(Step("training", None)) as step:
        outputs = Providing(layer, sample)(images, training=True)
    (label_mix,) = step.mixes
    return outputs, label_mix


def test_images_are_mixed_as_the_labels_will_be():
    outputs, (partners, weights) = mix(stn.layers.MixUp(0.5))
    share = ops.reshape(weights, (-1, 1, 1, 1))
    expected = share * IMAGES + (1 - share) * IMAGES[np.array(partners)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    assert len(np.unique(weights)) == 8


def test_features_of_any_rank_are_mixed():
    for shape in ((8, 4), (8, 4, 3), (8, 2, 2, 2, 2)):
        features = np.ones(shape, "float32")
        outputs, _ = mix(stn.layers.MixUp(0.5), features)
        np.testing.assert_allclose(outputs, features, rtol=1e-6)


def test_each_example_has_its_own_strength():
    images = np.zeros((2000, 1), "float32")
    alpha = stn.Float("alpha", 0.0, 100.0)
    sample = sample_at(alpha, [0.02, 50.0])
    _, (_, weights) = mix(stn.layers.MixUp(alpha), images, sample)
    low, high = np.abs(np.array(weights) - 0.5).reshape(2, -1).mean(axis=1)
    assert low > 0.45 and high < 0.1


def test_the_partners_are_a_permutation(cls):
    layer = cls(0.5)
    draws = [np.array(mix(layer)[1].partners) for _ in range(4)]
    for partners in draws:
        np.testing.assert_array_equal(np.sort(partners), np.arange(8))
    assert len({tuple(partners) for partners in draws}) > 1


def test_inference_and_tuning_leave_images_alone(cls):
    layer = cls(STRENGTH)
    np.testing.assert_array_equal(layer(IMAGES), IMAGES)
    with entered(Step("tuning", None)):
        np.testing.assert_array_equal(layer(IMAGES, training=False), IMAGES)


@pytest.mark.parametrize("kind", [None, "tuning", "evaluation"])
def test_training_outside_of_a_weight_step_is_refused(cls, kind):
    layer = cls(0.5)
    context = entered(None if kind is None else Step(kind, None))
    with context, pytest.raises(ValueError, match="mix their labels"):
        layer(IMAGES, training=True)


def test_fit_of_a_plain_keras_model_is_refused(cls):
    model = keras.Sequential(
        [cls(0.5), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(ValueError, match="mix their labels"):
        model.fit(IMAGES, np.ones(8), verbose=0)


def test_strengths_out_of_range_are_refused(cls):
    name = "alpha" if cls is stn.layers.MixUp else "factor"
    for strength in (-0.1, stn.Float("strength", -1.0, 1.0), float("nan")):
        with pytest.raises(ValueError, match=f"`{name}` of a"):
            cls(strength)


def test_the_seed_repeats_the_mix(cls):
    first, second = (mix(cls(STRENGTH, seed=3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1].weights, second[1].weights)


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16", "float64"])
def test_outputs_have_the_compute_dtype_and_shares_float32(cls, dtype):
    outputs, (_, weights) = mix(cls(STRENGTH, dtype=dtype))
    assert outputs.dtype == dtype.removeprefix("mixed_")
    assert weights.dtype == "float32"


def test_integers_are_mixed(cls):
    images = np.full((8, 6, 5, 3), 200, "uint8")
    outputs, _ = mix(cls(STRENGTH), images)
    np.testing.assert_allclose(outputs, images, rtol=1e-6)


def test_the_layer_works_on_symbols(cls):
    inputs = keras.Input((6, 5, 3))
    outputs = cls(STRENGTH)(inputs, training=True)
    assert outputs.shape == (None, 6, 5, 3)


def test_batches_of_unknown_size_are_mixed(cls):
    layer = cls(STRENGTH)

    @tf.function(input_signature=[tf.TensorSpec((None, 6, 5, 3))])
    def call(images):
        with entered(Step("training", None)) as step:
            return layer(images, training=True), step.mixes[0].weights

    outputs, weights = call(IMAGES)
    assert outputs.shape == IMAGES.shape and weights.shape == (8,)


def test_xla_compiles_it(cls):
    layer = cls(STRENGTH)

    @tf.function(jit_compile=True)
    def call(images):
        with entered(Step("training", None)) as step:
            outputs = layer(images, training=True)
        return outputs, *step.mixes[0]

    _, partners, weights = call(IMAGES)
    np.testing.assert_array_equal(np.sort(partners), np.arange(8))
    assert np.all((weights >= 0) & (weights <= 1))


def test_a_gradient_flows_from_the_shares_to_the_strength(cls):
    values = ops.convert_to_tensor([[0.2], [0.6]])
    layer = cls(STRENGTH, seed=1)

    def spread():
        sample = Sample(values, values, [STRENGTH])
        _, (_, weights) = mix(layer, IMAGES, sample)
        return ops.sum(ops.square(weights - 0.5))

    _, (gradient,) = value_and_gradients(spread, [values])
    assert np.isfinite(gradient).all() and (np.abs(gradient) > 1e-4).all()


def test_the_configuration_gives_the_layer_back(cls):
    layer = cls(STRENGTH, data_format="channels_first", seed=3)
    config = keras.layers.serialize(layer)
    again = keras.layers.deserialize(config)
    assert again.declarations == [STRENGTH]
    assert keras.layers.serialize(again) == config
    assert again.data_format == "channels_first"
