"""The tree of a model's state, which `OrbaxCheckpoint` writes."""

import keras
import numpy as np
import pytest

import keras_stn as stn

DATA = np.ones((8, 2)), np.ones((8, 1))


def make_functional():
    inputs = keras.Input((2,))
    x = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.2), name="dropout")(
        inputs
    )
    return keras.Model(inputs, stn.layers.HyperDense(1, name="head")(x))


def make_sequential():
    dropout = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.2))
    return keras.Sequential(
        [keras.Input((2,)), dropout, stn.layers.HyperDense(1)]
    )


def make_trained(network):
    model = stn.SelfTuningModel(network, name="tuned")
    # Three optimizers of one name.
    model.compile(
        keras.optimizers.Adam(0.01, name="adam"),
        loss="mse",
        hyper_optimizer=keras.optimizers.Adam(0.01, name="adam"),
        run_eagerly=True,
    )
    model.fit(*DATA, validation_data=DATA, batch_size=4, verbose=0)
    return model


def assert_equal(actual, expected):
    for one, same in zip(actual.variables, expected.variables):
        np.testing.assert_array_equal(one, same, err_msg=same.path)


def test_the_tree_brings_weights_and_every_optimizer():
    model, other = (make_trained(make_functional()) for _ in range(2))
    other.set_state_tree(model.get_state_tree("numpy_array"))
    for name in ("optimizer", "hyper_optimizer", "scale_optimizer"):
        assert_equal(getattr(other, name), getattr(model, name))
    # Keras names random seeds by their number, so each model has its own.
    for one, same in zip(other.weights, model.weights):
        np.testing.assert_array_equal(one, same, err_msg=same.path)


def test_weights_of_other_names_are_refused():
    model = make_trained(make_sequential())
    other = stn.SelfTuningModel(make_sequential(), name="tuned")
    tree = model.get_state_tree("numpy_array")
    with pytest.raises(ValueError, match=r"unknown names, .*'sequential.*'"):
        other.set_state_tree(tree)
    model.set_state_tree(tree)
