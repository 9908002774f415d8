"""Functions of `hp` that tests of the tuner search."""

import csv
import pathlib

import keras
import numpy as np

import keras_stn as stn

BATCH = 16


def draw_data(shape=(8,), classes=3, size=48):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(size, *shape)).astype("float32")
    return x, generator.integers(0, classes, size)


def compiled(layers, optimizer="adam", loss=None):
    model = keras.Sequential(layers)
    model.compile(
        optimizer,
        loss=loss
        or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def dense(*between, shape=(8,), **kwargs):
    """A compiled network of two dense layers, with layers between them."""
    return compiled(
        [
            keras.Input(shape),
            keras.layers.Dense(6, activation="relu"),
            *between,
            keras.layers.Dense(3),
        ],
        **kwargs,
    )


def with_dropout(hp):
    """Everything is tuned during training."""
    rate = hp.Float("dropout", 0.0, 0.9, default=0.2)
    return dense(keras.layers.Dropout(rate))


def with_learning_rate(hp):
    """A part is tuned during training, the rest is searched."""
    rate = hp.Float("dropout", 0.0, 0.9, default=0.2)
    learning_rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    return dense(
        keras.layers.Dense(hp.Int("units", 2, 8)),
        keras.layers.Dropout(rate),
        optimizer=keras.optimizers.Adam(learning_rate),
    )


def with_scopes(hp):
    """Which values there are depends on others."""
    layers = []
    kind = hp.Choice("kind", ["dropout", "noise"])
    with hp.conditional_scope("kind", ["dropout"]):
        if kind == "dropout":
            rate = hp.Float("rate", 0.0, 0.5, default=0.1)
            layers.append(keras.layers.Dropout(rate))
    with hp.conditional_scope("kind", ["noise"]):
        if kind == "noise":
            deviation = hp.Float("deviation", 0.0, 1.0, default=0.1)
            layers.append(keras.layers.GaussianNoise(deviation))
    with hp.name_scope("head"):
        rate = hp.Float("rate", 0.0, 0.5, default=0.1)
        layers.append(keras.layers.Dropout(rate))
    return dense(*layers)


def without_tunable(hp):
    """Nothing can be tuned during training."""
    return dense(keras.layers.Dense(hp.Int("units", 2, 4)))


def search(build, folder, epochs=2, verbose=0, **kwargs):
    """A tuner that has searched in a folder."""
    # Shorter cycles are traced sooner.
    options = {"overwrite": True, "seed": 1, "train_steps": 1} | kwargs
    tuner = stn.SelfTuner(build, directory=folder, **options)
    data = draw_data()
    tuner.search(
        *data,
        validation_data=data,
        batch_size=BATCH,
        epochs=epochs,
        verbose=verbose,
    )
    return tuner


def read_schedule(tuner, trial):
    """The rows of a trial's schedule."""
    folder = pathlib.Path(tuner.get_trial_dir(trial.trial_id))
    with open(folder / "schedule.csv") as file:
        return [*csv.DictReader(file)]
