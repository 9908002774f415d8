"""Runs of the official language model, step by step and from end to end.

The network computes in float64 like the official one. Hyperparameters and
their perturbations are in float32, so numbers agree to about 1e-7.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.models.official_language_run import OfficialLanguageRun
from tests.models.recorder import recorders
from tests.reference_arrays import assert_close

RUNS = ["traj_lstm_alpha_beta_only", "traj_lstm_tune_all"]
TOLERANCE = 1e-6

pytestmark = pytest.mark.usefixtures("double_precision")


def make_step(model, is_tuning):
    """A step of the given kind, as a graph that returns its logs."""

    @tf.function(autograph=False)
    def take(batch):
        if not is_tuning:
            return model.weight_step(batch)
        model.tuning_step(batch)
        return model.tuning_logs()

    return take


def weight_gradients(run, parameters):
    """The gradients of official parameters from those of the last step."""
    gradients = {
        path: gradient.numpy()
        for path, gradient in run.model.optimizer.gradients.items()
    }
    return run.as_official(gradients, parameters)


def location_gradient(run):
    """The gradient of the tuned hyperparameters from the last step."""
    gradients = run.model.hyper_optimizer.gradients
    gradient = gradients[run.space.location.path].numpy()
    np.testing.assert_array_equal(np.delete(gradient, run.columns), 0)
    return run.of_columns(gradient)


def adam(learning_rate):
    """The official updates: a generator that gradients are sent to."""
    m = v = t = update = 0
    while True:
        gradient = yield update
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        t += 1
        root = np.sqrt(v / (1 - 0.999**t))
        update = learning_rate * m / (1 - 0.9**t) / (root + 1e-8)


def assert_states(run, step):
    states = run.states(step)
    assert len(states) == 2 * run.num_layers
    for state, array in zip(states, run.ends("end", step)):
        assert_close(state, array, TOLERANCE)


@pytest.mark.parametrize("name", RUNS)
def test_weight_steps_are_official(name, monkeypatch):
    run = OfficialLanguageRun(name, monkeypatch, **recorders())
    take = make_step(run.model, is_tuning=False)
    for step in run.steps(is_tuning=False):
        run.load(step)
        run.model.reset_metrics()
        logs = take(run.batch(step))
        cross_entropy = run.arrays["xentropy"][step]
        assert_close(logs["cross_entropy"], cross_entropy, TOLERANCE)
        assert_close(logs["loss"], run.arrays["loss"][step], TOLERANCE)
        gradients = weight_gradients(run, run.official("param", step))
        assert gradients.keys() == run.official("grad", step).keys()
        for key, official in run.official("grad", step).items():
            assert_close(gradients[key], official, TOLERANCE)
        assert_states(run, step)


@pytest.mark.parametrize("name", RUNS)
def test_tuning_steps_are_official(name, monkeypatch):
    run = OfficialLanguageRun(name, monkeypatch, **recorders())
    take = make_step(run.model, is_tuning=True)
    for step in run.steps(is_tuning=True):
        # Ours has the cross-entropy alone, the official loss has penalties.
        for weight, key in ((0.0, "xentropy"), (1.0, "loss")):
            run.model.penalty_weight.assign(weight)
            run.load(step)
            run.model.reset_metrics()
            logs = take(run.batch(step))
            loss = run.arrays[key][step]
            assert_close(logs["tuning_loss"], loss, TOLERANCE)
            assert_states(run, step)
        official = run.arrays["grad_htensor"][step]
        # These are small: they are compared by the size they have.
        size = np.abs(official).max()
        gradient = location_gradient(run)
        assert_close(gradient / size, official / size, TOLERANCE)


@pytest.mark.parametrize("name", RUNS)
def test_whole_run_is_official(name, monkeypatch):
    # Official parameters on our gradients, with the optimizers written out:
    # two biases there are one here, and Keras adds Adam's epsilon elsewhere.
    # The model carries its states from segment to segment.
    run = OfficialLanguageRun(name, monkeypatch, **recorders())
    run.model.penalty_weight.assign(1.0)
    run.load(0)
    parameters, location = run.official("param", 0), run.arrays["htensor"][0]
    updates = adam(run.arrays["hyper_lr"])
    next(updates)
    take = {kind: make_step(run.model, kind) for kind in (False, True)}
    for step, is_tuning in enumerate(run.arrays["is_valid"]):
        run.step.assign(step)
        if run.arrays["seq_start"][step] == 0:
            run.model.streams.reset(run.kind(step))
        run.model.reset_metrics()
        logs = take[is_tuning](run.batch(step))
        loss = logs["tuning_loss" if is_tuning else "loss"]
        assert_close(loss, run.arrays["loss"][step], TOLERANCE)
        assert_states(run, step)
        if is_tuning:
            location = location - updates.send(location_gradient(run))
        else:
            gradients = weight_gradients(run, parameters)
            norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
            rate = min(1.0, run.arrays["clip"] / (norm + 1e-6))
            for key, gradient in gradients.items():
                update = run.arrays["lr"] * rate * gradient
                parameters[key] = parameters[key] - update
            run.load_weights(parameters)
        official = run.official("param", step + 1)
        for key, parameter in parameters.items():
            assert_close(parameter, official[key], TOLERANCE)
        htensor = run.arrays["htensor"][step + 1]
        assert_close(location, htensor, TOLERANCE)
        run.load_location(location)
