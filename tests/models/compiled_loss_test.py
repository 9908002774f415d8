"""Hyperparameters that the model learns of when it is compiled."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_stn as stn
from keras_stn.hyperparameters.step import current_sample
from keras_stn.hyperparameters.step import current_step
from tests.gates import open_gates

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 4)).astype("float32")
Y = RNG.integers(0, 3, size=16)


def smoothing(name="smoothing", **kwargs):
    return stn.Float(name, 0.0, 0.5, **{"default": 0.1, **kwargs})


def make_loss(value=None):
    return stn.losses.SparseCategoricalCrossentropy(
        True, label_smoothing=smoothing() if value is None else value
    )


def make_network():
    return keras.Sequential(
        [
            keras.Input((4,)),
            stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.1)),
            stn.layers.HyperDense(5, activation="tanh", use_bias=False),
            stn.layers.HyperDense(3),
        ]
    )


@keras.saving.register_keras_serializable(package="compiled_loss_test")
class Network(keras.Model):
    """A subclassed network, which is built when it sees data."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.1))
        self.head = stn.layers.HyperDense(3)

    def call(self, inputs, training=None):
        return self.head(self.dropout(inputs, training=training))


def compile_model(model, loss=None, **kwargs):
    loss = make_loss() if loss is None else loss
    model.compile(
        keras.optimizers.SGD(0.1),
        loss,
        hyper_optimizer=keras.optimizers.Adam(0.05),
        **{"run_eagerly": True, **kwargs},
    )


def make_model(network=None, loss=None, **kwargs):
    model = stn.SelfTuningModel(network or make_network(), groups=4)
    compile_model(model, loss, **kwargs)
    return model


def fit(model):
    return model.fit(
        X, Y, batch_size=8, validation_data=(X, Y), verbose=0
    ).history


def test_the_hyperparameter_of_the_loss_is_tuned():
    model = make_model()
    assert model.hyperparameters.names == ["rate", "smoothing"]
    history = fit(model)
    assert history["smoothing"][0] != 0.1
    assert history["skipped_tuning_steps"] == [0]


@pytest.mark.parametrize("preset", ["auto", "paper"])
def test_gates_grow_by_small_rows_and_keep_the_old_ones(preset):
    model = stn.SelfTuningModel(make_network(), preset=preset)
    open_gates(model)
    hidden, head = model.network.layers[1:]
    old = [gate.numpy() for gate in (hidden.kernel_gate, head.bias_gate)]
    compile_model(model)
    new = [gate.numpy() for gate in (hidden.kernel_gate, head.bias_gate)]
    for before, after in zip(old, new):
        assert after.shape == (2, before.shape[1])
        np.testing.assert_array_equal(after[:1], before)
        assert np.abs(after[1]).max() < 0.05
    # Of a response and a gate that are new one is 0, and not both.
    assert new[0][1].any() == (preset == "paper")
    assert new[1][1].any() and not np.any(head.response_bias)
    assert hidden.bias_gate is None
    assert len(model.trainable_variables) == 3 + 6


def test_tuned_values_and_scales_are_kept():
    model = make_model(loss=keras.losses.SparseCategoricalCrossentropy(True))
    fit(model)
    before = model.hyperparameter_values()
    scale = model.hyperparameters.scale.numpy()
    prediction = model.predict(X, verbose=0)
    compile_model(model)
    after = model.hyperparameter_values()
    assert after["rate"] == before["rate"] and after["smoothing"] > 0
    np.testing.assert_array_equal(model.hyperparameters.scale[:1], scale)
    # A row of gates more changes the weights a little.
    np.testing.assert_allclose(
        model.predict(X, verbose=0), prediction, atol=0.2
    )
    fit(model)


def test_compiling_twice_adds_nothing():
    model = make_model()
    weights = model.get_weights()
    compile_model(model)
    compile_model(model, make_loss())
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert len(model.further_hyperparameters) == 1


def test_a_name_may_be_shared_with_a_layer_if_declared_alike():
    rate = stn.Float("rate", 0.0, 0.9, 0.1)
    model = make_model(loss=make_loss(rate))
    assert model.hyperparameters.names == ["rate"]
    assert model.further_hyperparameters == []
    with pytest.raises(ValueError, match="declared twice"):
        make_model(loss=make_loss(smoothing("rate")))


@pytest.mark.parametrize("kind", [dict, list])
def test_losses_in_lists_and_dictionaries_are_found(kind):
    inputs = keras.Input((4,))
    x = stn.layers.Dropout(stn.Float("rate", 0.0, 0.9, 0.1))(inputs)
    heads = [stn.layers.HyperDense(3, name=name)(x) for name in "ab"]
    losses = [make_loss(smoothing("one")), make_loss(smoothing("two"))]
    outputs, losses, labels = (
        values if kind is list else dict(zip("ab", values))
        for values in (heads, losses, [Y, Y])
    )
    model = make_model(keras.Model(inputs, outputs), losses)
    assert model.hyperparameters.names == ["rate", "one", "two"]
    history = model.fit(
        X, labels, validation_data=(X, labels), batch_size=8, verbose=0
    ).history
    assert history["one"][0] != 0.1 != history["two"][0]


def test_a_network_that_is_built_by_fit_knows_the_loss():
    model = make_model(Network())
    fit(model)
    assert model.hyperparameters.names == ["rate", "smoothing"]


def test_optimizers_that_were_used_are_refused():
    model = make_model(loss="mse")
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="Pass new optimizers"):
        model.compile(optimizer, make_loss())


def test_only_the_loss_may_have_hyperparameters():
    network = keras.Sequential([keras.Input((4,)), stn.layers.HyperDense(3)])
    with pytest.raises(ValueError, match="as `hyperparameters`"):
        stn.SelfTuningModel(network)
    model = stn.SelfTuningModel(network, hyperparameters=[smoothing()])
    compile_model(model)
    fit(model)
    assert model.hyperparameters.names == ["smoothing"]


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("make", [make_network, Network])
def test_saving_keeps_what_compile_has_added(tmp_path, make, compile):
    model = make_model(make())
    fit(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=compile)
    assert loaded.hyperparameter_values() == model.hyperparameter_values()
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-6
    )
    if not compile:
        compile_model(loaded)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        loaded.evaluate(X, Y, verbose=0), model.evaluate(X, Y, verbose=0)
    )
    fit(loaded)


def test_training_smooths_and_tuning_and_evaluation_do_not():
    model = make_model()
    steps = []

    class Spy(stn.losses.SparseCategoricalCrossentropy):
        def call(self, y_true, y_pred):
            steps.append((current_step().kind, self.smoothing_of(y_true)))
            return super().call(y_true, y_pred)

    compile_model(model, Spy(True, label_smoothing=smoothing()))
    batch = (ops.convert_to_tensor(X), ops.convert_to_tensor(Y))
    model.weight_step(batch)
    model.tuning_step(batch)
    model.evaluate(X, Y, verbose=0)
    model.compute_loss(y=batch[1], y_pred=model(X))
    kinds = [kind for kind, _ in steps]
    # Of the responses, of the network itself, and of the hyperparameters.
    assert kinds[:3] == ["training", "training", "tuning"]
    assert set(kinds[3:-1]) == {"evaluation"}
    assert kinds[-1] == "direct"
    assert [len(np.unique(value)) for _, value in steps[:2]] == [4, 1]
    assert all(value is None for _, value in steps[2:])


def test_nothing_is_left_behind_by_a_step():
    model = make_model(run_eagerly=False, jit_compile=False)
    fit(model)
    assert current_step() is None and current_sample() is None
    broken = (ops.convert_to_tensor(X), ops.convert_to_tensor(Y[:3]))
    with pytest.raises(Exception, match="shape|compatible"):
        model.weight_step(broken)
    assert current_step() is None and current_sample() is None
