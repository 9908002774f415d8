"""Whole runs and single steps of the official implementations.

The files are in float64 and the package computes in float32, so numbers agree
to about 1e-6 of an array's largest entry.
"""

import numpy as np
import pytest
import tensorflow as tf

from keras_stn.models import alternating_steps
from tests.models.official_run import OfficialRun
from tests.models.recorder import recorders
from tests.reference_arrays import TOLERANCE
from tests.reference_arrays import assert_close

STN_RUNS = [
    "traj_stn_mlp_scales",
    "traj_stn_mlp_noscales",
    "traj_stn_mlp_dropout_short",
    "traj_stn_cnn_scales",
    "traj_stn_cnn_noscales_dropout",
]
STNSTEP_RUNS = [
    "traj_stnstep_mlp_scales",
    "traj_stnstep_mlp_noscales_dropout",
]
SMALL_CNN_RUN = "traj_stn_smallcnn_official"


def make_predict(run, is_tuning):
    """The model's outputs in a step of the given kind, as a graph."""
    perturb = run.tune_scales or not is_tuning

    @tf.function
    def predict(x):
        sample = run.model.hyperparameters.sample(x.shape[0], perturb=perturb)
        return run.model(x, training=not is_tuning, hyperparameters=sample)

    return predict


def cross_entropy(y, y_pred):
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(y, y_pred)
    )


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        # A gradient of 4e-6 is among the hyperparameters'. Adam divides by
        # its size, so that rounding and the place of epsilon show.
        ("traj_stnstep_mlp_scales", 10 * TOLERANCE),
        ("traj_stnstep_mlp_noscales_dropout", TOLERANCE),
    ],
)
def test_whole_run_is_official(name, tolerance, monkeypatch):
    run = OfficialRun(name, monkeypatch)
    run.load(0)
    space = run.model.hyperparameters
    predict = {kind: make_predict(run, kind) for kind in (False, True)}
    weight_step = tf.function(run.model.weight_step)
    tuning_step = tf.function(run.model.tuning_step)
    for step in range(len(run.arrays["is_valid"])):
        run.step.assign(step)
        run.model.reset_metrics()
        x, y = run.batch(step)
        y_pred = predict[run.is_tuning(step)](x)
        assert_close(y_pred, run.arrays["pred_first"][step], tolerance)
        entropy = run.arrays["entropy"][step]
        if run.is_tuning(step) and run.tune_scales:
            assert_close(space.entropy(), entropy, tolerance)
        if run.is_tuning(step):
            tuning_step((x, y))
            loss = run.model.tuning_logs()["tuning_loss"]
        else:
            loss = weight_step((x, y))["loss"]
        assert_close(loss, run.arrays[run.loss][step], tolerance)
        for variable, array in run.as_ours(run.official("param", step + 1)):
            assert_close(variable, array, tolerance)
        for variable, array in run.as_space(step + 1):
            assert_close(variable, array, tolerance)


@pytest.mark.parametrize("name", STN_RUNS + STNSTEP_RUNS)
def test_weight_step_has_official_loss_and_gradients(name, monkeypatch):
    run = OfficialRun(name, monkeypatch, **recorders())
    weight_step = tf.function(run.model.weight_step)
    for step in run.steps(is_tuning=False):
        run.load(step)
        run.model.reset_metrics()
        logs = weight_step(run.batch(step))
        assert_close(logs["loss"], run.arrays[run.loss][step])
        assert_gradients(run, run.model.optimizer.gradients, step)


@pytest.mark.parametrize("name", STN_RUNS + STNSTEP_RUNS + [SMALL_CNN_RUN])
def test_tuning_step_has_official_loss_and_gradients(name, monkeypatch):
    run = OfficialRun(name, monkeypatch, **recorders())
    space = run.model.hyperparameters
    tuning_step = tf.function(run.model.tuning_step)
    steps = run.steps(is_tuning=True)
    if name == SMALL_CNN_RUN:  # It has its parameters before the last one.
        steps = steps[-1:]
    for step in steps:
        run.load_space(step)
        run.load_weights(
            run.official("param_final")
            if name == SMALL_CNN_RUN
            else run.official("param", step)
        )
        run.model.reset_metrics()
        tuning_step(run.batch(step))
        loss = run.model.tuning_logs()["tuning_loss"]
        assert_close(loss, run.arrays[run.loss][step])
        assert_close(space.entropy(), run.arrays["entropy"][step])
        assert_close(
            run.model.hyper_optimizer.gradients[space.location.path],
            run.arrays[f"grad_{run.location}"][step],
        )
        if run.tune_scales:
            assert_close(
                run.model.scale_optimizer.gradients[space.raw_scale.path],
                run.arrays[f"grad_{run.raw_scale}"][step],
            )


@pytest.mark.parametrize("name", STN_RUNS)
def test_every_gradient_is_official_in_every_step(name, monkeypatch):
    # Those too that no update uses, such as the gradient that reaches the
    # hyperparameters through the scaling of the training inputs.
    run = OfficialRun(name, monkeypatch, **recorders())
    space = run.model.hyperparameters
    weights = run.model.trainable_variables
    variables = [*weights, space.location, space.raw_scale]
    predict = {kind: make_predict(run, kind) for kind in (False, True)}

    def differentiate(x, y, is_tuning):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            values = [variable.value for variable in variables]
            tape.watch(values)
            loss = cross_entropy(y, predict[is_tuning](x))
            loss -= run.entropy_weight * space.entropy()
        return loss, tape.gradient(
            loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    differentiate = tf.function(differentiate)
    for step in range(len(run.arrays["is_valid"])):
        run.load(step)
        loss, gradients = differentiate(*run.batch(step), run.is_tuning(step))
        assert_close(loss, run.arrays["loss"][step])
        gradients = {v.path: g for v, g in zip(variables, gradients)}
        assert_gradients(run, gradients, step)
        assert_close(
            gradients[space.location.path], run.arrays["grad_htensor"][step]
        )
        assert_close(
            gradients[space.raw_scale.path], run.arrays["grad_hscale"][step]
        )


def assert_gradients(run, gradients, step):
    gradients = {path: np.asarray(g) for path, g in gradients.items()}
    official = run.official("grad", step)
    ours = run.as_official(gradients, run.official("param", step))
    assert ours.keys() == official.keys()
    for key, gradient in ours.items():
        assert_close(gradient, official[key])


@pytest.mark.parametrize("name", STN_RUNS + STNSTEP_RUNS + [SMALL_CNN_RUN])
def test_hyperparameter_updates_are_official(name, monkeypatch):
    # The place of epsilon shows where a gradient is as small as 4e-6.
    is_small = name == "traj_stnstep_mlp_scales"
    tolerance = 10 * TOLERANCE if is_small else TOLERANCE
    run = OfficialRun(name, monkeypatch)
    run.load_space(0)
    space = run.model.hyperparameters
    gradients = [
        tf.Variable(variable)
        for variable in [space.location] + [space.raw_scale] * run.tune_scales
    ]
    names = [f"grad_{run.location}", f"grad_{run.raw_scale}"]
    monkeypatch.setattr(
        alternating_steps,
        "best_response",
        lambda *args: (tf.constant(0.0), tf.constant(0.0), gradients),
    )
    tuning_step = tf.function(run.model.tuning_step)
    for step in run.steps(is_tuning=True):
        for gradient, name in zip(gradients, names):
            gradient.assign(run.arrays[name][step])
        tuning_step(run.batch(step))
        for variable, array in run.as_space(step + 1):
            assert_close(variable, array, tolerance)


def test_small_network_trained_on_our_gradients_ends_as_official(monkeypatch):
    # The official parameters, with SGD written out, since the scalar in front
    # of a layer's kernel is a parameter of its own there.
    run = OfficialRun(SMALL_CNN_RUN, monkeypatch, **recorders())
    weight_step = tf.function(run.model.weight_step)
    parameters = run.official("param_initial")
    velocity = dict.fromkeys(parameters, 0.0)
    for step in run.steps(is_tuning=False):
        run.load_weights(parameters)
        run.load_space(step)
        run.model.reset_metrics()
        logs = weight_step(run.batch(step))
        assert_close(logs["loss"], run.arrays["xentropy"][step])
        gradients = run.as_official(
            {
                path: np.asarray(gradient)
                for path, gradient in run.model.optimizer.gradients.items()
            },
            parameters,
        )
        assert gradients.keys() == parameters.keys()
        norms = run.official("grad_l2", step)
        for key, gradient in gradients.items():
            assert_close(np.linalg.norm(gradient), norms[key])
            velocity[key] = run.arrays["momentum"] * velocity[key] + gradient
            parameters[key] = (
                parameters[key] - run.arrays["train_lr"] * velocity[key]
            )
    for key, official in run.official("param_final").items():
        assert_close(parameters[key], official)
