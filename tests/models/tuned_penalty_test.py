"""Training with penalties whose strength is tuned."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 1)).astype("float32")


def l2(default=1e-2, **kwargs):
    return stn.regularizers.L2(
        stn.Float("l2", 1e-6, 10.0, default, "log", per_example=False, **kwargs)
    )


def make_model(penalty=None, groups=4, network=None, **kwargs):
    penalty = penalty or l2()
    network = network or keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, kernel_regularizer=penalty),
            keras.layers.ReLU(activity_regularizer=penalty),
            stn.layers.HyperDense(
                1, kernel_regularizer=penalty, bias_regularizer=penalty
            ),
        ]
    )
    model = stn.SelfTuningModel(network, groups=groups)
    model.compile(
        keras.optimizers.SGD(0.02),
        "mse",
        hyper_optimizer=keras.optimizers.Adam(0.05),
        **kwargs,
    )
    return model


def make_noise(groups, columns=1):
    noise = np.random.default_rng(1).normal(size=(groups, columns))
    return noise.astype("float32")


def fix_noise(monkeypatch):
    """XLA draws other numbers from the same seed."""
    monkeypatch.setattr(
        HyperparameterSpace,
        "draw_noise",
        lambda space, groups: ops.convert_to_tensor(
            make_noise(groups, len(space))
        ),
    )


def test_the_loss_of_a_weight_step_is_that_of_its_sample(monkeypatch):
    fix_noise(monkeypatch)
    model = make_model(run_eagerly=True)
    dense, _, head = model.network.layers
    head.kernel_gate.assign(np.ones((1, 1), "float32"))
    sample = model.hyperparameters.sample(4)
    strength = float(sample["l2"][0])
    assert strength != pytest.approx(1e-2)
    y_pred = model(X, training=True, hyperparameters=sample)
    hidden = np.maximum(X @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    # With one draw a batch all groups have one kernel.
    location = float(sample.unconstrained[0, 0])
    kernel = head.kernel + location * head.response_kernel
    penalties = [
        np.sum(np.square(dense.kernel)),
        np.sum(hidden**2) / len(X),
        np.sum(np.square(kernel)),
    ]
    expected = np.mean(np.square(Y - y_pred)) + strength * sum(penalties)
    loss = model.weight_step((ops.convert_to_tensor(X), Y))["loss"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_evaluation_has_the_penalties_of_the_current_values():
    model = make_model()
    dense, relu, head = model.network.layers
    loss = model.evaluate(X, Y, verbose=0)
    hidden = relu(dense(X))
    value = model.hyperparameter_values()["l2"]
    location = model.hyperparameters.location[0]
    kernel = head.kernel + location * head.kernel_gate[0] * head.response_kernel
    squares = sum(
        np.sum(np.square(t)) for t in (dense.kernel, kernel, hidden / 24**0.5)
    )
    fit = np.mean(np.square(Y - model.predict(X, verbose=0)))
    # Batches of 24 examples: one.
    np.testing.assert_allclose(loss, fit + value * squares, rtol=1e-5)


def test_tuning_steps_are_free_of_penalties():
    model = make_model(l2(5.0))
    model.tune_scales = False
    batch = (ops.convert_to_tensor(X), ops.convert_to_tensor(Y))
    model.tuning_step(batch)
    fit = np.mean(np.square(Y - model.predict(X, verbose=0)))
    # Inference is at the values after the step, which is a small one.
    np.testing.assert_allclose(
        model.tuning_logs()["tuning_loss"], fit, rtol=0.05
    )


def final_state(**arguments):
    keras.utils.set_random_seed(0)
    model = make_model(**arguments)
    history = model.fit(
        X,
        Y,
        batch_size=12,
        epochs=2,
        shuffle=False,
        validation_data=(X, Y),
        verbose=0,
    ).history
    assert history["l2"][0] != history["l2"][1]
    return model.get_weights()


def test_eager_graph_and_xla_agree(monkeypatch):
    fix_noise(monkeypatch)
    graph = final_state(jit_compile=False)
    for arguments in ({"run_eagerly": True}, {"jit_compile": True}):
        for a, b in zip(graph, final_state(**arguments), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_group_for_every_example_trains():
    penalty = stn.regularizers.L2(
        stn.Float("l2", 1e-6, 10.0, 1e-2, sampling="log")
    )
    final_state(penalty=penalty, groups=None, run_eagerly=True)


def make_regression(examples, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(examples, 15)).astype("float32")
    noise = rng.normal(0, 2.0, (examples, 1)).astype("float32")
    return x, 0.5 * x[:, :3].sum(axis=1, keepdims=True) + noise


@pytest.mark.parametrize(("start", "overfits"), [(1e-3, True), (1.0, False)])
def test_the_penalty_moves_to_where_it_helps(start, overfits):
    x, y = make_regression(20, seed=0)
    # Tuned on its own training data, no penalty is best.
    tuning_data = make_regression(200, seed=1) if overfits else (x, y)
    penalty = stn.regularizers.L2(
        stn.Float("l2", 1e-4, 10.0, start, "log", per_example=False)
    )
    network = keras.Sequential(
        [
            keras.Input((15,)),
            stn.layers.HyperDense(
                1, use_bias=False, kernel_regularizer=penalty
            ),
        ]
    )
    model = make_model(network=network, groups=8, jit_compile=False)
    x, y = (np.tile(array, (400, 1)) for array in (x, y))
    history = model.fit(
        x,
        y,
        batch_size=20,
        epochs=2,
        shuffle=False,
        tuning_data=tuning_data,
        validation_batch_size=20,
        warmup_epochs=1,
        verbose=0,
    ).history
    ratio = history["l2"][-1] / start
    assert ratio > 10 if overfits else ratio < 0.1
