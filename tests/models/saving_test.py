import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_stn as stn

# Keras says it of every optimizer whose model was saved before training.
ignore_unbuilt_optimizers = pytest.mark.filterwarnings(
    "ignore:Skipping variable loading for optimizer:UserWarning"
)

ROOT = pathlib.Path(__file__).parents[2]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.integers(0, 3, size=16)
X_VAL = RNG.normal(size=(8, 6)).astype("float32")
Y_VAL = RNG.integers(0, 3, size=8)


@keras.saving.register_keras_serializable(package="saving_test")
class Network(keras.Model):
    """A subclassed network."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = stn.layers.HyperDense(units, activation="relu")
        self.dropout = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9))
        self.head = stn.layers.HyperDense(3)

    def call(self, inputs, training=None):
        return self.head(self.dropout(self.hidden(inputs), training=training))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def make_sequential():
    return keras.Sequential(
        [
            keras.Input((6,)),
            stn.layers.GaussianNoise(stn.Float("noise", 0.0, 1.0, 0.1)),
            stn.layers.HyperDense(8, activation="relu"),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.2)),
            stn.layers.HyperDense(3),
        ]
    )


def make_convolutional():
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Reshape((3, 2, 1)),
            stn.layers.HyperConv2D(4, 2, use_bias=False),
            keras.layers.BatchNormalization(),
            stn.layers.SpatialDropout2D(stn.Float("rate", 0.0, 0.9, 0.2)),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            stn.layers.HyperDense(3),
        ]
    )


def make_nested():
    inputs = keras.Input((6,))
    x = make_sequential()(inputs)
    x = stn.layers.HyperDense(5)(x)
    outputs = stn.layers.HyperDense(3)(keras.layers.Concatenate()([x, inputs]))
    return keras.Model(inputs, outputs)


def make_subclassed():
    network = Network()
    network(X[:1])
    return network


NETWORKS = [make_sequential, make_convolutional, make_nested, make_subclassed]


def make_model(make_network=make_sequential, run_eagerly=True, **kwargs):
    """A compiled model; without graphs, whose making takes a test's time."""
    model = stn.SelfTuningModel(
        make_network(), **{"groups": 4, "entropy_weight": 0.01, **kwargs}
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        hyper_optimizer=keras.optimizers.RMSprop(0.02),
        scale_optimizer=keras.optimizers.SGD(0.03, momentum=0.5),
        run_eagerly=run_eagerly,
        jit_compile=False,
    )
    return model


def fit(model, epochs=1, initial_epoch=0, callbacks=None):
    """Trains on data whose order is fixed.

    An epoch has two cycles and the tuning data two batches, so that every
    call of `fit` begins where the one before has ended.
    """
    tuning_data = tf.data.Dataset.from_tensor_slices((X_VAL, Y_VAL))
    return model.fit(
        X,
        Y,
        batch_size=4,
        shuffle=False,
        tuning_data=tuning_data.batch(4),
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=callbacks,
        verbose=0,
    )


def make_trained(make_network=make_sequential, **kwargs):
    model = make_model(make_network, **kwargs)
    fit(model)
    return model


def save_and_load(model, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def weights(model):
    return [ops.convert_to_numpy(w) for w in model.weights]


def optimizer_state(model):
    optimizers = (
        model.optimizer,
        model.hyper_optimizer,
        model.scale_optimizer,
    )
    return [
        ops.convert_to_numpy(variable)
        for optimizer in optimizers
        for variable in optimizer.variables
    ]


def seeds(model):
    return [
        ops.convert_to_numpy(variable)
        for variable in model.variables
        if variable.name == "seed_generator_state"
    ]


def assert_equal(actual, expected):
    assert len(actual) == len(expected) > 0
    for a, b in zip(actual, expected):
        np.testing.assert_array_equal(a, b)


def assert_same_predictions(actual, expected):
    np.testing.assert_array_equal(
        actual.predict(X, verbose=0), expected.predict(X, verbose=0)
    )


@pytest.mark.parametrize("preset", ["auto", "paper"])
@pytest.mark.parametrize("make_network", NETWORKS)
def test_loading_restores_weights_optimizers_and_predictions(
    make_network, preset, tmp_path
):
    model = make_trained(make_network, preset=preset)
    loaded = save_and_load(model, tmp_path)
    assert isinstance(loaded, stn.SelfTuningModel)
    assert_equal(weights(loaded), weights(model))
    assert_equal(optimizer_state(loaded), optimizer_state(model))
    assert_same_predictions(loaded, model)


def test_loading_restores_hyperparameters_and_scales(tmp_path):
    model = make_trained()
    loaded = save_and_load(model, tmp_path)
    start = make_model().hyperparameters
    for name in ("location", "raw_scale"):
        saved = getattr(model.hyperparameters, name)
        actual = getattr(loaded.hyperparameters, name)
        np.testing.assert_array_equal(actual, saved)
        assert np.all(np.asarray(actual) != np.asarray(getattr(start, name)))
    assert loaded.hyperparameter_values() == model.hyperparameter_values()
    declarations = loaded.hyperparameters.declarations
    assert declarations == model.hyperparameters.declarations


def test_loading_restores_all_optimizers(tmp_path):
    model = make_trained()
    loaded = save_and_load(model, tmp_path)
    for name in ("optimizer", "hyper_optimizer", "scale_optimizer"):
        actual, saved = getattr(loaded, name), getattr(model, name)
        assert type(actual) is type(saved)
        assert actual.get_config() == saved.get_config()
        assert actual.built
        assert int(actual.iterations) == int(saved.iterations) > 0
        assert float(actual.learning_rate) == float(saved.learning_rate)


def test_loading_restores_learning_rate_set_while_training(tmp_path):
    model = make_trained()
    model.hyper_optimizer.learning_rate = 0.123
    loaded = save_and_load(model, tmp_path)
    assert float(loaded.hyper_optimizer.learning_rate) == np.float32(0.123)


def test_loading_restores_random_seeds(tmp_path):
    model = make_trained(make_convolutional)
    loaded = save_and_load(model, tmp_path)
    assert_equal(seeds(loaded), seeds(model))


def test_loading_restores_arguments(tmp_path):
    model = make_model(
        train_steps=3,
        tuning_steps=2,
        groups=None,
        entropy_weight=0.5,
        tune_scales=False,
        preset="paper",
        name="tuned",
    )
    fit(model)
    loaded = save_and_load(model, tmp_path)
    assert loaded.train_steps == 3
    assert loaded.tuning_steps == 2
    assert loaded.groups is None
    assert loaded.entropy_weight == 0.5
    assert loaded.tune_scales is False
    assert loaded.preset == "paper"
    assert loaded.name == "tuned"


def test_loading_restores_compilation(tmp_path):
    model = stn.SelfTuningModel(make_sequential())
    model.compile(
        "adam",
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=[keras.metrics.SparseCategoricalCrossentropy("ce")],
        hyper_optimizer="adagrad",
        scale_optimizer=keras.optimizers.SGD(0.5, clipvalue=0.25),
        run_eagerly=True,
        steps_per_execution=3,
        jit_compile=False,
    )
    fit(model)
    loaded = save_and_load(model, tmp_path)
    assert loaded.get_compile_config() == model.get_compile_config()
    assert isinstance(loaded.hyper_optimizer, keras.optimizers.Adagrad)
    assert loaded.scale_optimizer.clipvalue == 0.25
    assert loaded.run_eagerly
    assert loaded.steps_per_execution == 3
    loss = loaded.evaluate(X, Y, verbose=0, return_dict=True)
    assert loss == model.evaluate(X, Y, verbose=0, return_dict=True)
    assert {"loss", "accuracy", "ce"} <= loss.keys()


@pytest.mark.parametrize(
    "make_network, preset",
    [
        (make_sequential, "auto"),
        (make_sequential, "paper"),
        (make_convolutional, "auto"),
    ],
)
def test_training_goes_on_as_if_never_interrupted(
    make_network, preset, tmp_path
):
    model = make_trained(make_network, run_eagerly=False, preset=preset)
    loaded = save_and_load(model, tmp_path)
    history = fit(model, epochs=3, initial_epoch=1).history
    # Compared by representation, since NaN is not equal to itself.
    again = fit(loaded, epochs=3, initial_epoch=1).history
    assert repr(again) == repr(history)
    assert_equal(weights(loaded), weights(model))
    assert_equal(optimizer_state(loaded), optimizer_state(model))


@pytest.mark.parametrize("is_planned", [False, True])
def test_restored_backup_trains_as_if_never_interrupted(is_planned, tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    def make_backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    def make():
        keras.utils.set_random_seed(1)
        model = make_model()
        if is_planned:
            # With learning rates that fall from epoch to epoch.
            model.compile("sgd", model.loss, run_eagerly=True)
        return model

    expected = make()
    fit(expected, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), epochs=3, callbacks=[make_backup(), Interrupt()])
    model = make()
    history = fit(model, epochs=3, callbacks=[make_backup()])
    assert history.epoch == [1, 2]
    assert_equal(weights(model), weights(expected))
    assert_equal(optimizer_state(model), optimizer_state(expected))


@ignore_unbuilt_optimizers
def test_model_saved_before_training_trains_as_the_original(tmp_path):
    model = make_model()
    loaded = save_and_load(model, tmp_path)
    assert_same_predictions(loaded, model)
    fit(model)
    fit(loaded)
    assert_equal(weights(loaded), weights(model))
    assert_equal(optimizer_state(loaded), optimizer_state(model))


def test_uncompiled_model_is_saved_and_loaded(tmp_path):
    model = stn.SelfTuningModel(make_sequential())
    model.hyperparameters.location.assign([0.5, -0.5])
    loaded = save_and_load(model, tmp_path)
    assert not loaded.compiled
    assert_equal(weights(loaded), weights(model))
    assert_same_predictions(loaded, model)


def test_model_is_loaded_without_compilation(tmp_path):
    model = make_trained()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert not loaded.compiled
    assert_equal(weights(loaded), weights(model))


def test_model_of_half_precision_network_is_saved_and_loaded(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make_trained()
        loaded = save_and_load(model, tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    assert loaded.network.compute_dtype == "float16"
    assert_equal(weights(loaded), weights(model))
    assert_equal(optimizer_state(loaded), optimizer_state(model))


@pytest.mark.parametrize("make_network", [make_convolutional, make_subclassed])
def test_saved_weights_hold_all_but_the_compilation(make_network, tmp_path):
    model = make_trained(make_network)
    model.save_weights(tmp_path / "model.weights.h5")
    # Trained, so that its optimizers have a state to load into.
    other = make_trained(make_network)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_equal(weights(other), weights(model))
    assert_equal(optimizer_state(other), optimizer_state(model))
    assert_same_predictions(other, model)


@ignore_unbuilt_optimizers
def test_saved_weights_load_into_a_new_model(tmp_path):
    model = make_trained()
    model.save_weights(tmp_path / "model.weights.h5")
    other = make_model()
    other.load_weights(tmp_path / "model.weights.h5")
    assert_equal(weights(other), weights(model))


def test_config_survives_json():
    model = make_trained(train_steps=3, tuning_steps=2, tune_scales=False)
    config = json.loads(json.dumps(model.get_config()))
    made = stn.SelfTuningModel.from_config(config)
    assert json.loads(json.dumps(made.get_config())) == config
    made.set_weights(model.get_weights())
    assert_same_predictions(made, model)


def test_clone_of_network_is_ready_for_another_model():
    model = make_trained()
    clone = keras.models.clone_model(model.network)
    before = weights(model)
    assert all(
        layer.kernel_gate is None
        for layer in clone.layers
        if isinstance(layer, stn.layers.HyperDense)
    )
    clone.add(stn.layers.Dropout(stn.Float("third", 0.0, 0.9)))
    other = make_trained(lambda: clone)
    assert other.hyperparameters.names == ["noise", "rate", "third"]
    assert_equal(weights(model), before)


@pytest.mark.parametrize("make_network", NETWORKS)
def test_clone_of_model_shares_nothing_with_it(make_network):
    model = make_model(make_network)
    clone = keras.models.clone_model(model)
    assert isinstance(clone, stn.SelfTuningModel)
    assert clone.get_config() == model.get_config()
    if make_network is make_subclassed:
        clone.predict(X, verbose=0)  # Keras builds it on first use.
    assert not {id(w) for w in clone.weights} & {id(w) for w in model.weights}
    clone.set_weights(model.get_weights())
    assert_same_predictions(clone, model)


def test_subclassed_network_is_built_by_fit(tmp_path):
    model = make_model(Network)
    assert not model.built
    fit(model)
    loaded = save_and_load(model, tmp_path)
    assert_equal(weights(loaded), weights(model))
    assert_same_predictions(loaded, model)


@pytest.mark.filterwarnings(
    "ignore:You are saving a model that has not yet been built:UserWarning"
)
def test_unbuilt_model_is_saved_and_loaded(tmp_path):
    model = stn.SelfTuningModel(Network(units=5), train_steps=3)
    loaded = save_and_load(model, tmp_path)
    assert loaded.train_steps == 3
    assert loaded.network.units == 5


@pytest.mark.parametrize("make_network", NETWORKS)
def test_tuned_network_is_saved_on_its_own(make_network, tmp_path):
    network = make_trained(make_network).network
    loaded = save_and_load(network, tmp_path)
    assert_equal(weights(loaded), weights(network))
    assert_same_predictions(loaded, network)


def test_network_saved_on_its_own_is_tuned_on(tmp_path):
    model = make_trained()
    network = save_and_load(model.network, tmp_path)
    other = stn.SelfTuningModel(network)
    space = other.hyperparameters
    space.location.assign(model.hyperparameters.location)
    assert_same_predictions(other, model)


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_exported_model_predicts_alike(preset, tmp_path):
    model = make_trained(preset=preset)
    predictions = model.predict(X, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    served = exported.serve(X)
    np.testing.assert_allclose(served, predictions, rtol=1e-6, atol=1e-6)


def test_loaded_model_is_exported_at_once(tmp_path):
    model = make_trained()
    predictions = model.predict(X, verbose=0)
    loaded = save_and_load(model, tmp_path)
    loaded.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    served = exported.serve(X[:5])
    np.testing.assert_allclose(served, predictions[:5], rtol=1e-6, atol=1e-6)


def test_exported_model_takes_integers(tmp_path):
    network = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(9, 3),
            keras.layers.Flatten(),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9)),
            stn.layers.HyperDense(2),
        ]
    )
    tokens = np.arange(10, dtype="int32").reshape(2, 5) % 9
    model = stn.SelfTuningModel(network)
    predictions = model.predict(tokens, verbose=0)
    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(tmp_path / "exported")
    served = exported.serve(tokens)
    np.testing.assert_allclose(served, predictions, rtol=1e-6, atol=1e-6)


def test_model_is_loaded_where_only_the_package_is_imported(tmp_path):
    model = make_trained()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "x.npy", X)
    program = """
import sys

import keras
import keras_stn
import numpy as np

folder = sys.argv[1]
model = keras.models.load_model(f"{folder}/model.keras")
x = np.load(f"{folder}/x.npy")
np.save(f"{folder}/predictions.npy", model.predict(x, verbose=0))
np.save(f"{folder}/location.npy", model.hyperparameters.location)
"""
    subprocess.run(
        [sys.executable, "-c", program, tmp_path], cwd=ROOT, check=True
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "predictions.npy"),
        model.predict(X, verbose=0),
        rtol=1e-6,
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        np.load(tmp_path / "location.npy"), model.hyperparameters.location
    )


def test_dictionaries_of_inputs_and_outputs_survive(tmp_path):
    left, right = (
        keras.Input((6,), name="left"),
        keras.Input((6,), name="right"),
    )
    x = stn.layers.HyperDense(4)(keras.layers.Concatenate()([left, right]))
    x = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9))(x)
    outputs = {
        "kind": stn.layers.HyperDense(3, name="kind")(x),
        "size": stn.layers.HyperDense(1, name="size")(x),
    }
    network = keras.Model({"left": left, "right": right}, outputs)
    model = stn.SelfTuningModel(network)
    model.compile(
        "sgd",
        loss={
            "kind": keras.losses.SparseCategoricalCrossentropy(
                from_logits=True
            ),
            "size": "mse",
        },
        metrics={"kind": ["accuracy"]},
        run_eagerly=True,
    )
    x = {"left": X, "right": 2 * X}
    y = {"kind": Y, "size": X[:, :1]}
    model.fit(x, y, validation_data=(x, y), verbose=0)
    loaded = save_and_load(model, tmp_path)
    expected = model.predict(x, verbose=0)
    actual = loaded.predict(x, verbose=0)
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value)
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
