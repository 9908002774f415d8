"""What a converted model starts from, however and whenever it is built."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_stn as stn
from tests.conversion.cases import predict

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(48, 6, 6, 3)).astype("float32")
Y = RANDOM.integers(0, 3, 48)


def gates_and_responses(tuned):
    """For each weight whether its gates and its response are all 0."""
    return {
        f"{layer.name} {name}": tuple(
            not getattr(layer, variable).numpy().any()
            for variable in (f"{name}_gate", f"response_{name}")
        )
        for layer in tuned._response_layers()
        for name in layer.responding
    }


def make_unbuilt():
    """As guides build models: of which inputs only the data tell."""
    model = keras.Sequential(
        [
            layers.Flatten(),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3, name="dropout"),
            stn.layers.HyperDense(6),
            layers.Dense(3),
        ]
    )
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


class GatesAtTheStart(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.are_silent = gates_and_responses(self.model)


# Of an optimizer that was not used yet, as in Keras.
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_a_model_that_is_built_by_fit_starts_silent_and_can_be_saved(tmp_path):
    tuned = stn.SelfTuningModel.from_keras(make_unbuilt())
    assert not tuned.built
    gates = GatesAtTheStart()
    tuned.fit(X, Y, 8, 2, 0, [gates], validation_data=(X, Y))
    assert len(gates.are_silent) == 6
    # One of the two is 0, and not both, or nothing could be learned.
    assert all(a != b for a, b in gates.are_silent.values())
    after = gates_and_responses(tuned)
    assert not any(a or b for a, b in after.values())
    # A second build would have to leave them.
    tuned.build((None, 6, 6, 3))
    assert gates_and_responses(tuned) == after
    tuned.save_weights(tmp_path / "tuned.weights.h5")
    again = stn.SelfTuningModel.from_keras(make_unbuilt())
    again.build((None, 6, 6, 3))
    again.load_weights(tmp_path / "tuned.weights.h5")
    assert again.hyperparameter_values() == tuned.hyperparameter_values()
    expected = predict(tuned, X)
    np.testing.assert_array_equal(predict(again, X), expected)
    np.testing.assert_allclose(
        predict(tuned.to_keras(), X), expected, rtol=1e-5, atol=1e-6
    )
    tuned.save(tmp_path / "tuned.keras")
    loaded = keras.models.load_model(tmp_path / "tuned.keras")
    np.testing.assert_array_equal(predict(loaded, X), expected)


@pytest.mark.parametrize("how", ["build", "call", "predict"])
def test_gates_are_silent_however_the_model_is_built(how):
    tuned = stn.SelfTuningModel.from_keras(make_unbuilt())
    if how == "build":
        tuned.build((None, 6, 6, 3))
    elif how == "call":
        tuned(keras.ops.array(X))
    else:
        tuned.predict(X, verbose=0)
    assert all(a != b for a, b in gates_and_responses(tuned).values())


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_gates_of_a_network_that_was_not_converted_start_as_preset(preset):
    network = keras.Sequential(
        [
            layers.Flatten(),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9)),
            stn.layers.HyperDense(6, name="dense"),
        ]
    )
    tuned = stn.SelfTuningModel(network, preset=preset)
    tuned.build((None, 6, 6, 3))
    are_silent = gates_and_responses(tuned).values()
    if preset == "paper":
        assert not any(gate for gate, _ in are_silent)
    else:
        assert all(gate != response for gate, response in are_silent)


def test_hyper_layers_are_kept_beside_those_that_become_some():
    x = keras.Input((6, 6, 3))
    y = stn.layers.HyperConv2D(4, 3, activation="relu", name="conv")(x)
    y = layers.Dense(4, name="pixels")(y)
    y = layers.Dropout(0.2, name="dropout")(layers.Flatten()(y))
    y = stn.layers.HyperDense(5, name="hidden")(y)
    model = keras.Model(x, layers.Dense(3, name="head")(y))
    tuned = stn.SelfTuningModel.from_keras(model)
    np.testing.assert_array_equal(predict(tuned, X), predict(model, X))
    names = [name for name, _ in tuned.conversion_summary().responding]
    assert names == ["conv", "pixels", "hidden", "head"]
    kinds = {type(layer) for layer in tuned._response_layers()}
    assert kinds == {stn.layers.HyperConv2D, stn.layers.HyperDense}
    assert all(a != b for a, b in gates_and_responses(tuned).values())
    # The model's own were neither taken nor given gates.
    assert not model.get_layer("hidden").responds
