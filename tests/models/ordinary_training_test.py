"""While the hyperparameters stand still, the network trains as Keras does."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace
from keras_stn.models.alternation import Cycle

RNG = np.random.default_rng(0)
X = RNG.normal(size=(36, 6)).astype("float32")
Y = X[:, :1] * X[:, 1:2]
SEQUENCES = RNG.normal(size=(36, 5, 2)).astype("float32")
STRENGTH = 1e-2


def penalty():
    return keras.regularizers.L2(STRENGTH)


def dense():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, "relu", kernel_regularizer=penalty()),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dense(1),
        ]
    )


def recurrent():
    return keras.Sequential(
        [
            keras.Input(batch_shape=(6, 5, 2)),
            keras.layers.LSTM(4, kernel_regularizer=penalty(), stateful=True),
            keras.layers.Dense(1),
        ]
    )


def train(build, optimizer, is_tuned, **kwargs):
    """Trains three epochs, and returns the model as Keras has it."""
    keras.utils.set_random_seed(0)
    model = build()
    model.compile(optimizer(), "mse", **kwargs)
    x = X if model.input_shape[-1] == 6 else SEQUENCES
    arguments = {"batch_size": 6, "epochs": 3, "shuffle": False, "verbose": 0}
    if not is_tuned:
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: reset_states(model)
        )
        losses = model.fit(x, Y, callbacks=[callback], **arguments).history
        return model, losses["loss"]
    tuned = stn.SelfTuningModel.from_keras(
        model, hyper_optimizer=keras.optimizers.SGD(0.0), verbose=False
    )
    data = (x, Y)
    losses = tuned.fit(*data, validation_data=data, **arguments).history
    gates = [
        layer.kernel_gate
        for layer in tuned._response_layers()
        if hasattr(layer, "kernel_gate")
    ]
    # The responses have learned something all the same.
    assert all(np.any(gate) for gate in gates)
    return tuned.to_keras(), losses["loss"]


def reset_states(model):
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()


@pytest.mark.parametrize("build", [dense, recurrent])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.02, momentum=0.9),
        lambda: keras.optimizers.AdamW(0.01),
    ],
    ids=["SGD", "AdamW"],
)
def test_weights_are_those_of_ordinary_training(build, optimizer):
    expected, expected_losses = train(build, optimizer, False)
    model, losses = train(build, optimizer, True)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-4)
    # Moving averages among them.
    for one, other in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


def test_eager_training_is_the_same():
    def optimizer():
        return keras.optimizers.SGD(0.02)

    expected, _ = train(dense, optimizer, False)
    model, _ = train(dense, optimizer, True, run_eagerly=True)
    for one, other in zip(model.get_weights(), expected.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


def make_model():
    rate = stn.Float("noise", 0.0, 1.0, default=0.5, scale=1.0)
    network = keras.Sequential(
        [
            keras.Input((6,)),
            stn.layers.GaussianNoise(rate, seed=3),
            stn.layers.HyperDense(1),
        ]
    )
    model = stn.SelfTuningModel(network, groups=4)
    model.compile("sgd", "mse", run_eagerly=True)
    layer = network.layers[-1]
    layer.kernel_gate.assign([[0.7]])
    layer.bias_gate.assign([[-0.4]])
    layer.response_bias.assign([0.3])
    return model


def test_responses_get_the_gradients_of_the_perturbed_loss(monkeypatch):
    noise = RNG.normal(size=(4, 1)).astype("float32")
    monkeypatch.setattr(
        HyperparameterSpace,
        "draw_noise",
        lambda space, groups: ops.convert_to_tensor(noise),
    )
    # The draws of the noise layer are left out: they differ from call to call.
    monkeypatch.setattr(
        stn.layers.GaussianNoise, "call", lambda self, inputs, **_: inputs
    )
    model = make_model()
    x, y = X[:8], Y[:8]
    found = model._response_gradients((x, y))
    assert len(found) == 4
    with tf.GradientTape() as tape:
        sample = model.hyperparameters.sample(4)
        y_pred = model(x, training=True, hyperparameters=sample)
        loss = ops.mean(ops.square(y_pred - y))
    expected = tape.gradient(loss, [variable.value for _, variable in found])
    for (gradient, _), right in zip(found, expected):
        assert np.any(right)
        np.testing.assert_allclose(gradient, right, rtol=1e-5)


def test_a_step_moves_the_network_without_the_responses():
    model = make_model()
    layer = model.network.layers[-1]
    before = [v.numpy() for v in (layer.kernel, layer.response_kernel)]
    logs = model.weight_step((X[:8], Y[:8]))
    assert np.isfinite(logs["loss"])
    for variable, value in zip((layer.kernel, layer.response_kernel), before):
        assert np.any(variable.numpy() != value)


def test_responses_learn_from_the_first_batch_of_a_cycle(monkeypatch):
    model = make_model()
    batch = (X[:8], Y[:8])
    seen = []
    step = model.weight_step

    def weight_step(data):
        layer = model.network.layers[-1]
        before = layer.response_kernel.numpy()
        logs = step(data)
        seen.append(np.any(layer.response_kernel.numpy() != before))
        return logs

    monkeypatch.setattr(model, "weight_step", weight_step)
    cycle = Cycle((batch, batch, batch), ())
    model.train_step(cycle)
    assert seen == [True, False, False]
