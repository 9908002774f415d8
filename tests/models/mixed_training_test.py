"""Training with layers that mix examples and their labels."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.models import alternating_steps

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4, 4, 1)).astype("float32")
Y = RNG.integers(0, 3, size=16)
ONE_HOT = np.eye(3, dtype="float32")[Y]


def make_network(*mixes):
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            *mixes,
            keras.layers.Flatten(),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.1)),
            stn.layers.HyperDense(3),
        ]
    )


def make_mixes():
    return (
        stn.layers.CutMix(stn.Float("cut_mix", 0.0, 1.0, 0.9)),
        stn.layers.MixUp(stn.Float("mix_up", 0.01, 2.0, 0.5)),
    )


def make_model(
    *mixes, loss=None, cls=stn.SelfTuningModel, preset="auto", **kwargs
):
    model = cls(make_network(*mixes), groups=4, preset=preset)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss or keras.losses.SparseCategoricalCrossentropy(True),
        **{"run_eagerly": True, **kwargs},
    )
    return model


def fit(model, y=Y, **kwargs):
    return model.fit(
        X, y, batch_size=8, validation_data=(X, y), verbose=0, **kwargs
    ).history


@pytest.fixture
def recorded(monkeypatch):
    """What the loss was computed of, in the weight steps."""
    calls = []

    def record(mixes, y, y_pred, sample_weight, loss):
        calls.append((mixes, y_pred))
        return mix_labels(mixes, y, y_pred, sample_weight, loss)

    mix_labels = alternating_steps.mix_labels
    monkeypatch.setattr(alternating_steps, "mix_labels", record)
    return calls


def mixed_labels(mixes):
    labels = ONE_HOT
    for partners, weights in mixes:
        share = np.array(weights)[:, None]
        labels = share * labels + (1 - share) * labels[np.array(partners)]
    return labels


def batch(y=Y):
    return ops.convert_to_tensor(X), ops.convert_to_tensor(y)


def test_the_training_loss_is_that_of_the_mixed_labels(recorded):
    model = make_model(*make_mixes())
    loss = model.weight_step(batch())["loss"]
    # The responses' call comes first.
    assert len(recorded) == 2
    mixes, y_pred = recorded[-1]
    assert len(mixes) == 2
    expected = keras.losses.CategoricalCrossentropy(True)(
        mixed_labels(mixes), y_pred
    )
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_smoothed_labels_are_mixed(recorded):
    smoothing = stn.Float("smoothing", 0.0, 0.5, default=0.2)
    model = make_model(
        *make_mixes(),
        loss=stn.losses.SparseCategoricalCrossentropy(
            True, label_smoothing=smoothing
        ),
        preset="paper",
    )
    sample = model.hyperparameters.sample(4)
    model.hyperparameters.sample = lambda groups=1, perturb=True: sample
    loss = model.weight_step(batch())["loss"]
    ((mixes, y_pred),) = recorded
    amount = np.repeat(sample["smoothing"], 4)[:, None]
    labels = mixed_labels(mixes) * (1 - amount) + amount / 3
    expected = keras.losses.CategoricalCrossentropy(True)(labels, y_pred)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_penalties_count_once(recorded):
    model = make_model(*make_mixes())
    head = model.network.layers[-1]
    head.kernel.regularizer = keras.regularizers.L2(10.0)
    penalty = 10 * np.sum(np.square(head.kernel))
    loss = model.weight_step(batch())["loss"]
    mixes, y_pred = recorded[-1]
    expected = keras.losses.CategoricalCrossentropy(True)(
        mixed_labels(mixes), y_pred
    )
    np.testing.assert_allclose(loss, expected + penalty, rtol=1e-5)


def test_tuning_and_evaluation_do_not_mix(recorded):
    model = make_model(*make_mixes())
    model.tuning_step(batch())
    first = model.evaluate(X, Y, verbose=0)
    assert first == model.evaluate(X, Y, verbose=0)
    assert recorded == []


@pytest.mark.parametrize(
    "arguments",
    [{"run_eagerly": False, "jit_compile": c} for c in (True, False)],
)
def test_fit_trains_and_tunes(arguments):
    model = make_model(*make_mixes(), metrics=["accuracy"], **arguments)
    history = fit(model, epochs=2)
    assert np.isfinite(history["loss"]).all()
    for name in ("cut_mix", "mix_up"):
        assert history[name][0] != history[name][1]


def test_one_hot_labels_and_weights_train():
    model = make_model(
        *make_mixes(), loss=keras.losses.CategoricalCrossentropy(True)
    )
    history = fit(model, ONE_HOT, sample_weight=np.linspace(0, 1, 16))
    assert np.isfinite(history["loss"]).all()


def test_several_outputs_train():
    network = make_network(*make_mixes())
    head = stn.layers.HyperDense(1, name="second")(network.layers[-2].output)
    network = keras.Model(network.inputs, [network.outputs[0], head])
    model = stn.SelfTuningModel(network, groups=4)
    model.compile(
        "sgd",
        [keras.losses.SparseCategoricalCrossentropy(True), "mse"],
        run_eagerly=True,
    )
    labels = [Y, Y[:, None].astype("float32")]
    history = model.fit(
        X, labels, batch_size=8, validation_data=(X, labels), verbose=0
    ).history
    assert np.isfinite(history["loss"]).all()


def test_a_loss_that_does_not_mix_labels_is_refused():
    class Own(stn.SelfTuningModel):
        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return ops.mean(y_pred)

    model = make_model(*make_mixes(), cls=Own)
    with pytest.raises(ValueError, match="super\\(\\).compute_loss"):
        model.weight_step(batch())


def test_a_model_that_mixes_is_saved_and_loaded(tmp_path):
    model = make_model(*make_mixes())
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.hyperparameter_values() == model.hyperparameter_values()
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    fit(loaded)
