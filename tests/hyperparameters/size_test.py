"""Hyperparameters of a value for each unit or channel."""

import re

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters import HyperparameterSpace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 4)).astype("float32")
Y = RNG.integers(0, 2, size=32)


def rates(size=4, **kwargs):
    return stn.Float("rates", 0.0, 0.9, default=0.3, size=size, **kwargs)


def make_model():
    network = keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.Dropout(rates()),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, default=0.1)),
            stn.layers.HyperDense(2),
        ]
    )
    model = stn.SelfTuningModel(network, groups=4)
    model.compile(
        "sgd",
        keras.losses.SparseCategoricalCrossentropy(True),
        hyper_optimizer=keras.optimizers.Adam(0.1),
    )
    return model


def fit(model, **kwargs):
    return model.fit(X, Y, validation_data=(X, Y), verbose=0, **kwargs).history


def test_size_is_so_many_columns():
    space = HyperparameterSpace([stn.Float("a", 0.0, 1.0, 0.5), rates(3)])
    assert len(space) == 4 and space.names == ["a", "rates"]
    assert space.location.shape == (4,)
    sample = space.sample(5)
    assert sample["a"].shape == (5,) and sample["rates"].shape == (5, 3)
    np.testing.assert_array_equal(sample["rates"], sample.values[:, 1:])


def test_values_differ_and_logs_hold_their_mean():
    space = HyperparameterSpace([rates(2)])
    space.location.assign([-1.0, 1.0])
    space.raw_scale.assign([0.0, 1.0])
    values = space.values()["rates"]
    np.testing.assert_allclose(values, 0.9 / (1 + np.exp([1.0, -1.0])), 1e-6)
    logs = space.logs()
    np.testing.assert_allclose(logs["rates"], np.mean(values), 1e-6)
    np.testing.assert_allclose(
        logs["rates_scale"], np.mean(np.log1p(np.exp([0.0, 1.0]))), 1e-6
    )


@pytest.mark.parametrize("shape", [(2, 3), (2, 5, 3), (2, 4, 4, 3)])
def test_every_unit_is_dropped_at_its_own_rate(shape):
    space = HyperparameterSpace([rates(3)])
    space.location.assign([-100.0, 0.0, 100.0])
    layer = stn.layers.Dropout(rates(3))
    sample = space.sample(perturb=False)
    x = ops.ones((2000, *shape[1:]))
    y = layer(x, training=True, hyperparameters=sample)
    dropped = np.mean(
        ops.convert_to_numpy(y) == 0, axis=(0, *range(1, len(shape) - 1))
    )
    np.testing.assert_allclose(dropped, [0.0, 0.45, 0.9], atol=0.05)


def test_network_tunes_each_of_the_values():
    model = make_model()
    history = fit(model, epochs=3)
    values = model.hyperparameter_values()
    assert len(set(values["rates"])) == 4 and isinstance(values["rate"], float)
    np.testing.assert_allclose(history["rates"][-1], np.mean(values["rates"]))


def test_saved_model_is_loaded_with_all_values(tmp_path):
    model = make_model()
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.hyperparameter_values() == model.hyperparameter_values()


def test_schedule_holds_the_means(tmp_path):
    model = make_model()
    logger = stn.callbacks.ScheduleLogger(tmp_path / "schedule.csv")
    history = fit(model, callbacks=[logger], epochs=2)
    header, *_, last = (tmp_path / "schedule.csv").read_text().splitlines()
    row = dict(zip(header.split(","), last.split(",")))
    np.testing.assert_allclose(float(row["rates"]), history["rates"][-1], 1e-5)
    assert float(row["rates_lower"]) < float(row["rates"])


def test_summary_tells_the_mean_and_the_size(capsys):
    make_model().summary()
    assert re.search(r"rates.*0\.3 \(mean of 4\)", capsys.readouterr().out)


def test_deployed_network_has_the_mean():
    network = make_model().to_keras()
    rate = network.layers[0].rate
    np.testing.assert_allclose(rate, 0.3, rtol=1e-5)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "4"])
def test_size_must_be_a_positive_integer(size):
    with pytest.raises(ValueError, match="`size` of the hyperparameter"):
        rates(size)


def test_size_must_be_that_of_the_inputs():
    layer = stn.layers.Dropout(rates(3))
    sample = HyperparameterSpace([rates(3)]).sample(perturb=False)
    with pytest.raises(ValueError, match="units or channels.*size=3"):
        layer(X, training=True, hyperparameters=sample)


@pytest.mark.parametrize(
    "take",
    [
        lambda value: stn.layers.RandomHue(value),
        lambda value: stn.layers.ActivityRegularization(alpha=value),
        lambda value: stn.layers.HyperLSTM(3, dropout=value),
        lambda value: stn.layers.WeightDropConnect(value),
        lambda value: stn.regularizers.L2(value),
        lambda value: stn.losses.CategoricalCrossentropy(label_smoothing=value),
    ],
)
def test_what_takes_one_number_refuses_a_size(take):
    with pytest.raises(ValueError, match="one number; give .* no `size`"):
        take(rates(3))
