"""The small model that tests of callbacks train."""

import keras
import numpy as np

import keras_stn as stn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 4)).astype("float32")
Y = RNG.normal(size=(24, 3)).astype("float32")
# Cycles in an epoch of `fit`, and weight updates in each.
CYCLES = 3
UPDATES = 2
NAMES = ["rate", "count", "weight", "below"]


def make_model(**kwargs):
    """A model with hyperparameters of every kind, which move quickly."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, default=0.1)),
            stn.layers.HyperDense(3),
        ]
    )
    model = stn.SelfTuningModel(
        network,
        train_steps=UPDATES,
        hyperparameters=[
            stn.Int("count", 0, 4, default=2),
            stn.Float("weight", 1e-4, 1.0, 1e-2, "log", per_example=False),
            stn.Float("below", None, 2.0, default=1.0),
        ],
    )
    arguments = {
        "optimizer": keras.optimizers.SGD(0.01),
        "loss": "mse",
        "metrics": ["mae"],
        "hyper_optimizer": keras.optimizers.Adam(0.1),
        # A graph takes longer to make than these few steps.
        "run_eagerly": True,
        **kwargs,
    }
    model.compile(**arguments)
    return model


def fit(model, callbacks, **kwargs):
    arguments = {
        "epochs": 2,
        "batch_size": len(X) // (CYCLES * UPDATES),
        "validation_data": (X[:8], Y[:8]),
        "verbose": 0,
        **kwargs,
    }
    return model.fit(X, Y, callbacks=callbacks, **arguments)
