"""Training in half precision, and with less memory."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn
from tests.gates import open_gates

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6, 6, 2)).astype("float32")
Y = RNG.integers(0, 3, size=16)


@pytest.fixture
def policy():
    """Sets Keras's dtype policy for a test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def make_network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            stn.layers.HyperConv2D(4, 3, activation="relu"),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, 0.2)),
            keras.layers.Flatten(),
            stn.layers.HyperDense(3, dtype="float32"),
        ]
    )


def make_model(network=make_network, optimizer=None, preset="auto"):
    keras.utils.set_random_seed(0)
    model = stn.SelfTuningModel(network(), groups=4, preset=preset)
    open_gates(model, 0.1)
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(True),
        hyper_optimizer=keras.optimizers.SGD(1.0),
        jit_compile=False,
    )
    return model


def fit(model, batch_size=8, **kwargs):
    return model.fit(
        X,
        Y,
        batch_size=batch_size,
        validation_data=(X, Y),
        shuffle=False,
        verbose=0,
        **kwargs,
    ).history


def tuning_batch(weight=1.0):
    return tuple(
        map(ops.convert_to_tensor, (X, Y, np.full(16, weight, "float32")))
    )


def location(model):
    return ops.convert_to_numpy(model.hyperparameters.location)


def tuned_by(model, weight):
    """How far a tuning step moves λ by a weighted loss, over the weight."""
    model.entropy_weight = 0.0
    model.hyper_optimizer.learning_rate = 1 / weight
    before = location(model)
    model.tuning_step(tuning_batch(weight))
    return location(model) - before


@pytest.mark.parametrize(
    "name, preset",
    [
        ("mixed_float16", "auto"),
        ("mixed_float16", "paper"),
        ("mixed_bfloat16", "auto"),
    ],
)
def test_training_in_half_precision_keeps_hyperparameters_exact(
    policy, name, preset
):
    policy(name)
    model = make_model(preset=preset)
    history = fit(model, epochs=2)
    assert np.isfinite(history["loss"]).all()
    assert np.isfinite(history["tuning_loss"]).all()
    assert history["dropout"][1] != history["dropout"][0]
    for variable in model.hyperparameters.variables[:2]:
        assert variable.dtype == "float32"
    assert model.hyperparameters.entropy().dtype == "float32"


def test_gradients_of_hyperparameters_do_not_vanish_in_half_precision(policy):
    exact = make_model()
    weights = exact.network.get_weights()
    policy("mixed_float16")
    half = make_model()
    half.network.set_weights(weights)
    expected = tuned_by(exact, 1e-6)
    assert np.abs(expected).min() > 0
    np.testing.assert_allclose(tuned_by(half, 1e-6), expected, rtol=0.05)


def test_infinite_gradient_of_a_tuning_step_halves_the_scale(policy):
    policy("mixed_float16")
    model = make_model()
    fit(model)
    scale = model.optimizer.dynamic_scale
    scale.assign(2.0**40)
    np.testing.assert_array_equal(tuned_by(model, 1.0), [0.0])
    assert float(scale) == 2.0**39
    assert float(model._trackers.skipped.result()) == 1


def test_finite_gradient_leaves_the_scale(policy):
    policy("mixed_float16")
    model = make_model()
    fit(model)
    before = float(model.optimizer.dynamic_scale)
    assert np.abs(tuned_by(model, 1.0)).min() > 0
    assert float(model.optimizer.dynamic_scale) == before


def test_accumulated_gradients_are_those_of_one_batch():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    halves = make_model(optimizer=optimizer)
    whole = make_model()
    for model in (halves, whole):
        model.network.layers[1].rate = 0.0
        model.hyperparameters.raw_scale.assign([-100.0])
    whole_history = fit(whole, 16, epochs=2, warmup_epochs=2)
    history = fit(halves, 8, epochs=2, warmup_epochs=2)
    np.testing.assert_allclose(history["loss"], whole_history["loss"], 1e-5)
    for one, other in zip(halves.network.weights, whole.network.weights):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_hyperparameters_are_tuned_by_accumulated_gradients():
    model = make_model()
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(True),
        hyper_optimizer=optimizer,
        run_eagerly=True,
    )
    first, second = (tuned_by(model, 1.0) for _ in range(2))
    assert not first.any() and second.all()


def make_rematerialized(**scope):
    with keras.RematScope(**scope):
        layers = [
            stn.layers.HyperConv2D(4, 3, activation="relu", name="conv"),
            stn.layers.Dropout(stn.Float("dropout", 0.0, 0.9, 0.2)),
            stn.layers.HyperDense(3, dtype="float32", name="dense"),
        ]
    flatten = keras.layers.Flatten()
    network = [keras.Input((6, 6, 2)), *layers[:2], flatten, layers[2]]
    return keras.Sequential(network)


make_rematerialized_fully = functools.partial(make_rematerialized, mode="full")


@pytest.mark.parametrize(
    ("name", "preset", "scope"),
    [
        ("float32", "auto", {"mode": "full"}),
        ("float32", "paper", {"mode": "full"}),
        ("mixed_float16", "auto", {"mode": "full"}),
        ("float32", "auto", {"mode": "activations"}),
        (
            "float32",
            "auto",
            {"mode": "list_of_layers", "layer_names": ["conv"]},
        ),
    ],
    ids=str,
)
def test_rematerialized_network_trains_alike(policy, name, preset, scope):
    policy(name)
    plain = make_model(preset=preset)
    expected = fit(plain, epochs=2)
    model = make_model(
        functools.partial(make_rematerialized, **scope), preset=preset
    )
    history = fit(model, epochs=2)
    tolerance = 1e-6 if name == "float32" else 2e-2
    for key in expected:
        np.testing.assert_allclose(history[key], expected[key], tolerance)
    np.testing.assert_allclose(location(model), location(plain), tolerance)


def reads(network):
    """How often a training step reads variables."""
    model = make_model(network)
    fit(model)
    step = tf.function(lambda: model.weight_step(tuning_batch()))
    operations = step.get_concrete_function().graph.get_operations()
    return sum(one.type == "ReadVariableOp" for one in operations)


def test_rematerialized_layer_does_not_read_its_weights_again():
    # TensorFlow's graph optimizer may let the second reading run after the
    # update of the weight.
    assert reads(make_rematerialized_fully) <= reads(make_network)


@pytest.mark.parametrize("mode", ["full", None])
def test_rematerialized_layer_is_computed_again_for_gradients(mode):
    model = make_model(functools.partial(make_rematerialized, mode=mode))
    layer, calls = model.network.layers[0], []
    linear = layer.linear
    layer.linear = lambda *args: calls.append(1) or linear(*args)
    model.run_eagerly = True
    model.tuning_step(tuning_batch())
    # Each time by the kernel and by its response.
    assert len(calls) == (4 if mode else 2)
