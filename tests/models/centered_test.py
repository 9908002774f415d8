"""Responses to the perturbation alone: W + diag(V σ ⊙ ε) R."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5)).astype("float32")
Y = RNG.normal(size=(12, 1)).astype("float32")
NOISE = RNG.normal(size=(4, 2)).astype("float32")


def make_model(preset="auto", **kwargs):
    """Two tuned rates and one hyper layer with gates that are not 0."""
    rates = [stn.Float(name, 0.0, 0.9, default=0.2) for name in "ab"]
    network = keras.Sequential(
        [
            keras.Input((5,)),
            stn.layers.Dropout(rates[0]),
            stn.layers.Dropout(rates[1]),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network, groups=4, preset=preset, **kwargs)
    model.compile("sgd", "mse", run_eagerly=True)
    open_gates(model)
    return model


def open_gates(model):
    rng = np.random.default_rng(1)
    for layer in model._response_layers():
        for name in layer.responding_names():
            gate = getattr(layer, f"{name}_gate")
            gate.assign(rng.normal(size=gate.shape))


def predict_by_hand(model, rows):
    """What the layer puts out with rows of gate inputs, one a group."""
    layer = model.network.layers[-1]
    kernel, bias = (ops.convert_to_numpy(v) for v in layer.weights[:2])
    response_kernel = ops.convert_to_numpy(layer.response_kernel)
    response_bias = ops.convert_to_numpy(layer.response_bias)
    rows = np.repeat(rows, len(X) // len(rows), axis=0)
    gates = rows @ ops.convert_to_numpy(layer.kernel_gate)
    bias_gates = rows @ ops.convert_to_numpy(layer.bias_gate)
    return (
        X @ kernel
        + bias
        + gates * (X @ response_kernel)
        + bias_gates * response_bias
    )


def test_gates_begin_at_zero():
    rate = stn.Float("rate", 0.0, 0.9, default=0.2)
    network = keras.Sequential(
        [
            keras.Input((5,)),
            stn.layers.HyperDense(3),
            stn.layers.Dropout(rate),
        ]
    )
    stn.SelfTuningModel(network)
    assert not np.any(network.layers[0].kernel_gate)
    assert np.any(network.layers[0].response_kernel)


@pytest.mark.parametrize("location", [-3.0, 0.0, 4.0])
def test_an_evaluation_is_that_of_the_kernels_alone(location):
    model = make_model()
    model.hyperparameters.location.assign([location, -location])
    layer = model.network.layers[-1]
    expected = X @ layer.kernel.numpy() + layer.bias.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, 1e-5)
    loss = model.evaluate(X, Y, verbose=0)
    assert loss == pytest.approx(np.mean((expected - Y) ** 2), rel=1e-5)
    plain = model.to_keras()
    np.testing.assert_array_equal(
        plain.layers[-1].kernel.numpy(), layer.kernel.numpy()
    )


def test_an_evaluation_builds_no_kernels():
    model = make_model()
    model.evaluate(X, Y, verbose=0)
    assert not model.built_weights._variables


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_layers_respond_to_what_the_preset_says(preset):
    model = make_model(preset)
    space = model.hyperparameters
    space.location.assign([0.7, -1.1])
    sample = space.sample(noise=NOISE)
    rows = space.scale.numpy() * NOISE
    if preset == "paper":
        rows = rows + [0.7, -1.1]
    y_pred = model(X, training=False, hyperparameters=sample)
    np.testing.assert_allclose(y_pred, predict_by_hand(model, rows), 1e-4, 1e-5)
    # What the layers regularize by is the same in both.
    perturbed = [0.7, -1.1] + space.scale.numpy() * NOISE
    expected = 0.9 / (1 + np.exp(-perturbed[:, 0]))
    np.testing.assert_allclose(sample["a"], expected, rtol=1e-5)


def gradients_of(model, sample_function):
    space = model.hyperparameters
    variables = [space.location, space.raw_scale]
    with tf.GradientTape() as tape:
        tape.watch([v.value for v in variables])
        y_pred = model(X, training=False, hyperparameters=sample_function())
        loss = ops.mean(ops.square(y_pred - Y))
    return tape.gradient(loss, [v.value for v in variables])


def finite_difference(function, step=1e-2):
    """The derivative of a function of a vector of two, at 0."""
    return [
        (function(step * unit) - function(-step * unit)) / (2 * step)
        for unit in np.eye(2)
    ]


def test_the_gradients_are_those_of_the_response():
    model = make_model()
    space = model.hyperparameters
    space.location.assign([0.7, -1.1])

    def loss_at(shift):
        rows = space.scale.numpy() * NOISE + shift
        return np.mean((predict_by_hand(model, rows) - Y) ** 2)

    location, raw_scale = gradients_of(model, lambda: space.sample(noise=NOISE))
    np.testing.assert_allclose(location, finite_difference(loss_at), 1e-3)

    def loss_of(shift):
        raw = space.raw_scale.numpy() + shift
        rows = np.log1p(np.exp(raw)) * NOISE
        return np.mean((predict_by_hand(model, rows) - Y) ** 2)

    np.testing.assert_allclose(raw_scale, finite_difference(loss_of), 1e-2)


def test_at_fixed_scales_the_gradient_is_that_at_the_kernels():
    model = make_model(tune_scales=False)
    space = model.hyperparameters

    def loss_at(shift):
        return np.mean((predict_by_hand(model, shift[None]) - Y) ** 2)

    location, _ = gradients_of(
        model, lambda: space.sample(perturb=False, silent=False)
    )
    np.testing.assert_allclose(location, finite_difference(loss_at), 1e-3)
    before = space.location.numpy()
    model.tuning_step((X, Y))
    moved = space.location.numpy() - before
    # Adam's first step goes against the gradient.
    np.testing.assert_array_equal(np.sign(moved), -np.sign(location))


def test_what_was_saved_before_there_were_presets_is_the_papers():
    model = make_model()
    config = model.get_config()
    assert config.pop("preset") == "auto"
    assert stn.SelfTuningModel.from_config(config).preset == "paper"


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="`preset` must be 'auto', or 'paper'"):
        make_model("official")


@pytest.mark.parametrize(
    "make_layers",
    [
        lambda: [
            keras.Input((6,), dtype="int32"),
            stn.layers.HyperEmbedding(9, 4),
            stn.layers.HyperLSTM(3),
            stn.layers.HyperDense(1),
        ],
        lambda: [
            keras.Input((4, 4, 2)),
            stn.layers.HyperConv2D(3, 3),
            keras.layers.Flatten(),
            stn.layers.HyperDense(1),
        ],
    ],
    ids=["recurrent", "convolutional"],
)
def test_every_layer_is_ordinary_in_an_evaluation(make_layers):
    rate = stn.Float("rate", 0.0, 0.9, default=0.2)
    network = keras.Sequential([*make_layers(), stn.layers.Dropout(rate)])
    model = stn.SelfTuningModel(network, groups=2)
    model.compile("sgd", "mse")
    open_gates(model)
    shape = (4, *network.input_shape[1:])
    x = RNG.integers(0, 9, shape) if len(shape) == 2 else RNG.normal(size=shape)
    expected = model.to_keras().predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, 1e-5)
    # While a perturbed one differs.
    sample = model.hyperparameters.sample(2)
    y_pred = model(x, training=False, hyperparameters=sample)
    assert np.abs(y_pred - expected).max() > 1e-3
