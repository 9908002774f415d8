import keras
import numpy as np
import pytest

import keras_stn as stn
from keras_stn.conversion.graph import find_places
from tests.conversion.cases import MODELS
from tests.conversion.cases import RESPONDING
from tests.conversion.cases import draw_inputs
from tests.conversion.cases import predict
from tests.layers.samples import fill


def assert_equal(actual, expected, tolerance=1e-5):
    keras.tree.assert_same_structure(actual, expected)
    for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected)):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", MODELS)
def test_predictions_stay_and_names_and_weights(name):
    model = MODELS[name]()
    fill(model)
    inputs = draw_inputs(model)
    expected = predict(model, inputs)
    names = [layer.name for layer in model.layers]
    tuned = stn.SelfTuningModel.from_keras(model)
    assert_equal(predict(tuned, inputs), expected)
    assert [layer.name for layer in tuned.network.layers] == names
    weights = {v.path: v.numpy() for v in tuned.network.variables}
    for variable in model.weights:
        np.testing.assert_array_equal(weights[variable.path], variable)
    # The model itself is as it was.
    assert_equal(predict(model, inputs), expected)


@pytest.mark.parametrize("name", MODELS)
def test_tuned_and_ordinary_predictions_are_equal(name):
    model = MODELS[name]()
    tuned = stn.SelfTuningModel.from_keras(model)
    inputs = draw_inputs(model)
    before = predict(tuned, inputs)
    fill(tuned.network)
    make_variances_positive(tuned.network)
    expected = predict(tuned, inputs)
    assert not np.allclose(
        keras.tree.flatten(before)[0], keras.tree.flatten(expected)[0]
    )
    ordinary = tuned.to_keras()
    assert_equal(predict(ordinary, inputs), expected)
    assert type(ordinary) is type(model)
    assert ordinary.name == model.name
    assert [(v.path, v.shape) for v in ordinary.weights] == [
        (v.path, v.shape) for v in model.weights
    ]
    assert classes(ordinary) == classes(model)
    assert ordinary.count_params() == model.count_params()


def classes(model):
    return [(type(place.layer), place.path) for place in find_places(model)]


def make_variances_positive(network):
    for variable in network.variables:
        if variable.name == "moving_variance":
            variable.assign(np.abs(variable) + 0.5)


@pytest.mark.parametrize("name", RESPONDING)
def test_every_trained_weight_gets_a_response_and_a_gate(name):
    model = MODELS[name]()
    tuned = stn.SelfTuningModel.from_keras(model)
    gates = [
        variable
        for variable in tuned.network.trainable_variables
        if variable.name.endswith("_gate")
    ]
    assert gates
    assert tuned.network.count_params() == 2 * model.count_params() + sum(
        gate.shape.num_elements() for gate in gates
    )
    # One row for each hyperparameter.
    assert {gate.shape[0] for gate in gates} == {len(tuned.hyperparameters)}
