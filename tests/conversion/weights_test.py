import keras
import numpy as np
import pytest
from keras import layers

import keras_stn as stn
from keras_stn.conversion.graph import copy_layer
from keras_stn.conversion.graph import rebuild
from keras_stn.conversion.weights import copy_weights
from tests.layers.samples import fill
from tests.numerics import to_numpy


def test_adapted_statistics_come_along():
    normalization = layers.Normalization()
    normalization.adapt(np.arange(12.0).reshape(4, 3))
    model = keras.Sequential([keras.Input((3,)), normalization])
    rebuilt = rebuild(model, copy_layer)
    copy_weights(model, rebuilt)
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(rebuilt(x), model(x))


def test_vocabularies_come_along():
    lookup = layers.StringLookup(name="lookup")
    lookup.adapt(["b", "a", "b"])
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="string"),
            lookup,
            layers.Embedding(4, 3),
            layers.Dropout(0.1),
        ]
    )
    tuned = stn.SelfTuningModel.from_keras(model)
    words = tuned.network.get_layer("lookup").get_vocabulary()
    assert words == lookup.get_vocabulary()
    x = np.array([["a", "b"], ["c", "a"]])
    np.testing.assert_array_equal(tuned(x), model(x))
    np.testing.assert_array_equal(tuned.to_keras()(x), model(x))


def test_what_is_frozen_stays_frozen_both_ways():
    attention = layers.MultiHeadAttention(1, 2, name="attention")
    x = keras.Input((3, 4))
    y = layers.Dropout(0.1)(attention(x, x))
    y = layers.Dense(2, name="head")(layers.Dense(2, name="base")(y))
    model = keras.Model(x, y)
    attention._key_dense.trainable = False
    model.get_layer("base").trainable = False
    model.get_layer("head").bias.trainable = False
    expected = {v.path: v.trainable for v in model.weights}
    assert not all(expected.values())
    tuned = stn.SelfTuningModel.from_keras(model)
    for network in (tuned.network, tuned.to_keras()):
        actual = {v.path: v.trainable for v in network.weights}
        assert {path: actual[path] for path in expected} == expected
        names = {v.path for v in network.trainable_weights}
        assert names.isdisjoint({"base/kernel", "base/bias", "head/bias"})
        assert "head/kernel" in names


def test_a_layer_of_ones_own_brings_its_state():
    @keras.saving.register_keras_serializable("weights_test")
    class Block(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.denses = [layers.Dense(3), layers.Dense(4)]

        def build(self, input_shape):
            self.scale = self.add_weight(name="scale", shape=())
            for dense in self.denses:
                dense.build(input_shape)
                input_shape = dense.compute_output_shape(input_shape)

        def call(self, inputs):
            for dense in self.denses:
                inputs = dense(inputs)
            return self.scale * inputs

    model = keras.Sequential(
        [keras.Input((5,)), Block(), layers.Dropout(0.1), layers.Dense(2)]
    )
    fill(model)
    tuned = stn.SelfTuningModel.from_keras(model)
    x = np.ones((2, 5), "float32")
    np.testing.assert_array_equal(tuned(x), model(x))
    np.testing.assert_allclose(tuned.to_keras()(x), model(x), rtol=1e-6)


def test_a_weight_without_origin_is_an_error():
    made = [keras.Sequential([keras.Input((3,)), layers.Dense(2)])]
    made += [keras.Sequential([keras.Input((3,)), layers.PReLU()])]
    with pytest.raises(RuntimeError, match="has a weight 'alpha'"):
        copy_weights(*made)


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_weights_are_kept_in_their_precision(preset):
    policy = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu", dtype=policy, name="dense"),
            layers.Dropout(0.3, dtype=policy),
            layers.Dense(2, dtype=policy, name="head"),
        ]
    )
    fill(model)
    tuned = stn.SelfTuningModel.from_keras(model, preset=preset)
    x = np.random.default_rng(0).normal(size=(4, 4)).astype("float32")
    np.testing.assert_array_equal(to_numpy(tuned(x)), to_numpy(model(x)))
    dense = tuned.network.get_layer("dense")
    dense.kernel_gate.assign(keras.ops.full((1, 8), 0.3))
    ordinary = tuned.to_keras().get_layer("dense")
    assert ordinary.dtype_policy == policy
    location = tuned.hyperparameters.location.numpy()[0]
    gate = 0.3 * location if preset == "paper" else 0.0
    np.testing.assert_allclose(
        ordinary.kernel,
        dense.kernel + gate * dense.response_kernel.numpy(),
        rtol=1e-6,
    )
