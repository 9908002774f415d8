"""Functions as KerasTuner's guides write them, run without a change."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers

import keras_stn as stn


@pytest.fixture(scope="module")
def digits():
    """Pictures like MNIST's, with labels as vectors."""
    generator = np.random.default_rng(0)
    x = generator.random((48, 28, 28, 1), dtype="float32")
    y = keras.utils.to_categorical(generator.integers(0, 10, 48), 10)
    return x, y


def convolutional(hp):
    """Convolutions whose number is searched, each with dropout."""
    inputs = keras.Input(shape=(28, 28, 1))
    x = inputs
    for i in range(hp.Int("conv_layers", 1, 2, default=2)):
        x = layers.Conv2D(
            filters=hp.Int(f"filters_{i}", 4, 8, step=4, default=4),
            kernel_size=3,
            activation="relu",
            padding="same",
        )(x)
        if hp.Choice(f"pooling_{i}", ["max", "avg"]) == "max":
            x = layers.MaxPooling2D()(x)
        else:
            x = layers.AveragePooling2D(2)(x)
        x = layers.SpatialDropout2D(hp.Float(f"dropout_{i}", 0.0, 0.5))(x)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(
            hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
        ),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def conditional(hp):
    """A kind of network, and what only that kind has, in its scope."""
    model = keras.Sequential()
    model.add(layers.Input(shape=(28, 28, 1)))
    model_type = hp.Choice("model_type", ["mlp", "cnn"])
    with hp.conditional_scope("model_type", ["mlp"]):
        if model_type == "mlp":
            model.add(layers.Flatten())
            model.add(layers.Dense(8, activation="relu"))
            model.add(layers.Dropout(hp.Float("mlp_dropout", 0.0, 0.5)))
    with hp.conditional_scope("model_type", ["cnn"]):
        if model_type == "cnn":
            model.add(layers.Conv2D(4, 3, activation="relu"))
            model.add(layers.GaussianNoise(hp.Float("cnn_noise", 0.0, 0.5)))
            model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


class WithFit(keras_tuner.HyperModel):
    """Without an input shape, and with a way of its own to train."""

    def build(self, hp):
        model = keras.Sequential()
        model.add(layers.Flatten())
        model.add(
            layers.Dense(
                units=hp.Int("units", min_value=8, max_value=16, step=8),
                activation="relu",
            )
        )
        if hp.Boolean("dropout"):
            model.add(layers.Dropout(rate=hp.Float("rate", 0.1, 0.5)))
        model.add(layers.Dense(10, activation="softmax"))
        model.compile(
            optimizer="adam",
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def fit(self, hp, model, *args, **kwargs):
        return model.fit(
            *args,
            batch_size=hp.Choice("batch_size", [16, 24]),
            **kwargs,
        )


GUIDES = {
    "convolutional": (
        convolutional,
        "val_accuracy",
        {"dropout_0", "dropout_1"},
    ),
    "conditional": (conditional, "val_loss", {"mlp_dropout", "cnn_noise"}),
    "with_fit": (WithFit(), "val_accuracy", {"rate"}),
}


@pytest.mark.parametrize(
    "name",
    [
        "convolutional",
        pytest.param("conditional", marks=pytest.mark.slow),
        "with_fit",
    ],
)
def test_functions_of_the_guides_are_searched_and_tuned(name, digits, tmp_path):
    hypermodel, objective, tuned = GUIDES[name]
    tuner = stn.SelfTuner(
        hypermodel,
        objective=objective,
        max_trials=2 if name == "conditional" else 1,
        train_steps=1,
        seed=3,
        directory=tmp_path,
        overwrite=True,
    )
    tuner.search(*digits, validation_data=digits, epochs=1, verbose=0)
    searched = {one.name for one in tuner.oracle.get_space().space}
    assert not searched & tuned
    for trial in tuner.oracle.get_best_trials(2):
        assert trial.status == "COMPLETED", trial.message
    for hp, model in zip(
        tuner.get_best_hyperparameters(2), tuner.get_best_models(2)
    ):
        assert {*hp.values} - searched <= tuned
        again = tuner.hypermodel.build(hp)
        rates = [
            value
            for layer in again.layers
            for value in (
                getattr(layer, "rate", 0),
                getattr(layer, "stddev", 0),
            )
            if value
        ]
        assert sorted(rates) == sorted(hp.get(n) for n in tuned if n in hp)
        assert model.predict(digits[0], verbose=0).shape == (48, 10)
