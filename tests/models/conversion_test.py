"""From an ordinary model to a self-tuning one, and back."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_stn as stn
from tests.conversion.cases import MODELS
from tests.conversion.cases import draw_inputs
from tests.conversion.cases import predict
from tests.gates import open_gates

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 6, 6, 3)).astype("float32")
Y = RANDOM.integers(0, 3, 48)


def assert_alike(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        predict(actual, X), predict(expected, X), tolerance, tolerance
    )


def make_model(compiled=True, **kwargs):
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.RandomTranslation(0.2, 0.1, seed=1, name="move"),
            layers.Conv2D(
                4, 3, activation="relu", kernel_regularizer="l2", name="conv"
            ),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(),
            layers.Dropout(0.3, seed=2, name="dropout"),
            layers.Dense(3),
        ],
        name="classifier",
    )
    if compiled:
        model.compile(
            keras.optimizers.SGD(0.05, momentum=0.9),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **kwargs,
        )
    return model


def test_one_line_more_and_the_model_tunes_itself(capsys):
    model = make_model()
    tuned = stn.SelfTuningModel.from_keras(model)
    printed = capsys.readouterr().out
    assert printed.strip() == str(tuned.conversion_summary())
    assert printed.count("dropout") == 1
    before = tuned.hyperparameter_values()
    assert before == pytest.approx(
        {
            "move_height": 0.2,
            "move_width": 0.1,
            "conv_kernel_l2": 0.01,
            "dropout": 0.3,
        },
        rel=1e-5,
    )
    history = tuned.fit(
        X, Y, 8, validation_data=(X, Y), epochs=2, verbose=0
    ).history
    assert {"loss", "accuracy", "val_accuracy", "dropout"} <= set(history)
    after = tuned.hyperparameter_values()
    assert all(after[name] != before[name] for name in before)
    ordinary = tuned.to_keras()
    np.testing.assert_allclose(
        ordinary.predict(X, verbose=0),
        tuned.predict(X, verbose=0),
        rtol=1e-5,
        atol=1e-5,
    )
    assert ordinary.get_layer("dropout").rate == after["dropout"]
    assert ordinary.name == "classifier"
    # Compiled as before, so it can be evaluated and trained further. Its
    # penalty is that of a number now, which counts in evaluation.
    loss, accuracy = tuned.evaluate(X, Y, verbose=0)
    loss += float(sum(ordinary.losses))
    assert ordinary.evaluate(X, Y, verbose=0) == pytest.approx(
        [loss, accuracy], rel=1e-3
    )
    ordinary.fit(X, Y, verbose=0)
    # And the model that it was made of is as it was.
    assert model.get_layer("dropout").rate == 0.3


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_tuned_model_can_start_anew(preset):
    model = make_model()
    tuned = stn.SelfTuningModel.from_keras(model, preset=preset)
    open_gates(tuned)
    location = tuned.hyperparameters.location
    location.assign(location + 1.0)
    ordinary = tuned.to_keras()
    again = stn.SelfTuningModel.from_keras(ordinary)
    values = tuned.hyperparameter_values()
    assert again.hyperparameter_values() == pytest.approx(values, rel=1e-4)
    assert_alike(again, tuned)
    assert again.count_params() == tuned.count_params()


def test_gates_learn_from_nothing():
    tuned = stn.SelfTuningModel.from_keras(make_model())
    gated = [
        (layer, name)
        for layer in tuned._response_layers()
        for name in layer.responding
    ]
    for layer, name in gated:
        gates = getattr(layer, f"{name}_gate").numpy()
        response = getattr(layer, f"response_{name}").numpy()
        # One of the two is 0, and not both.
        assert (gates == 0).all() != (response == 0).all()
    tuned.fit(X, Y, 8, validation_data=(X, Y), epochs=2, verbose=0)
    for layer, name in gated:
        assert getattr(layer, f"{name}_gate").numpy().any(), layer.name
        assert getattr(layer, f"response_{name}").numpy().any(), layer.name


def test_compilation_is_taken_over_with_objects_of_its_own():
    def loss(y, p):
        return keras.ops.mean(keras.ops.square(y - p[:, 0]))

    metric = keras.metrics.MeanAbsoluteError(name="distance")
    model = make_model(compiled=False)
    model.compile(
        keras.optimizers.Adam(0.02, beta_1=0.8),
        loss,
        metrics=[metric],
        steps_per_execution=2,
    )
    tuned = stn.SelfTuningModel.from_keras(model)
    ordinary = tuned.to_keras()
    for other in (tuned, ordinary):
        assert other.loss is loss
        assert other.optimizer is not model.optimizer
        assert other.optimizer.get_config() == model.optimizer.get_config()
        assert other.steps_per_execution == 2
        (own,) = other._compile_config.config["metrics"]
        assert own is not metric
        assert own.name == "distance"
    assert not stn.SelfTuningModel.from_keras(make_model(False)).compiled


def test_a_learning_rate_that_was_changed_is_taken_over():
    model = make_model(compiled=False)
    model.compile("adam", "mse")
    model.optimizer.learning_rate = 0.25
    tuned = stn.SelfTuningModel.from_keras(model)
    assert float(tuned.optimizer.learning_rate) == 0.25
    assert float(tuned.to_keras().optimizer.learning_rate) == 0.25


def test_no_augmentation_acts_where_nothing_says_that_it_trains():
    x = keras.Input((6, 6, 3))
    # It stays Keras's own.
    y = layers.RandomFlip()(x)
    y = layers.Dense(2)(layers.Dropout(0.1)(layers.Flatten()(y)))
    tuned = stn.SelfTuningModel.from_keras(keras.Model(x, y))
    np.testing.assert_array_equal(tuned(X), tuned(X, training=False))


def test_a_hyperparameter_of_the_loss_changes_no_prediction():
    model = make_model(compiled=False)
    tuned = stn.SelfTuningModel.from_keras(model)
    smoothing = stn.Float("smoothing", 0.0, 0.5, default=0.1)
    tuned.compile(
        "sgd", stn.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    )
    assert "smoothing" in tuned.hyperparameters.names
    assert_alike(tuned, model, 1e-6)


def test_losses_and_metrics_of_this_package_stay_behind(tmp_path):
    smoothing = stn.Float("smoothing", 0.0, 0.5, default=0.1)
    tuned = stn.SelfTuningModel.from_keras(make_model(False))
    tuned.compile(
        "adam",
        stn.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=smoothing
        ),
        metrics=["accuracy", stn.metrics.Perplexity()],
    )
    ordinary = tuned.to_keras()
    assert type(ordinary.loss) is keras.losses.CategoricalCrossentropy
    assert ordinary.loss.get_config()["label_smoothing"] == pytest.approx(0.1)
    assert ordinary._compile_config.config["metrics"] == ["accuracy"]


def test_mixed_precision_trains_and_comes_back():
    policy = keras.DTypePolicy("mixed_float16")
    x = keras.Input((6, 6, 3))
    y = layers.Conv2D(4, 3, activation="relu", dtype=policy)(x)
    y = layers.Dropout(0.3, dtype=policy)(layers.Flatten(dtype=policy)(y))
    model = keras.Model(x, layers.Dense(3, dtype="float32")(y))
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    tuned = stn.SelfTuningModel.from_keras(model)
    assert_alike(tuned, model, 1e-6)
    tuned.fit(X, Y, 8, validation_data=(X, Y), verbose=0)
    ordinary = tuned.to_keras()
    policies = [layer.dtype_policy.name for layer in ordinary.layers]
    assert policies == [layer.dtype_policy.name for layer in model.layers]
    assert_alike(ordinary, tuned, 5e-3)


@pytest.mark.parametrize(
    "name, loss",
    [
        # Several inputs and outputs, and layers that are shared.
        ("branches", {"label": "mse", "size": "mae"}),
        ("transformer", "mse"),
    ],
)
@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_a_graph_of_layers_trains_and_comes_back(name, loss, preset):
    model = MODELS[name]()
    model.compile("sgd", loss)
    tuned = stn.SelfTuningModel.from_keras(model, preset=preset)
    x = draw_inputs(model)
    y = predict(model, x)
    y = keras.tree.map_structure(lambda value: value + 1, y)
    history = tuned.fit(x, y, 2, validation_data=(x, y), verbose=0).history
    assert np.isfinite(history["tuning_loss"]).all()
    trained = predict(tuned, x)
    for actual, expected, before in zip(
        keras.tree.flatten(predict(tuned.to_keras(), x)),
        keras.tree.flatten(trained),
        keras.tree.flatten(predict(model, x)),
        strict=True,
    ):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)
        assert not np.allclose(expected, before)


def test_a_saved_model_keeps_its_summary(tmp_path):
    tuned = stn.SelfTuningModel.from_keras(make_model(compiled=False))
    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.models.load_model(tmp_path / "tuned.keras")
    assert str(loaded.conversion_summary()) == str(tuned.conversion_summary())
    assert_alike(loaded.to_keras(), tuned, 1e-6)


def test_arguments_of_the_self_tuning_model_are_passed_on():
    smoothing = stn.Float("smoothing", 0.0, 0.5)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    tuned = stn.SelfTuningModel.from_keras(
        model, train_steps=5, groups=2, hyperparameters=[smoothing]
    )
    assert (tuned.train_steps, tuned.groups) == (5, 2)
    assert tuned.hyperparameters.names == ["smoothing"]


def test_it_prints_nothing_if_it_is_to_be_quiet(capsys):
    tuned = stn.SelfTuningModel.from_keras(make_model(), verbose=False)
    assert capsys.readouterr().out == ""
    assert "dropout" in str(tuned.conversion_summary())


def test_what_a_layer_here_holds_as_a_number_is_tuned_on_request():
    def make():
        return keras.Sequential(
            [
                keras.Input((6, 6, 3)),
                stn.layers.RandomCutout(1, 2, name="cutout"),
                layers.Flatten(),
                stn.layers.Dropout(0.2, name="fixed"),
                layers.Dropout(0.3, name="dropout"),
                layers.Dense(
                    3, kernel_regularizer=stn.regularizers.L2(1e-3), name="head"
                ),
            ]
        )

    fixed = stn.SelfTuningModel.from_keras(make())
    assert fixed.hyperparameters.names == ["dropout"]
    model = make()
    tuned = stn.SelfTuningModel.from_keras(
        model,
        tune=["cutout_holes", "cutout_length", "fixed", "head_kernel_l2"],
        ranges={"cutout_length": stn.Int("cutout_length", 0, 6, default=2)},
    )
    before = tuned.hyperparameter_values()
    assert before == pytest.approx(
        {
            "cutout_holes": 1,
            "cutout_length": 2,
            "fixed": 0.2,
            "head_kernel_l2": 1e-3,
        }
    )
    assert_alike(tuned, model, 0)
    tuned.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    tuned.fit(X, Y, 8, validation_data=(X, Y), verbose=0)
    after = tuned.hyperparameter_values()
    assert after["fixed"] != before["fixed"]
    assert after["head_kernel_l2"] != before["head_kernel_l2"]
    assert_alike(tuned.to_keras(), tuned)


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


class OwnStep(keras.Model):
    def train_step(self, data):
        return super().train_step(data)


def functional(*inner, kind=keras.Model):
    x = y = keras.Input((3,))
    for layer in inner:
        y = layer(y)
    return kind(x, y, name="network")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: "model", "functional or sequential. Received: model='model'"),
        (lambda: Subclassed(name="net"), "subclassed.*keras_stn.layers.*net"),
        (
            lambda: functional(layers.Dense(2), kind=OwnStep),
            "`train_step` of its own.*OwnStep",
        ),
        (
            lambda: functional(layers.Dense(2)),
            "no value to tune.*keras.layers.Dropout.*could tune nothing",
        ),
        (
            lambda: functional(layers.Dropout(0.1), layers.PReLU()),
            "(?s)No layer of the model can respond.*no version of this class",
        ),
        (
            lambda: stn.SelfTuningModel(
                functional(
                    stn.layers.Dropout(stn.Float("rate", 0.0, 0.9)),
                    stn.layers.HyperDense(2),
                )
            ),
            "tunes itself already",
        ),
    ],
)
def test_a_model_that_cannot_be_converted_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        stn.SelfTuningModel.from_keras(make())


def test_a_model_that_was_not_converted_has_no_summary():
    network = functional(
        stn.layers.Dropout(stn.Float("rate", 0.0, 0.9)),
        stn.layers.HyperDense(2),
    )
    with pytest.raises(ValueError, match="There was no conversion"):
        stn.SelfTuningModel(network).conversion_summary()


def test_layers_of_this_package_may_stand_between_those_of_keras():
    holes = stn.Int("holes", 0, 3, default=1)
    x = keras.Input((6, 6, 3))
    y = stn.layers.RandomCutout(holes, 2)(x)
    y = stn.layers.HyperConv2D(2, 3, name="conv")(y)
    y = layers.Dropout(0.2, name="dropout")(layers.Flatten()(y))
    model = keras.Model(x, layers.Dense(3, name="head")(y))
    tuned = stn.SelfTuningModel.from_keras(model)
    assert tuned.hyperparameters.names == ["holes", "dropout"]
    assert_alike(tuned, model, 1e-6)
    names = [name for name, _ in tuned.conversion_summary().responding]
    assert names == ["conv", "head"]
    tuned.compile("sgd", "sparse_categorical_crossentropy")
    tuned.fit(X, Y, 8, validation_data=(X, Y), verbose=0)
    assert_alike(tuned.to_keras(), tuned)
