from functools import partial

import keras
import numpy as np
import pytest
from keras.regularizers import L1
from keras.regularizers import L1L2
from keras.regularizers import L2

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
    # There the weights respond to the values as well.
    tuned = stn.SelfTuningModel.from_keras(model, preset="paper")
    inputs = draw_inputs(model)
    before = predict(tuned, inputs)
    assert_equal(before, predict(model, inputs))
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


CONV = partial(keras.layers.Conv2D, 3, 1)
# Of each kind of value a layer that has it at 0, and the name it is tuned by.
ZEROS = {
    "dropout": (partial(keras.layers.Dropout, 0.0), ""),
    "spatial_dropout": (partial(keras.layers.SpatialDropout2D, 0.0), ""),
    "alpha_dropout": (partial(keras.layers.AlphaDropout, 0.0), ""),
    "gaussian_dropout": (partial(keras.layers.GaussianDropout, 0.0), ""),
    "gaussian_noise": (partial(keras.layers.GaussianNoise, 0.0), ""),
    "brightness": (partial(keras.layers.RandomBrightness, 0.0), ""),
    "contrast": (partial(keras.layers.RandomContrast, 0.0), ""),
    "hue": (partial(keras.layers.RandomHue, 0.0), ""),
    "rotation": (partial(keras.layers.RandomRotation, 0.0), ""),
    "shear": (partial(keras.layers.RandomShear, 0.0, 0.1), "_x"),
    "translation": (
        partial(keras.layers.RandomTranslation, 0.0, 0.1),
        "_height",
    ),
    "zoom": (partial(keras.layers.RandomZoom, 0.0), "_height"),
    "l1": (partial(CONV, kernel_regularizer=L1L2(0, 0)), "_kernel_l1"),
    "l2": (partial(CONV, bias_regularizer=L1L2(0, 0)), "_bias_l2"),
    "l2_alone": (partial(CONV, kernel_regularizer=L2(0)), "_kernel_l2"),
    "activity": (partial(CONV, activity_regularizer=L1(0)), "_activity_l1"),
    "lstm": (partial(keras.layers.LSTM, 3), "_recurrent_dropout"),
    "attention": (partial(keras.layers.MultiHeadAttention, 1, 2), "_dropout"),
    "own_dropout": (partial(stn.layers.Dropout, 0.0), ""),
    "own_holes": (partial(stn.layers.RandomCutout, 0, 2), "_holes"),
}


def with_a_zero(name):
    layer = ZEROS[name][0](name="zero")
    x = images = keras.Input((4, 4, 3))
    if name in ("lstm", "attention"):
        x = keras.layers.Reshape((16, 3))(x)
    x = layer(x, x) if name == "attention" else layer(x)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(x))
    model = keras.Model(images, outputs)
    model.compile("sgd", loss="mse", run_eagerly=True)
    return model


@pytest.mark.parametrize("name", ZEROS)
def test_a_value_of_0_starts_as_small_as_it_can_be(name):
    model = with_a_zero(name)
    images = np.random.default_rng(0).uniform(size=(4, 4, 4, 3))
    expected = predict(model, images)
    key = "zero" + ZEROS[name][1]
    tuned = stn.SelfTuningModel.from_keras(model, tune=[key], verbose=False)
    assert_equal(predict(tuned, images), expected)
    (declaration,) = tuned.hyperparameters.declarations
    assert declaration.requested_default == 0
    (value,) = tuned.hyperparameter_values().values()
    low, high = declaration.transform_range
    if isinstance(declaration, stn.Int):
        assert value == 0
    else:
        share = np.log(value) if declaration.sampling == "log" else value
        assert (share - low) / (high - low) == pytest.approx(0.01, rel=1e-3)
    targets = np.ones((4, 2))
    data = (images, targets)
    history = tuned.fit(*data, validation_data=data, verbose=0)
    assert np.isfinite(history.history["loss"] + history.history[key]).all()
