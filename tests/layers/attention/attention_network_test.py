"""Attention layers in networks: configuration, saving and tuning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_stn as stn
from keras_stn.layers.hyper_layer import find_declarations
from tests.layers.attention.attention_cases import BATCH
from tests.layers.attention.attention_cases import SIZE
from tests.layers.attention.attention_cases import TARGET
from tests.layers.attention.attention_cases import Case
from tests.layers.attention.attention_cases import build_gates
from tests.layers.attention.attention_cases import draw
from tests.layers.attention.attention_cases import projections
from tests.layers.attention.attention_cases import rate
from tests.layers.attention.attention_cases import sample_rows
from tests.layers.samples import Providing
from tests.layers.samples import fill
from tests.numerics import to_numpy
from tests.numerics import value_and_gradients


class TestConfiguration:
    def test_config_keeps_the_hyperparameter(self, case):
        layer = case.make(dropout=rate(), use_gate=True, seed=3)
        again = case.hyper_class.from_config(layer.get_config())
        assert again.declared_dropout == rate()
        assert again.get_config() == layer.get_config()

    def test_config_has_the_keys_of_keras(self, case):
        config = case.make_keras(name="a").get_config()
        assert case.make(name="a").get_config() == config

    @pytest.mark.parametrize("is_built", [False, True])
    def test_declaration_is_found(self, case, is_built):
        layer = (
            case.build(dropout=rate())
            if is_built
            else case.make(dropout=rate())
        )
        assert set(find_declarations(layer)) == {rate()}
        assert find_declarations(case.make(dropout=0.3)) == []

    def test_tuned_regularizer_is_one_hyperparameter(self, case):
        strength = stn.Float("l2", 1e-4, 1.0, sampling="log", per_example=False)
        layer = case.build(kernel_regularizer=stn.regularizers.L2(strength))
        assert set(find_declarations(layer)) == {strength}
        assert layer.losses

    @pytest.mark.parametrize("gates", ["with_gates", "without_gates"])
    def test_saved_network_gives_equal_outputs(self, case, gates, tmp_path):
        network = make_network(case)
        if gates == "with_gates":
            build_gates(network)
        fill(network)
        network.save(tmp_path / "network.keras")
        loaded = keras.models.load_model(tmp_path / "network.keras")
        assert set(find_declarations(loaded)) == {rate()}
        x, sample = draw(BATCH, TARGET, SIZE), sample_rows()
        y = to_numpy(Providing(network, sample)(x))
        np.testing.assert_array_equal(to_numpy(Providing(loaded, sample)(x)), y)
        np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(network(x)))
        responds = np.any(y != to_numpy(network(x)))
        assert responds == (gates == "with_gates")

    @pytest.mark.parametrize("preset", ["auto", "paper"])
    def test_saved_self_tuning_model_gives_equal_outputs(
        self, case, preset, tmp_path
    ):
        model = stn.SelfTuningModel(make_network(case), preset=preset)
        model.build((None, TARGET, SIZE))
        fill(model.network)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        assert loaded.hyperparameter_values() == model.hyperparameter_values()
        x = draw(BATCH, TARGET, SIZE)
        y = to_numpy(model(x))
        np.testing.assert_array_equal(to_numpy(loaded(x)), y)
        # Centred responses are silent at the current values.
        responds = np.any(y != to_numpy(model.network(x)))
        assert responds == (preset == "paper")

    def test_cloned_network_declares_the_same_and_takes_other_gates(self, case):
        network = make_network(case)
        build_gates(network)
        clone = keras.models.clone_model(network)
        assert set(find_declarations(clone)) == {rate()}
        build_gates(clone, 7)
        assert all(p.kernel_gate.shape[0] == 7 for p in projections(clone))


class Block(keras.layers.Layer):
    """A layer that knows nothing of hyperparameters."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def call(self, inputs):
        return inputs + self.attention(inputs, inputs, use_causal_mask=True)


def make_network(case):
    inputs = keras.Input((TARGET, SIZE))
    attention = case.make(dropout=rate())
    outputs = attention(inputs, inputs, use_causal_mask=True)
    return keras.Model(inputs, outputs)


def make_nested(case):
    return keras.Sequential([keras.Input((TARGET, SIZE)), make_network(case)])


def make_with_block(case):
    block = Block(case.make(dropout=rate()))
    return keras.Sequential([keras.Input((TARGET, SIZE)), block])


@pytest.fixture(
    params=[
        ("multi_head", make_network),
        ("group_query", make_nested),
        ("multi_head", make_with_block),
    ],
    ids=["functional", "nested", "block"],
)
def network(request):
    name, make = request.param
    return make(Case(name))


class TestModel:
    def test_fit_moves_the_dropout(self, network):
        model = stn.SelfTuningModel(network, groups=2)
        # A graph, which takes seconds to make, of one of the networks.
        model.compile(
            "sgd",
            loss="mse",
            run_eagerly=isinstance(network, keras.Sequential),
        )
        for projection in projections(model):
            assert projection.responds
        x = draw(24, TARGET, SIZE)
        model.fit(x, x, validation_data=(x[:8], x[:8]), batch_size=8, verbose=0)
        assert model.hyperparameter_values()["rate"] != rate().default

    def test_all_gates_have_gradients(self, network):
        build_gates(network)
        fill(network)
        # Not that of the key's bias: it shifts all scores of a query alike,
        # which leaves the probabilities as they are.
        gates = [
            gate
            for each in projections(network)
            for gate in (each.kernel_gate, each.bias_gate)
            if each.name != "key" or gate is each.kernel_gate
        ]
        assert len(gates) == 7
        x = draw(BATCH, TARGET, SIZE)
        model = Providing(network, sample_rows())
        _, gradients = value_and_gradients(
            lambda: tf.reduce_sum(model(x, training=True) ** 2), gates
        )
        for gradient in gradients:
            assert np.all(np.abs(gradient) > 1e-4)

    def test_sample_reaches_rate_and_projections(self, network):
        build_gates(network)
        fill(network)
        x = draw(BATCH, TARGET, SIZE)
        plain = to_numpy(network(x))
        responding = to_numpy(Providing(network, sample_rows())(x))
        assert np.abs(responding - plain).max() > 0.1
