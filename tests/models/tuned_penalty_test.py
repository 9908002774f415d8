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


def make_model(penalty=None, groups=4, network=None, preset="auto", **kwargs):
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
    model = stn.SelfTuningModel(network, groups=groups, preset=preset)
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
    model = make_model(preset="paper", run_eagerly=True)
    dense, _, head = model.network.layers
    head.kernel_gate.assign(np.ones((1, 1), "float32"))
    sample = model.hyperparameters.sample(4)
    strength = float(sample["l2"][0])
    assert strength != pytest.approx(1e-2)
    y_pred = model(X, training=True, hyperparameters=sample)
    hidden = np.maximum(X @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    # With one draw a batch all groups have one kernel.
    location = float(sample.response_inputs[0, 0])
    kernel = head.kernel + location * head.response_kernel
    penalties = [
        np.sum(np.square(dense.kernel)),
        np.sum(hidden**2) / len(X),
        np.sum(np.square(kernel)),
    ]
    expected = np.mean(np.square(Y - y_pred)) + strength * sum(penalties)
    loss = model.weight_step((ops.convert_to_tensor(X), Y))["loss"]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def strength(name="strength"):
    return stn.Float(
        name, 1e-6, 10.0, 1e-2, "log", per_example=False, scale=1e-4
    )


def penalized(penalty):
    """A network with a penalty wherever one may be."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, kernel_regularizer=penalty),
            keras.layers.ReLU(activity_regularizer=penalty),
            stn.layers.HyperDense(4, kernel_regularizer=penalty),
            stn.layers.HyperDense(1),
        ]
    )


def squared_error(model):
    return np.mean(np.square(Y - model.predict(X, verbose=0)))


def penalized_tensors(model):
    """What a `penalized` network has penalties on, at its current values."""
    dense, relu, hyper, _ = model.network.layers
    sample = model.hyperparameters.sample(perturb=False)
    return dense.kernel, relu(dense(X)), hyper.weight_at("kernel", sample)


def open_gates(model):
    """Lets the response matter as much as the rest of the weights."""
    for variable in model.network.trainable_variables:
        if variable.name.endswith("_gate"):
            variable.assign(np.full(variable.shape, 0.5, "float32"))


REGULARIZERS = [
    lambda: stn.regularizers.L1(strength()),
    lambda: stn.regularizers.L2(strength()),
    lambda: stn.regularizers.L1L2(strength(), strength("other")),
    lambda: stn.regularizers.OrthogonalRegularizer(strength()),
]


@pytest.mark.parametrize(
    "how",
    [
        {"run_eagerly": True},
        {"run_eagerly": True, "preset": "paper"},
        {"steps_per_execution": 2, "preset": "paper"},
    ],
)
@pytest.mark.parametrize("make", REGULARIZERS)
def test_evaluation_is_free_of_penalties_that_are_tuned(make, how):
    model = make_model(network=penalized(make()), **how)
    open_gates(model)
    for location in (-2.0, 4.0):
        model.hyperparameters.location.assign(
            np.full(len(model.hyperparameters), location, "float32")
        )
        expected = squared_error(model)
        losses = (
            model.evaluate(X, Y, batch_size=6, verbose=0),
            model.test_on_batch(X, Y),
        )
        np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_validation_is_free_of_penalties_that_are_tuned():
    model = make_model()
    model.hyperparameters.location.assign([4.0])
    logs = model.fit(
        X, Y, batch_size=12, validation_data=(X, Y), verbose=0
    ).history
    assert logs["loss"][0] > 10
    np.testing.assert_allclose(
        logs["val_loss"][0], squared_error(model), rtol=1e-5
    )


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_fixed_strength_counts_in_evaluation(run_eagerly):
    fixed = keras.regularizers.L1(0.3)
    also_fixed = stn.regularizers.L2(0.2)
    network = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(
                5, kernel_regularizer=fixed, bias_regularizer=l2()
            ),
            keras.layers.ReLU(activity_regularizer=also_fixed),
            stn.layers.HyperDense(1, kernel_regularizer=also_fixed),
        ]
    )
    model = make_model(network=network, run_eagerly=run_eagerly)
    open_gates(model)
    dense, relu, head = network.layers
    penalties = (
        fixed(dense.kernel)
        + also_fixed(relu(dense(X))) / len(X)
        + also_fixed(head.kernel)
    )
    loss = model.evaluate(X, Y, batch_size=len(X), verbose=0)
    expected = squared_error(model) + penalties
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("run_eagerly", [True, False])
@pytest.mark.parametrize("fixed", ["l1", "l2"])
def test_the_fixed_one_of_two_strengths_counts_in_evaluation(
    fixed, run_eagerly
):
    strengths = {"l1": strength(), "l2": strength(), fixed: 0.3}
    penalty = stn.regularizers.L1L2(**strengths)
    model = make_model(network=penalized(penalty), run_eagerly=run_eagerly)
    open_gates(model)
    model.hyperparameters.location.assign([4.0])
    of_keras = keras.regularizers.L1L2(**{"l1": 0, "l2": 0, fixed: 0.3})
    kernel, hidden, hyper_kernel = penalized_tensors(model)
    penalties = (
        of_keras(kernel) + of_keras(hidden) / len(X) + of_keras(hyper_kernel)
    )
    loss = model.evaluate(X, Y, batch_size=len(X), verbose=0)
    expected = squared_error(model) + penalties
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_direct_call_has_the_penalties_of_the_current_values(preset):
    penalty = stn.regularizers.L2(strength())
    model = make_model(network=penalized(penalty), preset=preset)
    open_gates(model)
    y_pred = model(X, training=True)
    kernel, hidden, hyper_kernel = penalized_tensors(model)
    value = model.hyperparameter_values()["strength"]
    penalties = [
        value * np.sum(np.square(tensor))
        for tensor in (hidden / len(X) ** 0.5, kernel, hyper_kernel)
    ]
    np.testing.assert_allclose(model.losses, penalties, rtol=2e-3)
    expected = np.mean(np.square(Y - y_pred)) + np.sum(penalties)
    loss = model.compute_loss(X, Y, y_pred)
    np.testing.assert_allclose(loss, expected, rtol=2e-3)


class Raise(keras.callbacks.Callback):
    """Raises the strength of a penalty from epoch to epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.model.hyperparameters.location.assign_add([0.2])


def test_a_rising_strength_does_not_stop_a_training_that_improves():
    x = np.random.default_rng(2).normal(size=(48, 6)).astype("float32")
    y = x @ np.full((6, 1), 2.0, "float32")
    network = keras.Sequential(
        [
            keras.Input((6,)),
            stn.layers.HyperDense(
                1,
                kernel_initializer="zeros",
                kernel_regularizer=l2(2e-3, scale=0.5),
            ),
        ]
    )
    model = make_model(network=network)
    stopping = keras.callbacks.EarlyStopping(patience=1)
    history = model.fit(
        x,
        y,
        batch_size=3,
        epochs=5,
        validation_data=(x, y),
        callbacks=[Raise(), stopping],
        warmup_epochs=5,
        verbose=0,
    ).history
    assert (np.diff(history["l2"]) > 0).all()
    assert (np.diff(history["val_loss"]) < 0).all()
    assert len(history["val_loss"]) == 5


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


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_eager_graph_and_xla_agree(monkeypatch, preset):
    fix_noise(monkeypatch)
    graph = final_state(preset=preset, jit_compile=False)
    for arguments in ({"run_eagerly": True}, {"jit_compile": True}):
        other = final_state(preset=preset, **arguments)
        for a, b in zip(graph, other, strict=True):
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
        # A strength of 10, perturbed more, would not train at this rate.
        stn.Float("l2", 1e-4, 10.0, start, "log", 0.5, per_example=False)
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
