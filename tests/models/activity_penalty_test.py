"""Training with penalties on activities whose strength is tuned."""

import keras
import numpy as np
import pytest

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5, 4)).astype("float32")
Y = RNG.normal(size=(24, 5, 1)).astype("float32")


def make_model(penalties, **kwargs):
    network = keras.Sequential(
        [
            keras.Input((5, 4)),
            stn.layers.HyperDense(3),
            *penalties,
            stn.layers.HyperDense(1),
        ]
    )
    spare = stn.Float("spare", 0.0, 1.0, scale=1e-4)
    model = stn.SelfTuningModel(network, groups=4, hyperparameters=[spare])
    # Without a learning rate all losses are those of the initial values.
    model.compile(
        keras.optimizers.SGD(0.0),
        "mse",
        hyper_optimizer=keras.optimizers.SGD(0.0),
        scale_optimizer=keras.optimizers.SGD(0.0),
        **kwargs,
    )
    model.tune_scales = False
    return model


def fit(penalties, **kwargs):
    keras.utils.set_random_seed(0)
    model = make_model(penalties, **kwargs)
    history = model.fit(
        X,
        Y,
        batch_size=24,
        validation_data=(X, Y),
        validation_batch_size=24,
        verbose=0,
    ).history
    return model, {name: values[0] for name, values in history.items()}


def hidden_values(model):
    sample = model.hyperparameters.sample(perturb=False)
    return model.network.layers[0](X, hyperparameters=sample).numpy()


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_penalties_count_in_the_training_loss_alone(run_eagerly):
    tuned = stn.Float("alpha", 0.0, 20.0, default=9.0)
    penalties = [
        stn.layers.ActivityRegularization(tuned),
        stn.layers.TemporalActivityRegularization(4.0),
    ]
    model, logs = fit(penalties, run_eagerly=run_eagerly)
    fitted = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    hidden = hidden_values(model)
    temporal = 4.0 * np.mean(np.diff(hidden, axis=1) ** 2)
    assert logs["loss"] > fitted + temporal + 5 * np.mean(hidden**2)
    for name in ("val_loss", "tuning_loss"):
        np.testing.assert_allclose(logs[name], fitted, rtol=1e-3)
    evaluated = model.evaluate(X, Y, verbose=0)
    np.testing.assert_allclose(evaluated, logs["val_loss"], rtol=1e-5)


def test_penalty_of_a_number_is_added_as_it_is():
    _, without = fit([])
    model, logs = fit([stn.layers.TemporalActivityRegularization(4.0)])
    hidden = hidden_values(model)
    expected = 4.0 * np.mean(np.diff(hidden, axis=1) ** 2)
    np.testing.assert_allclose(
        logs["loss"] - without["loss"], expected, rtol=1e-3
    )
