"""On small data and with penalties, tuning must not ruin a model."""

import keras
import numpy as np
import pytest
import sklearn.datasets

import keras_stn as stn

EPOCHS = 60
PATIENCE = 20


def load():
    """The wines: 80 to train on, 40 to tune on, 58 to test on."""
    x, y = sklearn.datasets.load_wine(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    x = ((x - x[:80].mean(0)) / x[:80].std(0)).astype("float32")
    return [(x[a:b], y[a:b]) for a, b in ((0, 80), (80, 120), (120, 178))]


def build(**regularizers):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((13,)),
            keras.layers.Dense(64, "relu", **regularizers),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3, "softmax"),
        ]
    )
    model.compile(
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return model


def fit_arguments():
    return {
        "validation_data": load()[1],
        "epochs": EPOCHS,
        "batch_size": 16,
        "verbose": 0,
    }


def plain(model):
    stopping = keras.callbacks.EarlyStopping(
        patience=PATIENCE, restore_best_weights=True
    )
    model.fit(*load()[0], callbacks=[stopping], **fit_arguments())
    return model


def by_tune(model):
    return stn.tune(model, *load()[0], patience=PATIENCE, **fit_arguments())


def by_from_keras(model):
    return plain(stn.SelfTuningModel.from_keras(model, verbose=False))


def by_search(tmp_path, **regularizers):
    def build_with(hp):
        strength = hp.Float("l2", 1e-6, 1e-1, sampling="log", default=1e-3)
        return build(kernel_regularizer=keras.regularizers.L2(strength))

    tuner = stn.SelfTuner(build_with, directory=tmp_path, seed=0)
    tuner.search(*load()[0], **fit_arguments())
    return tuner.get_best_models()[0]


def accuracy(model):
    return model.evaluate(*load()[2], verbose=0, return_dict=True)["accuracy"]


def l2(strength):
    return {"kernel_regularizer": keras.regularizers.L2(strength)}


@pytest.mark.parametrize(
    "way, regularizers",
    [
        (by_tune, l2(1e-3)),
        (by_from_keras, l2(1e-3)),
        pytest.param(by_tune, l2(1e-6), marks=pytest.mark.slow),
        pytest.param(by_tune, l2(1e-1), marks=pytest.mark.slow),
        pytest.param(
            by_tune,
            {"kernel_regularizer": keras.regularizers.L1(1e-3)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            by_tune,
            {"bias_regularizer": keras.regularizers.L1L2(1e-3, 1e-3)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            by_from_keras,
            {"activity_regularizer": keras.regularizers.L2(1e-3)},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_penalty_does_not_ruin_a_model(way, regularizers):
    before = accuracy(plain(build(**regularizers)))
    tuned = way(build(**regularizers))
    # One of 58 wines more or less is no difference.
    assert accuracy(tuned) > before - 0.02


@pytest.mark.slow
def test_a_search_does_not_ruin_a_model(tmp_path):
    before = accuracy(plain(build(**l2(1e-3))))
    assert accuracy(by_search(tmp_path)) > before - 0.02
